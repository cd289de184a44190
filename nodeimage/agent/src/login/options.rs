//! What the daemon of a login host is started with.

use squall_proto::connect::Trust;
use std::ffi::OsString;
use std::path::PathBuf;

/// Printed for `--help`.
pub const USAGE: &str = "\
usage: squalld login --name HOST --controller ADDR --state-dir DIR [options]

  --name HOST              what the configuration calls this host, under [login_hosts]
  --controller ADDR        https://HOST:PORT of the controller
  --ca-pin HEX             SHA-256 of the cluster CA's certificate, needed to enrol
  --join-secret-file FILE  the single-use token that enrols this host
  --state-dir DIR          where its key and certificate are kept
  --socket PATH            where commands connect (/run/squall/ctld.sock)
";

#[derive(Clone, Debug)]
pub struct LoginOptions {
    pub name: String,
    pub controller: String,
    pub ca_pin: Option<Trust>,
    pub join_secret_file: Option<PathBuf>,
    pub state_dir: PathBuf,
    pub socket: PathBuf,
}

impl LoginOptions {
    /// Reads the arguments after `login`.
    ///
    /// # Errors
    /// What is wrong, for people; the usage where it was asked for.
    pub fn parse(arguments: &[OsString]) -> Result<LoginOptions, String> {
        let mut options = LoginOptions {
            name: String::new(),
            controller: String::new(),
            ca_pin: None,
            join_secret_file: None,
            state_dir: PathBuf::new(),
            socket: PathBuf::from("/run/squall/ctld.sock"),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let name = argument.to_string_lossy();
            if name == "--help" {
                return Err(USAGE.to_owned());
            }
            let value = rest.next().ok_or_else(|| format!("{name} needs a value, or is no option here"))?;
            let text = value.to_string_lossy().into_owned();
            match name.as_ref() {
                "--name" => options.name = text,
                "--controller" => options.controller = text,
                "--ca-pin" => {
                    options.ca_pin = Some(Trust::pin(&text).map_err(|error| format!("--ca-pin {text}: {error}"))?)
                }
                "--join-secret-file" => options.join_secret_file = Some(value.into()),
                "--state-dir" => options.state_dir = value.into(),
                "--socket" => options.socket = value.into(),
                other => return Err(format!("{other} is no option here: `squalld login --help` lists them")),
            }
        }
        let missing = [
            ("--name", options.name.is_empty()),
            ("--controller", options.controller.is_empty()),
            ("--state-dir", options.state_dir.as_os_str().is_empty()),
        ];
        match missing.into_iter().find(|(_, missing)| *missing) {
            Some((name, _)) => Err(format!("{name} is missing: `squalld login --help` says what it is")),
            None => Ok(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<LoginOptions, String> {
        LoginOptions::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert!(parse("--controller https://c:1 --state-dir /s").unwrap_err().starts_with("--name is missing"));
        assert!(parse("--nmae x").unwrap_err().starts_with("--nmae is no option"));
        assert!(parse("--name").unwrap_err().contains("needs a value"));
        assert!(
            parse("--name h --controller https://c:1 --state-dir /s --ca-pin 12")
                .unwrap_err()
                .starts_with("--ca-pin 12")
        );
        let options = parse("--name h --controller https://c:1 --state-dir /s").unwrap();
        assert_eq!(options.socket, PathBuf::from("/run/squall/ctld.sock"));
    }
}
