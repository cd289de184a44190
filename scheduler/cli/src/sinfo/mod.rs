//! `sinfo`: partitions and nodes, those that exist and those that could be bought.

mod fields;
mod group;
mod json;
mod states;

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::request::names_of_nodes;
use crate::select;
use crate::show::again::again;
use crate::show::format::{Format, Shown};
use crate::show::moments::Moments;
use crate::show::node_state;
use crate::terminal::escaped;
use fields::{FIELDS, Field, by_letter, by_name};
use group::{Grouping, Row, rows};
use squall_types::api::{NodeView, PartitionView};
use squall_types::did_you_mean;
use std::cmp::Ordering;

const DEFAULT: &str = "%9P %.5a %.10l %.6D %.6t %N";
const LONG: &str = "%9P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N";
const SUMMARY: &str = "%9P %.5a %.10l %.16F %N";
const REASONS: &str = "%20E %9u %19H %N";
const LONG_REASONS: &str = "%20E %12U %19H %6t %N";
/// Names of nodes have at least so much room with `-N`.
const NODE_WIDTH: usize = 9;

/// # Errors
/// What cannot be understood, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(&invocation.environment);
    given.refuse_what_cannot_be_kept()?;
    again(invocation, &given, once)
}

fn once(invocation: &mut Invocation<'_>, given: &Given) -> Result<i32, Failure> {
    if given.has("reservation") {
        writeln!(invocation.out, "No reservations in the system")?;
        return Ok(0);
    }
    let wanted = Wanted::read(given)?;
    let load = |error| Failure::load("slurm_load_partitions", &error);
    let mut partitions = invocation.controller.partitions().map_err(load)?;
    let nodes = invocation.controller.nodes().map_err(load)?;
    partitions.retain(|partition| wanted.partitions.is_empty() || wanted.partitions.contains(&partition.name.0));
    if let Some(notation) = crate::show::json::asked(given, invocation.command)? {
        return json::print(invocation, notation, &partitions, &nodes, |node| wanted.takes(node));
    }
    let nodes: Vec<&NodeView> = nodes.iter().filter(|node| wanted.takes(node)).collect();
    let format = format(given, &nodes);
    tell_unknown(invocation, &format)?;
    let moments = Moments::of(invocation);
    let grouping =
        Grouping { format: &format, exact: given.has("exact"), by_node: given.has("Node"), moments: &moments };
    let mut rows = rows(&grouping, &partitions, &nodes);
    // A partition of which no node is wanted has a line where the line would say which partition it is.
    if !wanted.takes_all() && !format.fields().any(|field| matches!(field.letter, Some('P' | 'R'))) {
        rows.retain(|row| !row.nodes.is_empty());
    }
    if given.has("list-reasons") {
        rows.retain(|row| row.first().is_some_and(|node| !node.reason.is_empty()));
    }
    sort(&mut rows, given, &partitions)?;
    if given.has("long") {
        writeln!(invocation.out, "{}", moments.headline())?;
    }
    if !given.has("noheader") {
        write!(invocation.out, "{}", format.headings(|field| field.heading))?;
    }
    for row in &rows {
        write!(invocation.out, "{}", format.line(|field| shown(field, row)))?;
    }
    Ok(0)
}

