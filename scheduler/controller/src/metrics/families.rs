//! Metrics as values: gathered once, and written as whoever asks wants them.

/// Families of metrics, one after the other.
#[derive(Debug, Default, PartialEq)]
pub struct Families(pub Vec<Family>);

/// What one name stands for.
#[derive(Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub points: Points,
}

/// How a family's values move.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Gauge,
    /// Since the start of this process. Its name ends in `_total`.
    Counter,
    /// Since the cluster's beginning, through every start of a controller. Its name ends in `_total`.
    Lasting,
}

#[derive(Debug, PartialEq)]
pub enum Points {
    Gauges(Vec<Sample>),
    Counters(Vec<Sample>),
    Lasting(Vec<Sample>),
    Histograms(Vec<Distribution>),
}

pub type Labels = Vec<(&'static str, String)>;

#[derive(Debug, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub value: f64,
}

/// How many values fell between which bounds.
#[derive(Debug, PartialEq)]
pub struct Distribution {
    pub labels: Labels,
    /// Upper bounds, which belong to what they bound.
    pub bounds: Vec<f64>,
    /// One more than there are bounds: the last has none.
    pub counts: Vec<u64>,
    pub sum: f64,
}

impl Distribution {
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Families {
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &'static str) -> Samples<'_> {
        let points = match kind {
            Kind::Gauge => Points::Gauges(Vec::new()),
            Kind::Counter => Points::Counters(Vec::new()),
            Kind::Lasting => Points::Lasting(Vec::new()),
        };
        self.0.push(Family { name, help, points });
        match self.0.last_mut().map(|family| &mut family.points) {
            Some(Points::Gauges(samples) | Points::Counters(samples) | Points::Lasting(samples)) => Samples(samples),
            _ => unreachable!("a family of samples was pushed"),
        }
    }

    /// A family with one sample and no label.
    pub fn one(&mut self, kind: Kind, name: &'static str, help: &'static str, value: f64) {
        self.family(kind, name, help).sample(&[], value);
    }

    pub fn histograms(&mut self, name: &'static str, help: &'static str, all: Vec<Distribution>) {
        self.0.push(Family { name, help, points: Points::Histograms(all) });
    }
}

/// The samples of one family.
pub struct Samples<'a>(&'a mut Vec<Sample>);

impl Samples<'_> {
    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.0.push(Sample { labels, value });
    }
}
