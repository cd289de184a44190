//! What every provisioner has to keep, as named checks that run against any implementation of the trait.
//!
//! The author of a provisioner gives a [`World`]: the cloud, rack or folder that provisioner objects act
//! on. Each check gets a world of its own, and what it leaves behind is retired. The checks judge by what
//! a listing shows and never look inside, so they hold for a process behind the bridge as well.

mod dropping;
mod launching;
mod listing;
mod offers;
mod retiring;
mod stage;
mod tokens;

use crate::Provisioner;
use async_trait::async_trait;
use squall_types::offer::JoinTicket;
use squall_types::{LaunchOrder, Span, Timestamp};
use stage::Stage;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// What provisioner objects act on, and what outlives them.
#[async_trait]
pub trait World: Send + Sync {
    /// A new provisioner object over this world, as a controller has it after a restart.
    async fn connect(&self) -> Arc<dyn Provisioner>;

    /// The world's own time.
    fn now(&self) -> Timestamp;

    /// Lets about so much of the world's time go by.
    async fn pass(&self, span: Span);

    /// What a node would need to join.
    fn ticket(&self) -> JoinTicket {
        JoinTicket { controller: "https://127.0.0.1:6817".to_owned(), ca_pin: "0".repeat(64), secret: "5".repeat(64) }
    }

    /// Told before the first call for an order, as a controller commits the order before it calls.
    fn commit(&self, _order: &LaunchOrder) {}

    /// Limits the world to so many more instances, if it can be limited.
    fn leave_room(&self, _nodes: u32) -> bool {
        false
    }
}

/// One promise.
struct Check {
    name: &'static str,
    run: for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>,
}

type Verdict = Result<(), Stop>;

/// Why a check did not go to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    Broken(String),
    Skipped(&'static str),
}

/// Fails the check with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Stop::Broken(format!($($message)+)));
        }
    };
}
use ensure;

macro_rules! checks {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        &[$(Check { name: stringify!($name), run: |stage| Box::pin($module::$name(stage)) }),+]
    };
}

const CHECKS: &[Check] = checks![
    offers::offers_are_well_formed,
    offers::offers_are_stable,
    launching::a_launch_names_each_instance,
    launching::a_launch_delivers_no_more_than_was_asked,
    launching::two_orders_are_two_purchases,
    launching::an_order_without_names_is_rejected,
    launching::an_order_with_a_name_twice_is_rejected,
    launching::an_order_above_the_limit_is_rejected,
    launching::an_order_for_something_that_is_not_sold_is_rejected,
    launching::a_gang_is_delivered_whole_or_not_at_all,
    launching::a_crowd_gets_no_more_than_there_is_room_for,
    tokens::a_repeated_launch_returns_the_same_instances,
    tokens::concurrent_launches_with_one_token_buy_once,
    tokens::a_launch_repeated_after_a_restart_buys_nothing,
    tokens::a_used_token_with_another_request_is_a_conflict,
    tokens::a_used_token_buys_nothing_after_its_instances_are_gone,
    listing::a_listing_shows_order_and_name,
    listing::a_listing_says_when_an_instance_was_launched,
    listing::a_restart_forgets_no_instance,
    listing::an_empty_world_is_listed_as_empty,
    retiring::a_retired_instance_goes,
    retiring::retiring_twice_is_fine,
    retiring::retiring_at_once_from_two_sides_is_fine,
    retiring::retiring_one_leaves_the_others,
    retiring::retiring_nothing_is_fine,
    retiring::retiring_what_never_was_is_fine,
    retiring::a_restarted_provisioner_can_retire,
    dropping::a_dropped_launch_is_resolved_by_repeating_it,
    dropping::a_dropped_retire_is_resolved_by_repeating_it,
];

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Kept,
    /// The provisioner does not promise this, or the world cannot be made to show it.
    Skipped(&'static str),
    Broken(String),
}

/// What became of every check, in the order in which they ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub outcomes: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// The names of the checks that are broken.
    pub fn broken(&self) -> Vec<&'static str> {
        let broken = |(name, outcome): &(&'static str, Outcome)| matches!(outcome, Outcome::Broken(_)).then_some(*name);
        self.outcomes.iter().filter_map(broken).collect()
    }

    /// For tests.
    ///
    /// # Panics
    /// With the whole report, if a check is broken.
    pub fn assert_clean(&self) {
        assert!(self.broken().is_empty(), "the provisioner breaks promises:\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.outcomes {
            match outcome {
                Outcome::Kept => writeln!(f, "kept     {name}")?,
                Outcome::Skipped(why) => writeln!(f, "skipped  {name}: {why}")?,
                Outcome::Broken(how) => writeln!(f, "BROKEN   {name}: {how}")?,
            }
        }
        Ok(())
    }
}

/// Runs every check, each in a world of its own.
pub async fn run<W: World + 'static>(make: impl Fn() -> W) -> Report {
    let mut outcomes = Vec::new();
    for check in CHECKS {
        let outcome = match Stage::set(Box::new(make())).await {
            Err(stop) => stop.into(),
            Ok(stage) => {
                let verdict = (check.run)(&stage).await;
                let cleared = stage.clear().await;
                verdict.and(cleared).map_or_else(Outcome::from, |()| Outcome::Kept)
            }
        };
        outcomes.push((check.name, outcome));
    }
    Report { outcomes }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Broken(how) => Outcome::Broken(how),
            Stop::Skipped(why) => Outcome::Skipped(why),
        }
    }
}