fn shown(field: &Field, row: &Row<'_>) -> Shown<'static> {
    Shown { text: (field.value)(row).into(), whole: matches!(field.letter, Some('l' | 'L' | 'N')) }
}

/// Which partitions and nodes are asked for.
struct Wanted {
    partitions: Vec<String>,
    nodes: Vec<String>,
    states: Vec<states::Wanted>,
    /// Only with contact, or only without.
    contact: Option<bool>,
    /// Only those that somebody or something has closed.
    closed: bool,
}

impl Wanted {
    fn read(given: &Given) -> Result<Self, Failure> {
        let names = |text: &str| names_of_nodes("sinfo", "nodes", text);
        let states = match given.text("states").filter(|text| !text.eq_ignore_ascii_case("all")) {
            Some(text) => states::parse(text).map_err(|word| states::invalid(&word))?,
            None => Vec::new(),
        };
        Ok(Wanted {
            partitions: given
                .text("partition")
                .map(|text| select::names(text).map(str::to_owned).collect())
                .unwrap_or_default(),
            nodes: given.text("nodes").map(names).transpose()?.unwrap_or_default(),
            states,
            contact: given.later_of(&["responding", "dead"]).map(|which| which == "responding"),
            closed: given.has("list-reasons"),
        })
    }

    /// Whether no node is left out.
    fn takes_all(&self) -> bool {
        self.nodes.is_empty() && self.states.is_empty() && self.contact.is_none() && !self.closed
    }

    fn takes(&self, node: &NodeView) -> bool {
        let off = node_state::words(node).sign == "~";
        (self.nodes.is_empty() || self.nodes.contains(&node.name.0))
            && (self.states.is_empty() || self.states.iter().any(|state| state.takes(node)))
            // A machine that is not there yet is not one that does not answer.
            && self.contact.is_none_or(|contact| (node.contact || off) == contact)
            && (!self.closed || !node.reason.is_empty())
    }
}

fn format(given: &Given, nodes: &[&NodeView]) -> Format<Field> {
    let all = || Format::of_all(FIELDS.iter().filter(|field| field.letter.is_some()));
    let letters = |text: &str| match text.eq_ignore_ascii_case("%all") {
        true => all(),
        false => Format::of_letters(text, by_letter),
    };
    let named = given.source("Format") > given.source("format");
    let long = given.has("long");
    match (given.text("format"), given.text("Format")) {
        (_, Some(text)) if named && text.eq_ignore_ascii_case("all") => all(),
        (_, Some(text)) if named => Format::of_names(text, by_name),
        (Some(text), _) => letters(text),
        _ if given.has("summarize") => letters(SUMMARY),
        _ if given.has("list-reasons") => letters(if long { LONG_REASONS } else { REASONS }),
        _ if given.has("Node") => {
            let width = nodes.iter().map(|node| node.name.0.chars().count()).max().unwrap_or(0).max(NODE_WIDTH);
            match long {
                true => letters(&format!("%{width}N %.6D %.9P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E")),
                false => letters(&format!("%{width}N %.6D %.9P %6t")),
            }
        }
        _ if long => letters(LONG),
        _ => letters(DEFAULT),
    }
}

fn tell_unknown(invocation: &mut Invocation<'_>, format: &Format<Field>) -> Result<(), Failure> {
    for unknown in &format.unknown {
        let shown = escaped(unknown);
        writeln!(invocation.err, "Invalid node format specification: {shown}")?;
        if let Some(meant) = did_you_mean::closest(unknown, FIELDS.iter().map(|field| field.name))
            && unknown.len() > 1
        {
            writeln!(invocation.err, "sinfo: did you mean '{meant}'?")?;
        }
    }
    Ok(())
}

/// By partition in the controller's order, then by state, the busiest first; `-N` by name; `-S` by what it says.
fn sort(rows: &mut [Row<'_>], given: &Given, partitions: &[PartitionView]) -> Result<(), Failure> {
    let place = |row: &Row<'_>| partitions.iter().position(|known| known.name == row.partition.name);
    let rank = |row: &Row<'_>| row.first().map_or(0, |node| node_state::words(node).rank);
    let name = |row: &Row<'_>| row.first().map(|node| node.name.0.clone());
    let Some(order) = given.text("sort") else {
        match given.has("Node") {
            true => rows.sort_by_cached_key(|row| (name(row), place(row))),
            false => rows.sort_by_key(|row| (place(row), std::cmp::Reverse(rank(row)))),
        }
        return Ok(());
    };
    let mut keys = Vec::new();
    for item in select::names(order) {
        let (reverse, rest) = match item.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, item.strip_prefix('+').unwrap_or(item)),
        };
        let (configured, rest) = rest.strip_prefix('#').map_or((false, rest), |rest| (true, rest));
        let mut letters = rest.chars();
        match (letters.next().and_then(by_letter), letters.next()) {
            (Some(field), None) => keys.push((field, reverse, configured)),
            _ => {
                let first = format!("Invalid sort specification: {}", escaped(rest));
                return Err(Failure::error("sinfo", first));
            }
        }
    }
    let compare = |one: &Row<'_>, other: &Row<'_>| {
        keys.iter().fold(Ordering::Equal, |so_far, (field, reverse, configured)| {
            so_far.then_with(|| {
                let order = match field.letter {
                    Some('P' | 'R') if *configured => place(one).cmp(&place(other)),
                    Some('t' | 'T') => rank(one).cmp(&rank(other)),
                    _ => natural(&(field.value)(one), &(field.value)(other)),
                };
                if *reverse { order.reverse() } else { order }
            })
        })
    };
    rows.sort_by(compare);
    Ok(())
}

/// Amounts by their size, everything else by its text.
fn natural(one: &str, other: &str) -> Ordering {
    let number = |text: &str| text.trim_end_matches('+').parse::<u64>().ok();
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}
