//! The report as a chart: a column for each configuration; queue, nodes by state and spend below each other over the
//! same time, each row on one scale. Colours are those of Okabe and Ito, which colour-blind people can tell apart.

mod axis;

use super::report::{Compared, Configuration, Report};
use axis::{Scale, Unit};
use squall_sim::whatif::Series;
use std::fmt::Write;

const LEFT: f64 = 74.0;
const GAP: f64 = 26.0;
const TOP: f64 = 92.0;
const PANEL_HEIGHT: f64 = 150.0;
const PANEL_GAP: f64 = 34.0;
const BELOW: f64 = 96.0;
const DAY: f64 = 86_400_000.0;

/// By state, from the bottom: the colour and the word.
const STATES: [(&str, &str); 4] =
    [("#0072B2", "busy"), ("#56B4E9", "idle"), ("#E69F00", "booting"), ("#999999", "ending")];
/// By policy, as they are played.
const POLICIES: [(&str, &str, &str); 4] =
    [("Squall", "#D55E00", ""), ("FIFO", "#000000", "2 3"), ("EASY", "#009E73", "7 3"), ("SJF", "#CC79A7", "1 2 5 2")];

/// Of a panel, in pixels: one alone is as wide as the legend.
fn panel_width(report: &Report) -> f64 {
    match report.configurations.len() {
        0 | 1 => 660.0,
        2 => 420.0,
        _ => 380.0,
    }
}

/// SVG of the whole report.
pub fn draw(report: &Report) -> String {
    let (columns, panel) = (report.configurations.len().max(1) as f64, panel_width(report));
    let width = LEFT + columns * panel + (columns - 1.0) * GAP + 24.0;
    let height = TOP + 3.0 * PANEL_HEIGHT + 2.0 * PANEL_GAP + BELOW;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    );
    let title = format!(
        "{} jobs of {} under {} configuration{}",
        report.trace.jobs,
        report.trace.name,
        report.configurations.len(),
        if report.configurations.len() == 1 { "" } else { "s" }
    );
    text(&mut svg, width / 2.0, 24.0, "middle", "font-size=\"16\" font-weight=\"bold\"", &title);
    let scales = Scales::of(report);
    for (number, configuration) in report.configurations.iter().enumerate() {
        let left = LEFT + number as f64 * (panel + GAP);
        column(&mut svg, left, configuration, &scales, number == 0);
    }
    legend(&mut svg, width, height, report);
    svg.push_str("</svg>\n");
    svg
}

/// What all panels of a row have in common.
struct Scales {
    time: Scale,
    queue: Scale,
    nodes: Scale,
    spend: Scale,
}

impl Scales {
    fn of(report: &Report) -> Scales {
        let all = || report.configurations.iter().flat_map(|configuration| &configuration.outcomes);
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let end = most(&mut all().map(|one| one.outcome.series.end_ms as f64 / DAY));
        let queue = most(&mut all().flat_map(|one| one.outcome.series.queued_jobs.iter().copied()));
        let nodes = most(&mut shown_nodes(report).flat_map(|one| {
            let series = &one.outcome.series;
            (0..series.busy.len()).map(|at| states(series).iter().map(|state| state[at]).sum())
        }));
        let spend = most(&mut all().map(|one| one.outcome.cost_micro_usd as f64 / 1e6));
        Scales {
            time: Scale::new(end, Unit::Plain, panel_width(report), 7),
            queue: Scale::new(queue, Unit::Plain, PANEL_HEIGHT, 5),
            nodes: Scale::new(nodes, Unit::Plain, PANEL_HEIGHT, 5),
            spend: Scale::new(spend, Unit::Thousands, PANEL_HEIGHT, 5),
        }
    }
}

/// Whose nodes are drawn: the first of each configuration.
fn shown_nodes(report: &Report) -> impl Iterator<Item = &Compared> {
    report.configurations.iter().filter_map(|configuration| configuration.outcomes.first())
}

fn states(series: &Series) -> [&Vec<f64>; 4] {
    [&series.busy, &series.idle, &series.booting, &series.ending]
}

fn column(svg: &mut String, left: f64, configuration: &Configuration, scales: &Scales, first: bool) {
    text(
        svg,
        left + scales.time.length / 2.0,
        TOP - 14.0,
        "middle",
        "font-size=\"13\" font-weight=\"bold\"",
        &configuration.name,
    );
    let top = |row: usize| TOP + row as f64 * (PANEL_HEIGHT + PANEL_GAP);
    let rows = [("Jobs queued", &scales.queue), ("Nodes", &scales.nodes), (scales.spend.unit.dollars(), &scales.spend)];
    for (row, (name, scale)) in rows.into_iter().enumerate() {
        frame(svg, left, top(row), scale, &scales.time, first.then_some(name), row == 2);
    }
    if let Some(shown) = configuration.outcomes.first() {
        areas(svg, left, top(1), &shown.outcome.series, scales);
    }
    for one in &configuration.outcomes {
        let series = &one.outcome.series;
        let queued = steps(&series.queued_jobs, series);
        line(svg, left, top(0), &queued, &scales.queue, scales, &one.outcome.policy);
        let spent: Vec<f64> = series.spent_micro_usd.iter().map(|micro| *micro as f64 / 1e6).collect();
        line(svg, left, top(2), &slopes(&spent, series), &scales.spend, scales, &one.outcome.policy);
    }
    if let Some(ideal) = configuration.bounds.ideal_cost_micro_usd {
        let y = top(2) + PANEL_HEIGHT - scales.spend.at(ideal as f64 / 1e6);
        let right = left + scales.time.length;
        let _ = writeln!(
            svg,
            "<line x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\" stroke=\"#555\" stroke-dasharray=\"10 4 2 4\"/>"
        );
        text(svg, left + 6.0, y - 4.0, "start", "font-size=\"10\" fill=\"#555\"", "lower bound of the cost");
    }
}

