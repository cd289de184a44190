//! Properties of the text forms: no input makes them panic, and what is printed reads back.

use proptest::prelude::*;
use squall_types::indices::{ArrayLimits, parse_array, parse_indices};
use squall_types::pattern::{MAX_PATH, PatternValues, expand};
use squall_types::span_text::{TimeLimit, clock, parse_span};
use squall_types::{
    Constraint, Dependency, IndexSet, JobId, MailEvents, SignalSpec, Span, StepId, did_you_mean, gres, hostlist,
    signal, size,
};

/// Text made of the characters that the forms give a meaning to, or of anything.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\[\\](),:;%@*&|?+_=/.0-9a-gknN \\-]{0,40}",
        "[0-9:,\\-\\[\\]%x]{0,24}",
        "\\PC{0,30}",
        any::<String>()
    ]
}

fn hosts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-c]{0,2}(0{0,2}[0-9]{1,3}|[0-9]{17,20}|-[a-b])", 0..40)
}

fn constraint_texts() -> impl Strategy<Value = String> {
    let tree = "[a-d]".prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("&"))),
            prop::collection::vec(inner, 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
        ]
    });
    (tree.clone(), tree, any::<bool>()).prop_map(|(left, right, same)| match same {
        true => format!("{left}&[{left}|{right}]"),
        false => format!("{left}|{right}"),
    })
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in texts()) {
        let limits = ArrayLimits { size: 10_000, elements: 10_000 };
        prop_assert_eq!(hostlist::count(&text), hostlist::parse(&text).map(|names| names.len()));
        let _ = (text.parse::<TimeLimit>(), size::parse_mib(&text), gres::parse_gres(&text), gres::parse_gpus(&text));
        let _ = (parse_array(&text, limits), text.parse::<Constraint>(), text.parse::<Dependency>());
        let _ = (text.parse::<SignalSpec>(), text.parse::<MailEvents>(), signal::signal_number(&text));
        let _ = did_you_mean::closest(&text, ["partition", "a", &text]);
    }

    #[test]
    fn errors_are_one_line(text in texts()) {
        let errors = [
            hostlist::parse(&text).err().map(|error| error.to_string()),
            text.parse::<TimeLimit>().err().map(|error| error.to_string()),
            gres::parse_gres(&text).err().map(|error| error.to_string()),
            parse_array(&text, ArrayLimits::DEFAULT).err().map(|error| error.to_string()),
            text.parse::<Constraint>().err().map(|error| error.to_string()),
            text.parse::<Dependency>().err().map(|error| error.to_string()),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(!error.chars().any(char::is_control), "{:?}", error);
        }
    }

    #[test]
    fn folded_names_unfold(names in hosts()) {
        prop_assert_eq!(hostlist::parse(&hostlist::compress(&names)), Ok(names.clone()));
        let sorted = hostlist::parse(&hostlist::compress_sorted(&names)).unwrap();
        prop_assert_eq!(hostlist::compress(&sorted), hostlist::compress_sorted(&names));
        let (mut sorted, mut names) = (sorted, names);
        sorted.sort();
        names.sort();
        prop_assert_eq!(sorted, names);
    }

    #[test]
    fn times_read_back(secs in 0i64..=4_294_967_294 * 60) {
        let span = Span::from_secs(secs);
        prop_assert_eq!(parse_span(&clock(span)), Ok(span));
        prop_assert!(TimeLimit::Limited(span).whole_minutes().span() >= Some(span));
    }

    #[test]
    fn sizes_read_back(mib in 0u64..=size::MAX_MIB) {
        let printed = size::mib(mib);
        // P and E are printed, but Slurm does not read them.
        prop_assume!(!printed.ends_with(['P', 'E']));
        prop_assert_eq!(size::parse_mib(&printed), Ok(mib));
        prop_assert_eq!(size::parse_mib(&size::mib_unconverted(mib)), Ok(mib));
    }

    #[test]
    fn index_sets_read_back(indices in prop::collection::vec(0u32..60, 1..30)) {
        let set: IndexSet = indices.iter().copied().collect();
        let ranges = indices.iter().map(|index| (*index, *index)).collect();
        prop_assert_eq!(&IndexSet::from_ranges(ranges), &set);
        prop_assert_eq!(parse_indices(&set.to_string(), ArrayLimits::DEFAULT), Ok(set.clone()));
        prop_assert_eq!(parse_indices(&set.stepped(), ArrayLimits::DEFAULT), Ok(set));
    }

    #[test]
    fn constraints_read_back(text in constraint_texts()) {
        let constraint: Constraint = text.parse().unwrap();
        prop_assert_eq!(constraint.to_string().parse(), Ok(constraint));
    }

    #[test]
    fn dependencies_read_back(text in "((afterok|afterany|aftercorr|after)(:[1-9][0-9]{0,3}(_[0-9])?){1,3}[,]){0,5}singleton") {
        let dependency: Dependency = text.parse().unwrap();
        prop_assert_eq!(dependency.to_string().parse(), Ok(dependency));
    }

    #[test]
    fn values_never_leave_their_directory(pattern in "[a-z]{1,3}(%[0-9]{0,3}[AabJjNnstuxz%]|[a-z]){0,6}", value in any::<String>()) {
        let values = PatternValues {
            job: JobId(7),
            array: None,
            step: StepId::BATCH,
            task: 0,
            node_rank: 0,
            node: &value,
            user: &value,
            name: &value,
        };
        if let Ok(path) = expand(&pattern, &values) {
            prop_assert!(path.len() <= MAX_PATH);
            prop_assert!(!path.contains(['/', '\0', '\n']) && path != "." && path != "..", "{:?}", path);
        }
        if let Ok(path) = expand("%x", &values) {
            prop_assert!(path != "." && path != ".." && !path.contains('/'));
        }
    }
}
