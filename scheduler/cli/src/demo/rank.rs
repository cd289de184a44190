//! `squall demo-rank`: a task of a gang that meets the others over the network, as a training job does.
//!
//! Rank 0 listens on its node's address and leaves its port in the job's working directory, which all nodes of the
//! job share; every other rank connects to it. Each side sends fresh random bytes and prints the digests of what went
//! out and what came in: only ranks that met can print each other's.

use super::outputs::RankReport;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What each side sends.
const BYTES: usize = 1 << 20;
/// Ranks that rank 0 waits for.
const MAX_RANKS: u32 = 1_024;
/// For the others to come, and for each exchange.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks for the port of rank 0.
const LOOK: Duration = Duration::from_millis(20);
/// A name or number that a peer sends before its bytes.
const MAX_HELLO: u64 = 512;

/// # Errors
/// Whatever kept the ranks from meeting.
pub fn rank(invocation: &mut Invocation<'_>, _: &[String]) -> Result<i32, Failure> {
    let began_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let me = Me::of(invocation)?;
    let reports = if me.rank == 0 { me.meet_all(invocation) } else { me.meet_first().map(|report| vec![report]) };
    for report in reports.map_err(failed)? {
        writeln!(invocation.out, "{}", RankReport { began_ms, ..report }.line())?;
    }
    Ok(0)
}

fn failed(error: impl Display) -> Failure {
    Failure::error("squall demo-rank", escaped(&error.to_string()))
}

/// This task among the others.
struct Me {
    rank: u32,
    ranks: u32,
    node: String,
    rendezvous: PathBuf,
}

/// What one side says before its bytes.
struct Hello {
    rank: u32,
    node: String,
}

impl Me {
    fn of(invocation: &Invocation<'_>) -> Result<Me, Failure> {
        let variable = |name: &str| {
            let value = invocation.environment.filled(name);
            value.ok_or_else(|| failed(format_args!("{name} is not set: run it with srun inside a job")))
        };
        let number = |name: &str| -> Result<u32, Failure> {
            let text = variable(name)?;
            text.parse().map_err(|_| failed(format_args!("{name}={text} is no number")))
        };
        let (job, step) = (variable("SLURM_JOB_ID")?, variable("SLURM_STEP_ID")?);
        let me = Me {
            rank: number("SLURM_PROCID")?,
            ranks: number("SLURM_NTASKS")?,
            node: variable("SLURMD_NODENAME")?.to_owned(),
            rendezvous: invocation.directory.join(format!(".rendezvous-{job}.{step}")),
        };
        if me.ranks > MAX_RANKS {
            return Err(failed(format_args!("{} ranks are more than {MAX_RANKS}", me.ranks)));
        }
        Ok(me)
    }

    /// Rank 0: listens where its node can be reached, and meets every other rank.
    fn meet_all(&self, invocation: &Invocation<'_>) -> io::Result<Vec<RankReport>> {
        let host = self.host(invocation)?;
        let listener = TcpListener::bind((host.as_str(), 0))?;
        let port = listener.local_addr()?.port();
        write_whole(&self.rendezvous, &format!("{host} {port}\n"))?;
        let mut reports = Vec::new();
        listener.set_nonblocking(true)?;
        let until = Instant::now() + PATIENCE;
        while reports.len() + 1 < self.ranks as usize {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    reports.push(self.exchange(stream)?);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    thread::sleep(LOOK)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let text =
                        format!("{} of {} ranks came within {} s", reports.len() + 1, self.ranks, PATIENCE.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(error) => return Err(error),
            }
        }
        let _ = fs::remove_file(&self.rendezvous);
        Ok(reports)
    }

    /// Any other rank: finds rank 0.
    fn meet_first(&self) -> io::Result<RankReport> {
        let until = Instant::now() + PATIENCE;
        let text = loop {
            match fs::read_to_string(&self.rendezvous) {
                Ok(text) => break text,
                Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < until => thread::sleep(LOOK),
                Err(error) => return Err(error),
            }
        };
        let address = text.trim().split_once(' ').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let address = address.ok_or_else(|| io::Error::other("rank 0 left no address"))?;
        self.exchange(TcpStream::connect(address)?)
    }

    /// The address of this node, as the cluster knows it.
    fn host(&self, invocation: &Invocation<'_>) -> io::Result<String> {
        let nodes = invocation.controller.nodes().map_err(io::Error::other)?;
        let own = nodes.iter().find(|node| node.name.as_str() == self.node);
        let address = own.map(|node| node.address.as_str()).unwrap_or_default();
        let host = address.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']));
        match host {
            Some(host) if !host.is_empty() => Ok(host.to_owned()),
            _ => Err(io::Error::other(format!("the cluster knows no address of node {}", self.node))),
        }
    }

    /// Sends fresh bytes and takes the other's, at the same time: neither waits for the other to begin.
    fn exchange(&self, stream: TcpStream) -> io::Result<RankReport> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut outgoing = vec![0; BYTES];
        getrandom::fill(&mut outgoing).map_err(io::Error::other)?;
        let sent = hex::encode(Sha256::digest(&outgoing));
        let mut writer = stream.try_clone()?;
        let hello = format!("{} {}\n", self.rank, self.node);
        let sending = thread::spawn(move || -> io::Result<()> {
            writer.write_all(hello.as_bytes())?;
            writer.write_all(&outgoing)?;
            writer.shutdown(Shutdown::Write)
        });
        let mut reader = io::BufReader::new(stream);
        let peer = read_hello(&mut reader)?;
        let mut incoming = Vec::with_capacity(BYTES);
        let bytes = reader.take(BYTES as u64 + 1).read_to_end(&mut incoming)? as u64;
        sending.join().map_err(|_| io::Error::other("the sender ended early"))??;
        if bytes != BYTES as u64 {
            return Err(io::Error::other(format!("rank {} sent {bytes} bytes of {BYTES}", peer.rank)));
        }
        Ok(RankReport {
            rank: self.rank,
            node: self.node.clone(),
            peer: peer.rank,
            peer_node: peer.node,
            bytes,
            sent,
            received: hex::encode(Sha256::digest(&incoming)),
            began_ms: 0,
        })
    }
}

fn read_hello(reader: &mut impl io::BufRead) -> io::Result<Hello> {
    let mut line = String::new();
    reader.by_ref().take(MAX_HELLO).read_line(&mut line)?;
    let hello = line.trim_end().split_once(' ').and_then(|(rank, node)| {
        let node = node.replace('\t', " ");
        Some(Hello { rank: rank.parse().ok()?, node })
    });
    hello.ok_or_else(|| io::Error::other("a stranger connected"))
}

/// Readers see it whole or not at all.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    fs::write(&aside, text)?;
    fs::rename(aside, path)
}
