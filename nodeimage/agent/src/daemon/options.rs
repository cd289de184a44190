//! What the agent is started with.

use crate::cell::Containment;
use squall_proto::connect::{BadTarget, Target, Trust};
use squall_types::{InstanceId, NodeName, OrderId, Timestamp};
use std::ffi::OsString;
use std::path::PathBuf;

/// Says when the machine ends itself, where whoever starts the agent knows it, in milliseconds since the epoch.
const DIE_AT: &str = "SQUALL_DIE_AT_MS";

/// Printed for `--help`.
pub const USAGE: &str = "\
usage: squalld run --state-dir DIR --controller ADDR [options]

  --node NAME              the node's name; a bought node learns it when it joins
  --state-dir DIR          where the agent keeps what must outlive it
  --controller ADDR        https://HOST:PORT of the controller
  --ca-pin HEX             SHA-256 of the cluster CA's certificate
  --order N                the order that this machine was bought by; it then ends itself when its life is over
  --instance ID            what the provider calls this machine
  --join-secret-file FILE  what admits it to the cluster, once
  --shape-file FILE        a shape in JSON that replaces what would be measured
  --die-at MILLIS          ends itself by then at the latest (milliseconds since 1970)
  --self-end               ends itself as a bought machine does
  --power-off-command CMD  how the machine is switched off; without it the agent only exits
  --containment WHICH      auto, cgroup or none
  --listen ADDR            where the step service listens (0.0.0.0:0)
  --address HOST           how other nodes and clients reach this one
  --runtime-dir DIR        where jobs find their sockets
";

/// Everything that can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    pub node: Option<NodeName>,
    pub state_dir: PathBuf,
    pub controller: String,
    pub ca_pin: Option<Trust>,
    pub order: Option<OrderId>,
    pub instance: InstanceId,
    pub join_secret_file: Option<PathBuf>,
    pub shape_file: Option<PathBuf>,
    pub die_at: Option<Timestamp>,
    pub self_end: bool,
    pub power_off_command: Option<OsString>,
    pub containment: Containment,
    pub listen: String,
    pub address: Option<String>,
    pub runtime_dir: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    #[error("{0}")]
    Help(&'static str),
    #[error("there is no option `{0}`; `squalld run --help` lists them")]
    Unknown(String),
    #[error("`{0}` needs a value")]
    NoValue(&'static str),
    #[error("`{0}` is required")]
    Missing(&'static str),
    #[error("`{option} {value}`: {problem}")]
    Bad { option: &'static str, value: String, problem: String },
}

const VALUED: [&str; 14] = [
    "--node",
    "--state-dir",
    "--controller",
    "--ca-pin",
    "--order",
    "--instance",
    "--join-secret-file",
    "--shape-file",
    "--die-at",
    "--power-off-command",
    "--containment",
    "--listen",
    "--address",
    "--runtime-dir",
];

impl Options {
    /// Reads the arguments after `run`, and the one variable that goes with them.
    pub fn parse(arguments: &[OsString]) -> Result<Options, OptionError> {
        let mut given: Vec<(&'static str, OsString)> = Vec::new();
        let mut self_end = false;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let text = argument.to_string_lossy();
            let (name, inline) = match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
                None => (text.clone().into_owned(), None),
            };
            match (name.as_str(), inline) {
                ("--help" | "-h", None) => return Err(OptionError::Help(USAGE)),
                ("--self-end", None) => self_end = true,
                (name, inline) => {
                    let option = VALUED.into_iter().find(|option| *option == name);
                    let option = option.ok_or_else(|| OptionError::Unknown(text.clone().into_owned()))?;
                    let value = inline.or_else(|| rest.next().cloned()).ok_or(OptionError::NoValue(option))?;
                    given.push((option, value));
                }
            }
        }
        let last = |name: &str| given.iter().rev().find(|(option, _)| *option == name).map(|(_, value)| value.clone());
        let text = |name: &str| last(name).map(|value| value.to_string_lossy().into_owned());
        let die_at = number("--die-at", text("--die-at").or_else(|| std::env::var(DIE_AT).ok()))?;
        let order = number("--order", text("--order"))?.map(OrderId);
        let options = Options {
            node: text("--node").map(NodeName::new),
            state_dir: last("--state-dir").map(PathBuf::from).ok_or(OptionError::Missing("--state-dir"))?,
            controller: text("--controller").ok_or(OptionError::Missing("--controller"))?,
            ca_pin: text("--ca-pin").map(|pin| Trust::pin(&pin).map_err(bad("--ca-pin", &pin))).transpose()?,
            self_end: self_end || order.is_some(),
            order,
            instance: InstanceId::new(text("--instance").unwrap_or_default()),
            join_secret_file: last("--join-secret-file").map(PathBuf::from),
            shape_file: last("--shape-file").map(PathBuf::from),
            die_at: die_at.map(|millis| Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))),
            power_off_command: last("--power-off-command"),
            containment: text("--containment")
                .map(|value| value.parse().map_err(bad("--containment", &value)))
                .transpose()?
                .unwrap_or_default(),
            listen: text("--listen").unwrap_or_else(|| "0.0.0.0:0".to_owned()),
            address: text("--address"),
            runtime_dir: last("--runtime-dir").map(PathBuf::from),
        };
        if options.order.is_none() && options.node.is_none() {
            return Err(OptionError::Missing("--node"));
        }
        options.check_controller()?;
        Ok(options)
    }

    fn check_controller(&self) -> Result<(), OptionError> {
        match Target::parse(&self.controller, Some(self.ca_pin.clone().unwrap_or(Trust::Pin([0; 32])))) {
            Ok(_) => Ok(()),
            Err(error) => Err(bad::<BadTarget>("--controller", &self.controller)(error)),
        }
    }
}

fn number(option: &'static str, value: Option<String>) -> Result<Option<u64>, OptionError> {
    value.map(|value| value.parse().map_err(bad(option, &value))).transpose()
}

fn bad<E: ToString>(option: &'static str, value: &str) -> impl FnOnce(E) -> OptionError {
    let value = value.to_owned();
    move |problem| OptionError::Bad { option, value, problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, OptionError> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_bought_node_ends_itself_and_a_machine_of_ones_own_does_not() {
        let base = "--state-dir /s --controller https://c:1";
        let bought = parse(&format!("{base} --order 7 --instance i-1")).unwrap();
        assert!(bought.self_end && bought.order == Some(OrderId(7)));
        let own = parse(&format!("{base} --node n1")).unwrap();
        assert!(!own.self_end);
        assert!(parse(&format!("{base} --node n1 --self-end")).unwrap().self_end);
    }

    #[test]
    fn a_wrong_call_is_told_what_is_wrong() {
        for (line, words) in [
            ("--state-dir /s --node n1", "--controller"),
            ("--state-dir /s --controller https://c:1", "--node"),
            ("--state-dir /s --controller c --node n1", "neither"),
            ("--state-dir /s --controller https://c:1 --order x", "--order x"),
            ("--state-dir /s --controller https://c:1 --node n --ca-pin 12", "64 hexadecimal"),
            ("--statedir /s", "--statedir"),
            ("--node", "needs a value"),
        ] {
            let text = parse(line).unwrap_err().to_string();
            assert!(text.contains(words), "{line}: {text}");
        }
    }
}
