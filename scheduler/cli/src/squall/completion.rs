//! `squall completion SHELL`: what a shell needs to complete the options of every command, from the one option table.

use super::wrong_call;
use crate::command::Command;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{self, Opt, Takes};

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let text = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bash"] => bash(),
        ["zsh"] => zsh(),
        ["fish"] => fish(),
        _ => return Err(wrong_call("completion")),
    };
    invocation.out.write_all(text.as_bytes())?;
    Ok(0)
}

fn rows(command: Command) -> impl Iterator<Item = &'static Opt> {
    options::of(command).filter(|opt| opt.same_as.is_none())
}

/// The first line of an option's help, or what becomes of it.
fn about(opt: &Opt) -> String {
    let text = match opt.effect {
        options::Effect::Acts => opt.help.lines().next().unwrap_or_default(),
        options::Effect::Ignored { why } | options::Effect::Refused { why, .. } => why,
    };
    text.replace(['\'', '[', ']', ':', '`', '$', '"', '\\'], " ")
}

fn bash() -> String {
    let mut text = "# Completion for bash: source it, or put it into /etc/bash_completion.d.\n".to_owned();
    for command in Command::LINKED {
        let words: Vec<String> = rows(command)
            .map(|opt| match opt.takes {
                Takes::Value(_) => format!("--{}=", opt.long),
                Takes::Nothing | Takes::Maybe(_) | Takes::Loose(_) => format!("--{}", opt.long),
            })
            .collect();
        text.push_str(&format!(
            "_squall_{command}() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}}\n    COMPREPLY=()\n    \
             case $word in -*) COMPREPLY=($(compgen -W '{}' -- \"$word\")) ;; esac\n    \
             [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace\n    return 0\n}}\n\
             complete -o default -F _squall_{command} {command}\n",
            words.join(" ")
        ));
    }
    text
}

fn zsh() -> String {
    let names: Vec<&str> = Command::LINKED.iter().map(|command| command.name()).collect();
    let mut text =
        format!("#compdef {}\n# Completion for zsh: put it into a folder of $fpath as _squall.\n", names.join(" "));
    text.push_str("case $service in\n");
    for command in Command::LINKED {
        text.push_str(&format!("{command})\n    _arguments \\\n"));
        for opt in rows(command) {
            let value = match opt.takes {
                Takes::Nothing => String::new(),
                Takes::Value(name) => format!(":{}:_files", name.replace([':', '[', ']', '\''], " ")),
                Takes::Maybe(name) | Takes::Loose(name) => {
                    format!("::{}:_files", name.replace([':', '[', ']', '\''], " "))
                }
            };
            let equals = if opt.takes == Takes::Nothing { "" } else { "=" };
            text.push_str(&format!("        '--{}{equals}[{}]{value}' \\\n", opt.long, about(opt)));
        }
        text.push_str("        '*:file:_files'\n    ;;\n");
    }
    text + "esac\n"
}

fn fish() -> String {
    let mut text = "# Completion for fish: put it into ~/.config/fish/completions/squall.fish.\n".to_owned();
    for command in Command::LINKED {
        for opt in rows(command) {
            let short = opt.short.map(|letter| format!(" -s {letter}")).unwrap_or_default();
            let value = if matches!(opt.takes, Takes::Value(_)) { " -r" } else { "" };
            text.push_str(&format!("complete -c {command} -l {}{short}{value} -d '{}'\n", opt.long, about(opt)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command as Process, Stdio};

    #[test]
    fn bash_takes_its_completion_and_completes_with_it() {
        let script = format!(
            "{}\nCOMP_WORDS=(sbatch --ntasks-per-n)\nCOMP_CWORD=1\ncompopt() {{ :; }}\n_squall_sbatch\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            bash()
        );
        let mut child =
            Process::new("bash").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash is here");
        child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("bash reads");
        let output = child.wait_with_output().expect("bash ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "--ntasks-per-node=\n");
    }

    #[test]
    fn every_option_is_in_every_shells_completion() {
        for (shell, text) in [("zsh", zsh()), ("fish", fish())] {
            for opt in Command::LINKED.into_iter().flat_map(rows) {
                assert!(text.contains(opt.long), "{shell}: --{}", opt.long);
            }
            assert!(text.lines().all(|line| line.matches('\'').count() % 2 == 0), "{shell}: quotes come in pairs");
        }
    }
}
