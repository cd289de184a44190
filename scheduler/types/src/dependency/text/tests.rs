use super::*;

fn check(text: &str, printed: &str) {
    let parsed = text.parse::<Dependency>().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(parsed.to_string(), printed, "{text}");
    assert_eq!(printed.parse(), Ok(parsed), "{text}");
}

#[test]
fn dependencies_in_all_their_forms() {
    check("", "");
    check("afterok:1:2,afterany:3", "afterok:1,afterok:2,afterany:3");
    check("afterok:1,2", "afterok:1,afterany:2");
    check("7", "afterany:7");
    check("12_3", "afterany:12_3");
    check("after:5+10:6", "after:5+10,after:6");
    check("AfterOk:12_3:12_*", "afterok:12_3,afterok:12");
    check("aftercorr:9,afternotok:8,afterburstbuffer:7", "aftercorr:9,afternotok:8,afterburstbuffer:7");
    check("singleton", "singleton");
    check("singleton?afterok:20:21?23", "singleton?afterok:20?afterok:21?afterany:23");
}

#[test]
fn what_is_no_dependency_is_named() {
    let error = |text: &str| text.parse::<Dependency>().expect_err(text).to_string();
    assert_eq!(error("aftrok:1"), "unknown dependency type \"aftrok\"; did you mean afterok?");
    assert!(error("afterok:1,2?3").contains("not by both"));
    assert!(error("expand:12").starts_with("jobs cannot be expanded"));
    for text in ["afterok:0", "afterok:", "afterok:x", "afterok:1::2", "1_", "1_x", "4294967296", "afterok:-1", "1(x)"]
    {
        assert!(error(text).starts_with("invalid job id"), "{text}");
    }
    for text in ["after:1+", "after:1+x", "afterok:1+5", "1+5", "after:1+99999999999"] {
        assert!(error(text).starts_with("invalid delay"), "{text}");
    }
    for text in ["afterok", "singleton:1", ",", "afterok:1,", ":1"] {
        assert!(error(text).starts_with("invalid dependency"), "{text}");
    }
}

#[test]
fn there_is_an_end_to_it() {
    let ids = |count| vec!["1"; count].join(":");
    assert_eq!(format!("afterok:{}", ids(MAX_TERMS)).parse::<Dependency>().map(|all| all.terms.len()), Ok(MAX_TERMS));
    assert_eq!(format!("afterok:{}", ids(MAX_TERMS + 1)).parse::<Dependency>(), Err(DependencyError::TooManyTerms));
    assert!(matches!("1".repeat(MAX_TEXT + 1).parse::<Dependency>(), Err(DependencyError::TooLong { .. })));
}

#[test]
fn states_are_told_as_squeue_tells_them() {
    let all: Dependency = "afterok:189,190,singleton,after:7".parse().unwrap();
    let state = |term: &DependencyTerm| (term.kind != DependencyKind::After(Span::ZERO)).then_some("unfulfilled");
    assert_eq!(all.with_states(state), "afterok:189(unfulfilled),afterany:190(unfulfilled),singleton(unfulfilled)");
}
