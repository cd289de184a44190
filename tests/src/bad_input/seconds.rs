//! A second one of what there may be once: a controller on the same state, an agent with the same identity.

use super::Scene;
use crate::stage::{Process, Said, Stage, program};
use std::path::Path;
use std::process::Command;

#[test]
fn a_second_controller_on_the_same_state_is_refused_and_the_first_goes_on() {
    let scene = Scene::set();
    let mut second = scene.stage.command(program("squallctld"));
    second.args(["run", "--config"]).arg(scene.stage.path("squall.toml"));
    let said: Said = second.output().expect("the controller can be executed").into();
    assert_eq!(said.code, Some(75), "{said:?}");
    assert!(said.err.contains("state/journal is in use by process"), "{said:?}");

    // With a state of its own it would still take the first one's socket.
    let mut third = scene.stage.command(program("squallctld"));
    third
        .args(["run", "--state-dir"])
        .arg(scene.stage.path("other"))
        .arg("--config")
        .arg(scene.stage.path("squall.toml"));
    let said: Said = third.output().expect("the controller can be executed").into();
    assert_eq!(said.code, Some(69), "{said:?}");
    assert!(said.err.contains("ctld.sock") && said.err.contains("another process listens"), "{said:?}");
    scene.nothing_was_lost();
}

/// The words of the same call, with other values for some options.
fn again(agent: &Process, others: &[(&str, &str)]) -> Vec<String> {
    let mut words = agent.words.clone();
    for (option, value) in others {
        let at = words.iter().position(|word| word == option).expect("it was called with this option");
        words[at + 1] = (*value).to_owned();
    }
    words
}

/// What runs a command where the machine has another name; `None` where that is not allowed.
fn on_another_machine(stage: &Stage) -> Option<Command> {
    [&["--uts"][..], &["--map-root-user", "--uts"]].into_iter().find_map(|how| {
        let unshare = |then: &str| {
            let mut command = stage.command("unshare");
            command.args(how).args(["sh", "-c", then, "sh"]);
            command
        };
        let allowed = unshare("hostname another-machine").output().is_ok_and(|output| output.status.success());
        allowed.then(|| unshare("hostname another-machine && exec \"$@\""))
    })
}

#[test]
fn a_second_agent_is_refused_on_the_same_state_and_with_the_same_identity() {
    let scene = Scene::set();
    let agent = scene.stage.agents().pop().expect("an agent runs");
    let state = Path::new(agent.option("--state-dir").expect("it has a state folder")).to_owned();
    let words = again(&agent, &[]);
    let said: Said = Command::new(&words[0]).args(&words[1..]).output().expect("the agent can be executed").into();
    assert_eq!(said.code, Some(17), "{said:?}");
    assert!(said.err.contains("agent") && said.err.contains(state.to_str().expect("text")), "{said:?}");

    // What a cloned image would be: the same key and certificate, on what says that it is another machine.
    let copy = scene.stage.path("copy");
    std::fs::create_dir(&copy).expect("a folder");
    for file in ["key.pem", "membership"] {
        std::fs::copy(state.join(file), copy.join(file)).expect("a file that can be copied");
    }
    let words = again(&agent, &[("--state-dir", copy.to_str().expect("text")), ("--instance", "clone")]);
    let Some(mut clone) = on_another_machine(&scene.stage) else {
        println!("NOT TESTED: a clone, since nobody here may call a machine otherwise");
        return scene.nothing_was_lost();
    };
    let log = std::fs::File::create(scene.stage.path("copy.log")).expect("a log");
    // Whoever plays root in a namespace of its own has no right to the system's folder.
    clone.env("SQUALL_RUNTIME_DIR", scene.stage.path("run"));
    clone.args(words).stdout(log.try_clone().expect("a second handle")).stderr(log);
    let mut clone = clone.spawn().expect("unshare is here");
    scene.stage.eventually("the second agent is refused, and somebody is told", || {
        let read = |name| std::fs::read_to_string(scene.stage.path(name)).unwrap_or_default();
        let told = read("copy.log");
        assert_eq!(clone.try_wait().expect("a child can be asked"), None, "{told}");
        let refused = told.contains("another agent with this identity is connected");
        (refused && read("controller.log").contains("a second agent with its identity was refused")).then_some(())
    });
    clone.kill().expect("it can be ended");
    clone.wait().expect("it can be waited for");
    scene.nothing_was_lost();
}
