//! Axes: from values to places, with ticks at round numbers.

/// How values are written at an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Plain,
    /// Divided by the largest power of a thousand that leaves something.
    Thousands,
    Thousand,
    Million,
}

impl Unit {
    pub fn dollars(self) -> &'static str {
        match self {
            Unit::Plain | Unit::Thousands => "Spent (US$)",
            Unit::Thousand => "Spent (thousand US$)",
            Unit::Million => "Spent (million US$)",
        }
    }

    fn divisor(self) -> f64 {
        match self {
            Unit::Plain | Unit::Thousands => 1.0,
            Unit::Thousand => 1e3,
            Unit::Million => 1e6,
        }
    }
}

/// From 0 to a little more than the largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    most: f64,
    step: f64,
    pub length: f64,
    pub unit: Unit,
}

impl Scale {
    /// For values up to `most` on `length` pixels, with about `ticks` ticks.
    pub fn new(most: f64, unit: Unit, length: f64, ticks: u32) -> Scale {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let unit = match unit {
            Unit::Thousands if most >= 2e6 => Unit::Million,
            Unit::Thousands if most >= 2e3 => Unit::Thousand,
            other => other,
        };
        let rough = most / f64::from(ticks.max(1));
        let power = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0) * power;
        Scale { most: most * 1.04, step, length, unit }
    }

    pub fn at(&self, value: f64) -> f64 {
        value / self.most * self.length
    }

    pub fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (step, count) = (self.step, (self.most / self.step).floor() as u32);
        (0..=count).map(move |number| f64::from(number) * step)
    }

    pub fn label(&self, value: f64) -> String {
        let step = self.step / self.unit.divisor();
        let shows = |decimals: &usize| {
            let scaled = step * 10f64.powi(*decimals as i32);
            (scaled - scaled.round()).abs() < 1e-6
        };
        let decimals = (0..9usize).find(shows).unwrap_or(9);
        format!("{:.decimals$}", value / self.unit.divisor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_everything() {
        let labels = |scale: Scale| scale.ticks().map(|tick| scale.label(tick)).collect::<Vec<_>>();
        assert_eq!(labels(Scale::new(9.3, Unit::Plain, 100.0, 5)), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(Scale::new(3_100_000.0, Unit::Thousands, 100.0, 4)), ["0", "1", "2", "3"]);
        assert_eq!(labels(Scale::new(0.9, Unit::Plain, 100.0, 4)), ["0.00", "0.25", "0.50", "0.75"]);
        assert_eq!(labels(Scale::new(0.0, Unit::Plain, 100.0, 2)), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(Scale::new(8.0, Unit::Plain, 100.0, 4)), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(Scale::new(9.9, Unit::Plain, 100.0, 4)), ["0.0", "2.5", "5.0", "7.5", "10.0"]);
        let scale = Scale::new(100.0, Unit::Plain, 104.0, 5);
        assert_eq!((scale.at(0.0), scale.at(100.0)), (0.0, 100.0));
    }
}
