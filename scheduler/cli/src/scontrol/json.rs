//! `scontrol show` in JSON or YAML: nodes and partitions. Jobs and steps are those of `squeue`.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::json::{Answer, Notation, Surroundings, Value, node, partition};
use squall_types::api::{NodeView, PartitionView};

pub fn nodes(invocation: &mut Invocation<'_>, notation: Notation, nodes: &[&NodeView]) -> Result<i32, Failure> {
    let surroundings = Surroundings::of(invocation, notation.shape);
    Answer::list("nodes", nodes, &surroundings, |one| node::record(notation.shape, one))
        .with_moments(&["last_update"])
        .write(invocation, notation)
}

pub fn partitions(
    invocation: &mut Invocation<'_>,
    notation: Notation,
    partitions: &[&PartitionView],
    nodes: &[NodeView],
) -> Result<i32, Failure> {
    let surroundings = Surroundings::of(invocation, notation.shape);
    let record = |one| partition::record(notation.shape, one, partition::memory_of(one, nodes));
    Answer::list("partitions", partitions, &surroundings, |one| record(*one))
        .with_moments(&["last_update"])
        .write(invocation, notation)
}

/// Of a kind of which there are none here: licences and reservations.
pub fn none(invocation: &mut Invocation<'_>, notation: Notation, name: &'static str) -> Result<i32, Failure> {
    let surroundings = Surroundings::of(invocation, notation.shape);
    Answer::of(name, Value::NONE, &surroundings).with_moments(&["last_update"]).write(invocation, notation)
}
