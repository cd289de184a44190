//! `sinfo` against what Slurm 22.05.8 printed for the same machines, and what Slurm does not show: what could be bought.

use crate::canned::Canned;
use crate::sample;
use crate::transcript::Desk;
use squall_proto::ClientError;

fn desk() -> Desk {
    let (partitions, nodes) = sample::machines();
    Desk::new(Canned { partitions, nodes, ..Canned::default() })
}

#[test]
fn the_default_tables_are_slurms_to_the_letter() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sinfo",
        "sinfo -l",
        "sinfo -N",
        "sinfo -Nl",
        "sinfo -s",
        "sinfo -R",
        "sinfo -h",
        "sinfo -n n1",
        "sinfo -n nosuch",
        "sinfo -t idle",
        "sinfo -p low",
        "sinfo -p nosuch",
        "sinfo -e",
        "sinfo -d",
        "sinfo -r",
        "sinfo extra",
    ]));
}

#[test]
fn what_could_be_bought_shows_its_shape() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sinfo -p cloud -o '%P %G %l %p %c %m'",
        "sinfo -p cloud -e -o '%P %c %m %G %D %t'",
        "sinfo -p cloud -O partitionname:10,offer:30,price:12,gres:12,statelong:10",
        "sinfo -p cloud -o '%F %C'",
    ]));
}

#[test]
fn groups_that_a_partition_is_open_to_are_named() {
    let (mut partitions, nodes) = sample::machines();
    partitions[0].allow_groups = vec!["vision".to_owned(), "speech".to_owned()];
    let partition = partitions[0].name.clone();
    let desk = Desk::new(Canned { partitions, nodes, ..Canned::default() });
    let line = desk.run(&format!("sinfo -h -p {partition} -o %g")).out;
    assert_eq!(line.lines().next(), Some("vision,speech"));
}

#[test]
fn formats_of_both_kinds_are_read() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sinfo -o '%P,%m'",
        "sinfo -o '%20P|%.10D|%-5t|%5a'",
        "sinfo -N -o '%N %t %G' -p batch",
        "sinfo -h -p batch,low -o '%F/%C'",
        "sinfo -O nodehost:20,gres:20,gresused:30,statelong -p batch",
        "sinfo -h -S -P -o '%P %D'",
        "sinfo -h -S '#P,-t' -o '%P %t'",
        "sinfo -p batch -o %all",
        "sinfo -p batch -O nodelist,nosuch",
        "sinfo -aho %P",
    ]));
}

#[test]
fn every_state_has_slurms_word_and_sign() {
    let nodes = sample::conditions();
    let partitions = vec![sample::partition("batch", true, &[])];
    let desk = Desk::new(Canned { partitions, nodes, ..Canned::default() });
    insta::assert_snapshot!(desk.transcripts(&[
        "sinfo",
        "sinfo -N -h -o '%N %t %T'",
        "sinfo -O nodelist,statecomplete:40",
        "sinfo -R",
        "sinfo -Rl",
        "sinfo -t drain,down -h -o %N",
        "sinfo -t powering_up,powered_down -h -o %N",
        "sinfo -s",
    ]));
}

#[test]
fn what_sinfo_refuses_is_told() {
    let unreachable = ClientError::Unreachable { target: "unix:/x".into(), cause: "no such file".into() };
    let silent = Desk::new(Canned { broken: Some(unreachable), ..Canned::default() });
    let shown =
        desk().transcripts(&["sinfo --foo", "sinfo -t foo", "sinfo -S foo", "sinfo --yaml=v9", "sinfo -n 'n['"])
            + &silent.transcript("sinfo");
    insta::assert_snapshot!(shown);
}

#[test]
fn json_lists_each_node_with_its_partition() {
    let text = desk().run("sinfo --json -p cloud").out;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["sinfo"].as_array().map(Vec::len), Some(2));
    assert_eq!(value["sinfo"][0]["node"]["state"], serde_json::json!(["IDLE", "CLOUD", "POWERED_DOWN"]));
    let read: serde_json::Value = yaml_serde::from_str(&desk().run("sinfo --yaml -p cloud").out).unwrap();
    assert_eq!(read["sinfo"], value["sinfo"]);
}
