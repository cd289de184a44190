//! `squall token`: tokens with which a user reaches the controller from a machine that is no part of the cluster.

use crate::asked::{Row, Subcommand};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::moments::Moments;
use crate::terminal::escaped;
use squall_types::api::{UserToken, UserTokenAsk, UserTokenReply};
use squall_types::span_text::parse_span;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

const TOKEN: Subcommand = Subcommand {
    name: "token",
    operands: "create | list | revoke ID",
    about: "Lets you use this cluster from a machine that is no part of it. Whoever has the token can do there what you\n\
            can: keep it in a file that you alone can read, and let it live no longer than you need it.",
    rows: &[
        Row {
            long: "lifetime",
            value: Some("TIME"),
            help: "of a new token, as of a job: 8:00:00; 12 hours without this",
        },
        Row { long: "file", value: Some("FILE"), help: "write a new token there, instead of printing it" },
        Row { long: "json", value: None, help: "print JSON" },
    ],
};

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let Some(asked) = TOKEN.read(words)? else {
        write!(invocation.out, "{}", TOKEN.help())?;
        return Ok(0);
    };
    let operands: Vec<&str> = asked.operands.iter().map(String::as_str).collect();
    let ask = match operands.as_slice() {
        ["create"] => {
            let lifetime = asked.text("lifetime").map(parse_span).transpose();
            UserTokenAsk::Create { lifetime: lifetime.map_err(|error| TOKEN.wrong(format!("--lifetime: {error}")))? }
        }
        ["list"] => UserTokenAsk::List,
        ["revoke", id] => UserTokenAsk::Revoke { id: (*id).to_owned() },
        _ => return Err(TOKEN.wrong("one of: create, list, revoke ID")),
    };
    let answered = invocation.controller.user_tokens(&ask);
    let reply = answered.map_err(|error| Failure::call("squall token", "Cannot do this with a token", &error))?;
    match (ask, asked.has("json")) {
        (UserTokenAsk::Create { .. }, json) => created(invocation, &reply, asked.text("file"), json)?,
        (_, true) => {
            let tokens: Vec<_> = reply.tokens.iter().map(json_of).collect();
            writeln!(invocation.out, "{}", serde_json::json!({ "tokens": tokens }))?;
        }
        (UserTokenAsk::List, false) => {
            let moments = Moments::of(invocation);
            writeln!(invocation.out, "{:<16} {:>10} {:<19} EXPIRES", "ID", "UID", "CREATED")?;
            for token in &reply.tokens {
                let (created, expires) = (moments.at(token.created_at), moments.at(token.expires_at));
                writeln!(invocation.out, "{:<16} {:>10} {created:<19} {expires}", escaped(&token.id), token.uid.0)?;
            }
        }
        (UserTokenAsk::Revoke { .. }, false) => {}
    }
    Ok(0)
}

fn created(
    invocation: &mut Invocation<'_>,
    reply: &UserTokenReply,
    file: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let (Some(ticket), [token]) = (&reply.made, reply.tokens.as_slice()) else {
        return Err(Failure::error("squall token", format_args!("the controller made no token")));
    };
    if let Some(file) = file {
        // Never through a link, and never into a file that others could have opened before.
        let path = invocation.directory.join(file);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = made.and_then(|mut made| writeln!(made, "{}", ticket.secret));
        written.map_err(|error| Failure::error("squall token", format_args!("{}: {error}", escaped(file))))?;
    }
    match (json, file) {
        (true, file) => {
            let mut told = json_of(token);
            told["controller"] = ticket.controller.clone().into();
            told["ca_pin"] = ticket.ca_pin.clone().into();
            if file.is_none() {
                told["token"] = ticket.secret.clone().into();
            }
            writeln!(invocation.out, "{told}")?;
        }
        (false, None) => writeln!(invocation.out, "{}", ticket.secret)?,
        (false, Some(_)) => {}
    }
    let expires = Moments::of(invocation).at(token.expires_at);
    writeln!(
        invocation.err,
        "until {expires}, with the token in a file FILE of mode 0600, in ~/.config/squall/client.toml:"
    )?;
    writeln!(invocation.err, "  controller = \"{}\"", escaped(&ticket.controller))?;
    writeln!(invocation.err, "  ca_pin = \"{}\"", escaped(&ticket.ca_pin))?;
    writeln!(invocation.err, "  token_file = \"FILE\"")?;
    Ok(())
}

fn json_of(token: &UserToken) -> serde_json::Value {
    serde_json::json!({
        "id": token.id, "uid": token.uid.0, "created_at": token.created_at.0, "expires_at": token.expires_at.0,
    })
}