/// Points in days and units, a level for each stretch.
fn steps(values: &[f64], series: &Series) -> Vec<(f64, f64)> {
    let day = |at: usize| ((at as i64 * series.width_ms).min(series.end_ms)) as f64 / DAY;
    values.iter().enumerate().flat_map(|(at, value)| [(day(at), *value), (day(at + 1), *value)]).collect()
}

/// Points for what grows evenly from the end of one stretch to the end of the next.
fn slopes(values: &[f64], series: &Series) -> Vec<(f64, f64)> {
    let day = |at: usize| ((at as i64 * series.width_ms).min(series.end_ms)) as f64 / DAY;
    let points = values.iter().enumerate().map(|(at, value)| (day(at + 1), *value));
    std::iter::once((0.0, 0.0)).chain(points).collect()
}

fn frame(svg: &mut String, left: f64, top: f64, scale: &Scale, time: &Scale, name: Option<&str>, last: bool) {
    let bottom = top + PANEL_HEIGHT;
    for tick in scale.ticks() {
        let y = bottom - scale.at(tick);
        let right = left + time.length;
        let _ =
            writeln!(svg, "<line x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\" stroke=\"#e4e4e4\"/>");
        if name.is_some() {
            text(svg, left - 7.0, y + 4.0, "end", "font-size=\"11\"", &scale.label(tick));
        }
    }
    for tick in time.ticks() {
        let x = left + time.at(tick);
        let y = bottom + 4.0;
        let _ = writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{bottom:.1}\" x2=\"{x:.1}\" y2=\"{y:.1}\" stroke=\"#222\"/>");
        if last {
            text(svg, x, bottom + 17.0, "middle", "font-size=\"11\"", &time.label(tick));
        }
    }
    let width = time.length;
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{PANEL_HEIGHT:.1}\" fill=\"none\" stroke=\"#222\" stroke-width=\"0.8\"/>"
    );
    if let Some(name) = name {
        let (x, y) = (left - 56.0, top + PANEL_HEIGHT / 2.0);
        text(svg, x, y, "middle", &format!("transform=\"rotate(-90 {x:.1} {y:.1})\""), name);
    }
    if last {
        text(svg, left + time.length / 2.0, bottom + 34.0, "middle", "", "Days since the first submission");
    }
}

fn line(svg: &mut String, left: f64, top: f64, points: &[(f64, f64)], scale: &Scale, scales: &Scales, policy: &str) {
    let (_, colour, dashes) = POLICIES.iter().find(|(name, ..)| *name == policy).unwrap_or(&POLICIES[0]);
    let bottom = top + PANEL_HEIGHT;
    let points: Vec<String> = points
        .iter()
        .map(|(day, value)| format!("{:.1},{:.1}", left + scales.time.at(*day), bottom - scale.at(*value)))
        .collect();
    let points = points.join(" ");
    let _ = writeln!(
        svg,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.4\" stroke-dasharray=\"{dashes}\" stroke-linejoin=\"round\"/>"
    );
}

/// Nodes by state on top of each other.
fn areas(svg: &mut String, left: f64, top: f64, series: &Series, scales: &Scales) {
    let bottom = top + PANEL_HEIGHT;
    let mut below = vec![0.0; series.busy.len()];
    for (values, (colour, _)) in states(series).iter().zip(STATES) {
        let above: Vec<f64> = below.iter().zip(values.iter()).map(|(below, value)| below + value).collect();
        let place = |(day, value): (f64, f64)| {
            format!("{:.1},{:.1}", left + scales.time.at(day), bottom - scales.nodes.at(value))
        };
        let there = steps(&above, series).into_iter().map(place);
        let back = steps(&below, series).into_iter().rev().map(place);
        let points = there.chain(back).collect::<Vec<_>>().join(" ");
        let _ = writeln!(svg, "<polygon points=\"{points}\" fill=\"{colour}\" stroke=\"none\"/>");
        below = above;
    }
}

fn legend(svg: &mut String, width: f64, height: f64, report: &Report) {
    let played = |policy: &str| {
        let mut all = report.configurations.iter().flat_map(|configuration| &configuration.outcomes);
        all.any(|one| one.outcome.policy == policy)
    };
    let lines: Vec<_> = POLICIES.iter().filter(|(policy, ..)| played(policy)).collect();
    let each = 78.0;
    let mut x = (width - each * (lines.len() + STATES.len()) as f64 - 90.0) / 2.0;
    let y = 52.0;
    for (policy, colour, dashes) in lines {
        let (end, middle) = (x + 26.0, y - 4.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{middle:.1}\" x2=\"{end:.1}\" y2=\"{middle:.1}\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>"
        );
        text(svg, x + 31.0, y, "start", "", policy);
        x += each;
    }
    text(svg, x + 14.0, y, "start", "", "Nodes:");
    x += 62.0;
    for (colour, state) in STATES {
        let _ =
            writeln!(svg, "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"13\" height=\"11\" fill=\"{colour}\"/>", y - 10.0);
        text(svg, x + 18.0, y, "start", "", state);
        x += each;
    }
    let notes = [
        "Queue and nodes are means over stretches of time; nodes by state are those of the first policy.",
        "Baselines run on nodes that are always on, as many as they need at most.",
    ];
    for (row, note) in notes.into_iter().enumerate() {
        let y = height - 24.0 + 14.0 * row as f64;
        text(svg, width / 2.0, y, "middle", "font-size=\"10.5\" fill=\"#555\"", note);
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, more: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let words: String = words.chars().filter(|letter| !letter.is_control()).collect();
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{words}</text>");
}
