//! The bytes of a credential, in the one order that there is.

use super::{Action, Credential, CredentialError, MAX_FRAME, SIGNATURE_LEN};
use squall_types::api::StepNode;
use squall_types::ids::Run;
use squall_types::{Attempt, Gid, JobId, NodeName, StepId, Timestamp, Uid};

/// Format and its version. Another format gets another word, so that no frame can be read as two.
const MAGIC: &[u8; 8] = b"squall-1";
const ACT_AS_JOB: u8 = 1;
const RUN_STEP: u8 = 2;
const VISIT: u8 = 3;

pub(super) fn encode(credential: &Credential) -> Result<Vec<u8>, CredentialError> {
    let mut bytes = MAGIC.to_vec();
    text(&mut bytes, &credential.issuer)?;
    number(&mut bytes, credential.uid.0);
    number(&mut bytes, credential.gid.0);
    number(&mut bytes, credential.run.job.0);
    number(&mut bytes, credential.run.attempt.0);
    bytes.extend_from_slice(&credential.issued_at.0.to_be_bytes());
    bytes.extend_from_slice(&credential.expires_at.0.to_be_bytes());
    bytes.extend_from_slice(&credential.nonce);
    match &credential.action {
        Action::ActAsJob => bytes.push(ACT_AS_JOB),
        Action::RunStep { step, tasks, nodes } => {
            bytes.push(RUN_STEP);
            number(&mut bytes, step.0);
            number(&mut bytes, *tasks);
            list(&mut bytes, nodes)?;
        }
        Action::Visit { nodes } => {
            bytes.push(VISIT);
            list(&mut bytes, nodes)?;
        }
    }
    match bytes.len() + SIGNATURE_LEN {
        length if length > MAX_FRAME => Err(CredentialError::TooLong(length)),
        _ => Ok(bytes),
    }
}

fn list(bytes: &mut Vec<u8>, nodes: &[StepNode]) -> Result<(), CredentialError> {
    count(bytes, nodes.len())?;
    for node in nodes {
        text(bytes, node.name.as_str())?;
        text(bytes, &node.address)?;
        number(bytes, node.cpus);
        count(bytes, node.gpus.len())?;
        node.gpus.iter().for_each(|gpu| bytes.extend_from_slice(&gpu.to_be_bytes()));
        count(bytes, node.ranks.len())?;
        node.ranks.iter().for_each(|rank| number(bytes, *rank));
    }
    Ok(())
}

fn number(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_be_bytes());
}

fn count(bytes: &mut Vec<u8>, value: usize) -> Result<(), CredentialError> {
    let value = u32::try_from(value).map_err(|_| CredentialError::TooLong(value))?;
    number(bytes, value);
    Ok(())
}

fn text(bytes: &mut Vec<u8>, value: &str) -> Result<(), CredentialError> {
    let length = u16::try_from(value.len()).map_err(|_| CredentialError::TooLong(value.len()))?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(value.as_bytes());
    Ok(())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Credential, CredentialError> {
    let mut left = Reader(bytes);
    if left.take(MAGIC.len())? != MAGIC {
        return Err(CredentialError::Malformed("it does not begin as one"));
    }
    let issuer = left.text()?;
    let (uid, gid) = (Uid(left.number()?), Gid(left.number()?));
    let run = Run { job: JobId(left.number()?), attempt: Attempt(left.number()?) };
    let (issued_at, expires_at) = (left.instant()?, left.instant()?);
    let nonce = left.array()?;
    let action = match left.array::<1>()?[0] {
        ACT_AS_JOB => Action::ActAsJob,
        RUN_STEP => {
            let (step, tasks) = (StepId(left.number()?), left.number()?);
            // Lists grow as their entries are read: a count alone reserves nothing.
            let nodes = left.list(Reader::node)?;
            Action::RunStep { step, tasks, nodes }
        }
        VISIT => Action::Visit { nodes: left.list(Reader::node)? },
        _ => return Err(CredentialError::Malformed("it allows something that this version does not know")),
    };
    if !left.0.is_empty() {
        return Err(CredentialError::Malformed("it goes on after its end"));
    }
    Ok(Credential { issuer, uid, gid, run, action, issued_at, expires_at, nonce })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CredentialError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CredentialError::Malformed("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CredentialError> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many bytes were taken"))
    }

    fn number(&mut self) -> Result<u32, CredentialError> {
        self.array().map(u32::from_be_bytes)
    }

    fn instant(&mut self) -> Result<Timestamp, CredentialError> {
        self.array().map(|bytes| Timestamp(i64::from_be_bytes(bytes)))
    }

    fn text(&mut self) -> Result<String, CredentialError> {
        let length = u16::from_be_bytes(self.array()?);
        let bytes = self.take(length.into())?.to_vec();
        String::from_utf8(bytes).map_err(|_| CredentialError::Malformed("a name in it is not text"))
    }

    fn list<T>(
        &mut self,
        mut entry: impl FnMut(&mut Self) -> Result<T, CredentialError>,
    ) -> Result<Vec<T>, CredentialError> {
        let count = self.number()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(entry(self)?);
        }
        Ok(entries)
    }

    fn node(&mut self) -> Result<StepNode, CredentialError> {
        let (name, address) = (NodeName(self.text()?), self.text()?);
        let cpus = self.number()?;
        let gpus = self.list(|left| left.array().map(u16::from_be_bytes))?;
        let ranks = self.list(Reader::number)?;
        Ok(StepNode { name, address, ranks, cpus, gpus })
    }
}
