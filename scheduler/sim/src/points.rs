//! Moments at which a process can be killed: a sniper waits for the n-th time that one is passed.

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[$doc])* $point),+
        }

        impl Point {
            pub const ALL: &[Point] = &[$(Point::$point),+];

            /// As the state in which a fault fired.
            pub fn name(self) -> &'static str {
                match self {
                    $(Point::$point => $name),+
                }
            }
        }
    };
}

points! {
    // Of the controller.
    BeforeAppend = "before an append",
    Appending = "append under way",
    Durable = "batch durable and not told",
    BeforeReply = "before a reply",
    Replied = "reply sent",
    BeforeLaunch = "before a launch",
    Launching = "launch under way",
    Launched = "launched and not heard",
    BeforeRetire = "before a retirement",
    Retiring = "retirement under way",
    Listing = "listing under way",
    BeforeTell = "before a word to an agent",
    Told = "agent told",
    Recovering = "during recovery",
    // Of an agent.
    AgentRecording = "record under way",
    AgentPreparing = "grant recorded",
    AgentStarting = "shim about to execute",
    AgentExecuted = "executed and not reported",
    AgentReporting = "before a report",
    AgentEnding = "ended and not recorded",
    AgentForgetting = "result acknowledged",
    AgentExamining = "examining after a restart",
}

/// Kills whoever passes `point` for the `nth` time, counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct Sniper {
    pub point: Point,
    pub nth: u32,
}

/// The snipers that still wait.
#[derive(Debug, Default)]
pub struct Snipers(Vec<Sniper>);

impl Snipers {
    pub fn new(snipers: Vec<Sniper>) -> Self {
        Snipers(snipers)
    }

    /// Whether whoever passes is to die.
    pub fn strike(&mut self, point: Point) -> bool {
        let mut struck = false;
        self.0.retain_mut(|sniper| {
            if sniper.point != point {
                return true;
            }
            sniper.nth = sniper.nth.saturating_sub(1);
            let fires = sniper.nth == 0 && !struck;
            struck |= fires;
            !fires
        });
        struck
    }

    pub fn disarm(&mut self) {
        self.0.clear();
    }
}
