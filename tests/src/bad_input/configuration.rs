//! Configurations with mistakes: each is told with its place, nothing starts, and nothing that runs changes.

use super::Scene;
use crate::stage::{Said, Stage, elastic, program};

/// A mistake: what is replaced by what, and what is to be said about it.
const MISTAKES: [(&str, &str, &str); 8] = [
    ("max_nodes = 2", "max_noodes = 2", "did you mean `max_nodes`?"),
    ("max_nodes = 2", "max_nodes = \"two\"", "must be a whole number, not the text \"two\""),
    ("max_nodes = 2", "max_nodes = -2", "is -2, which is not between"),
    ("idle_after = \"2s\"", "idle_after = 2", "without a unit"),
    ("pools = [\"cloud\"]", "pools = [\"clod\"]", "clod"),
    ("provisioner = \"local\"", "provisioner = \"locl\"", "did you mean \"local\"?"),
    ("price = 8.0", "price = -8.0", "less than nothing"),
    ("cluster = \"stage\"", "cluster = \"stage", "not TOML"),
];

fn told(stage: &Stage, words: &[&str]) -> Said {
    let mut daemon = stage.command(program("squallctld"));
    daemon.args(words).arg(stage.path("wrong.toml"));
    daemon.output().expect("the controller can be executed").into()
}

#[test]
fn mistakes_are_told_with_their_places_and_change_nothing() {
    let scene = Scene::set();
    let stage = &scene.stage;
    let good = elastic(stage.dir(), 2);
    for (from, to, words) in MISTAKES {
        assert!(good.contains(from), "{from}");
        let wrong = good.replace(from, to);
        std::fs::write(stage.path("wrong.toml"), &wrong).expect("a configuration");
        let line = wrong.lines().position(|line| line.contains(to)).expect("the mistake stands somewhere") + 1;
        for words_of in [&["config", "check"][..], &["run", "--config"]] {
            let said = told(stage, words_of);
            assert_eq!(said.code, Some(78), "{to}: {said:?}");
            let place = format!("wrong.toml:{line}:");
            assert!(said.err.contains(&place) && said.err.contains(words), "{to}: {place} {words:?}: {}", said.err);
        }
        // A reload is all or nothing.
        stage.configure(&wrong);
        let reload = stage.call(&["scontrol", "reconfigure"]);
        assert!(reload.code == Some(1) && reload.err.contains(words), "{to}: {reload:?}");
    }
    stage.configure(&good);
    stage.call(&["scontrol", "reconfigure"]).good();
    std::fs::write(stage.path("wrong.toml"), &good).expect("a configuration");
    let said = told(stage, &["config", "check"]);
    assert!(said.code == Some(0) && said.out.contains("no mistakes"), "{said:?}");
    std::fs::remove_file(stage.path("wrong.toml")).expect("it was there");
    let said = told(stage, &["config", "check"]);
    assert!(said.code == Some(78) && said.err.contains("wrong.toml"), "{said:?}");
    scene.nothing_was_lost();
}
