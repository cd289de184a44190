use super::*;
use std::collections::BTreeSet;

fn check(text: &str, printed: &str) {
    let parsed = text.parse::<Constraint>().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(parsed.to_string(), printed, "{text}");
    assert_eq!(printed.parse(), Ok(parsed), "{text}");
}

#[test]
fn constraints_read_and_print() {
    check("intel", "intel");
    check("a&b", "a&b");
    check("a,b", "a&b");
    check("a|b", "a|b");
    check("a&b|c&d", "a&b|c&d");
    check("(a|b)&c", "(a|b)&c");
    check("((a))&(b&(c))", "a&b&c");
    check("a|(b|c)", "a|b|c");
    check("[rack1|rack2]", "[rack1|rack2]");
    check("[rack1]", "rack1");
    check("c&[a|b&d]", "[a&c|b&d&c]");
    check("[a|b]&(c|d)", "[a&(c|d)|b&(c|d)]");
    check("a*2&b*1", "a*2&b*1");
    check("[rack1*2&rack2*4]", "rack1*2&rack2*4");
    check("graphics*4", "graphics*4");
    check("nvidia.com/gpu:h100=1", "nvidia.com/gpu:h100=1");
}

#[test]
fn and_binds_tighter_than_or() {
    let features = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>();
    let constraint: Constraint = "a|b&c".parse().unwrap();
    assert!(constraint.matches(&features(&["a"])));
    assert!(!constraint.matches(&features(&["b"])));
    assert!(constraint.matches(&features(&["b", "c"])));
}

#[test]
fn what_is_no_constraint_is_named() {
    let error = |text: &str| text.parse::<Constraint>().expect_err(text).to_string();
    assert_eq!(error("a&&b"), r#"invalid constraint "a&&b": expected a feature at "&b""#);
    for text in ["", "&", "a|", "(a", "a)", "[a|b", "a b", "!a", "()", "[]", "a\0", "é", "a]", "(a]", "*2"] {
        assert!(error(text).starts_with("invalid constraint"), "{text}");
    }
    for text in ["a*", "a*0", "a*x", "a*-1", "a*4294967296"] {
        assert!(error(text).starts_with("invalid count"), "{text}");
    }
    for text in ["a*2&b", "a*2|b*1", "[a|b]&c*2", "[a*1|b*2]"] {
        assert!(error(text).contains("counts only some"), "{text}");
    }
    for text in ["[a|b]|c", "([a|b])", "[a|[b|c]]", "[a|b]&[c|d]"] {
        assert!(error(text).contains("brackets inside"), "{text}");
    }
}

#[test]
fn there_is_an_end_to_it() {
    let nested = |depth| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(nested(MAX_DEPTH).parse::<Constraint>().is_ok());
    assert!(matches!(nested(MAX_DEPTH + 1).parse::<Constraint>(), Err(ConstraintError::TooDeep { .. })));
    assert!(matches!("(".repeat(4000).parse::<Constraint>(), Err(ConstraintError::TooDeep { .. })));
    let wide = vec!["a"; MAX_FEATURES + 1].join("&");
    assert!(matches!(wide.parse::<Constraint>(), Err(ConstraintError::TooManyFeatures { .. })));
    assert!(matches!("a".repeat(MAX_TEXT + 1).parse::<Constraint>(), Err(ConstraintError::TooLong { .. })));
}
