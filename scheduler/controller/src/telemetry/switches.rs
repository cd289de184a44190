//! Which signals leave the process, by OpenTelemetry's own environment variables. None does unless they ask for it.
//!
//! Where they go, and how, the exporters read themselves: `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_PROTOCOL`, `…_HEADERS`,
//! `…_TIMEOUT` and their forms for one signal.

use super::traces::Sampling;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Switches {
    pub traces: bool,
    pub logs: bool,
    pub metrics: bool,
    /// Of the traces of jobs.
    pub sampling: Sampling,
}

impl Switches {
    pub fn from_env() -> Switches {
        Switches::read(|name| std::env::var(name).ok())
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Switches {
        let given = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let off = given("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let on = |signal: &str| {
            let endpoint = given("OTEL_EXPORTER_OTLP_ENDPOINT")
                .or_else(|| given(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")))
                .is_some();
            match given(&format!("OTEL_{signal}_EXPORTER")).as_deref() {
                _ if off => false,
                Some("otlp") => true,
                Some("none") => false,
                _ => endpoint,
            }
        };
        let share = || given("OTEL_TRACES_SAMPLER_ARG").and_then(|text| text.parse().ok()).unwrap_or(1.0);
        let sampling = match given("OTEL_TRACES_SAMPLER").as_deref() {
            Some("always_off" | "parentbased_always_off") => Sampling::None,
            Some("traceidratio" | "parentbased_traceidratio") => Sampling::Share(share()),
            _ => Sampling::All,
        };
        Switches { traces: on("TRACES"), logs: on("LOGS"), metrics: on("METRICS"), sampling }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_a_switch_of_their_own() {
        let all = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://localhost:4317".to_owned());
        assert!(Switches::read(all).metrics && !Switches::read(|_| None).metrics);
        let off = |name: &str| if name == "OTEL_METRICS_EXPORTER" { Some("none".to_owned()) } else { all(name) };
        assert!(!Switches::read(off).metrics);
    }

    fn with(variables: &[(&str, &str)]) -> (bool, bool) {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let switches = Switches::read(get);
        (switches.traces, switches.logs)
    }

    #[test]
    fn nothing_is_sent_unless_the_environment_asks_for_it() {
        let everywhere = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
        assert_eq!(with(&[]), (false, false));
        assert_eq!(with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), (false, false));
        assert_eq!(with(&[everywhere]), (true, true));
        assert_eq!(with(&[everywhere, ("OTEL_SDK_DISABLED", "TRUE")]), (false, false));
        assert_eq!(with(&[everywhere, ("OTEL_LOGS_EXPORTER", "none")]), (true, false));
        assert_eq!(with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4317")]), (true, false));
        assert_eq!(with(&[("OTEL_LOGS_EXPORTER", "otlp")]), (false, true));
    }

    #[test]
    fn the_sampler_thins_out_the_traces_of_jobs() {
        let sampling = |sampler: &'static str| {
            Switches::read(|name| match name {
                "OTEL_TRACES_SAMPLER" => Some(sampler.to_owned()),
                "OTEL_TRACES_SAMPLER_ARG" => Some("0.1".to_owned()),
                _ => None,
            })
            .sampling
        };
        assert_eq!(sampling("parentbased_traceidratio"), Sampling::Share(0.1));
        assert_eq!(sampling("always_off"), Sampling::None);
        assert_eq!(sampling("always_on"), Sampling::All);
    }
}
