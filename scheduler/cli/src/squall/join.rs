//! `squall join-token`: what a machine of one's own needs to join, with the command that it joins by.

use crate::asked::{Row, Subcommand};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use squall_types::NodeName;
use squall_types::api::JoinTokenFor;

const JOIN_TOKEN: Subcommand = Subcommand {
    name: "join-token",
    operands: "",
    about: "Prints a token with which one machine that the configuration names joins, once and within a day.\n\
            How it does is told on standard error. Whoever has the token can be that machine: keep it in a file.",
    rows: &[
        Row { long: "node", value: Some("NAME"), help: "for a node under [pools.POOL.nodes]" },
        Row { long: "login-host", value: Some("NAME"), help: "for a host under [login_hosts]" },
    ],
};

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let Some(asked) = JOIN_TOKEN.read(words)? else {
        write!(invocation.out, "{}", JOIN_TOKEN.help())?;
        return Ok(0);
    };
    let (joiner, name, verb) = match (asked.text("node"), asked.text("login-host")) {
        (Some(name), None) => (JoinTokenFor::StaticNode(NodeName::new(name)), name, "run --node"),
        (None, Some(name)) => (JoinTokenFor::LoginHost(name.to_owned()), name, "login --name"),
        _ => return Err(JOIN_TOKEN.wrong("it is for one machine: --node=NAME or --login-host=NAME")),
    };
    let made = invocation.controller.join_token(&joiner);
    let ticket = made.map_err(|error| Failure::call("squall join-token", "Cannot make a join token", &error))?;
    writeln!(invocation.out, "{}", ticket.secret)?;
    let name = escaped(name);
    writeln!(invocation.err, "with the token in a file FILE that root alone can read, on {name}:")?;
    writeln!(invocation.err, "  squalld {verb} {name} --state-dir /var/lib/squall --join-secret-file FILE \\")?;
    writeln!(invocation.err, "    --controller {} --ca-pin {}", escaped(&ticket.controller), escaped(&ticket.ca_pin))?;
    Ok(0)
}
