use super::*;
use crate::Span;

fn setting(text: &str) -> Setting {
    Setting::parse(text).expect("a setting")
}

#[test]
fn limits_are_set_changed_and_taken_away_as_people_type_them() {
    let mut account = Account::default();
    for text in ["MaxJobs=4", "GrpTRES=cpu=64,gres/gpu=8", "GrpTRES=cpu=-1,mem=1T", "MaxWall=1-0", "share=20"] {
        account.set(&setting(text)).expect(text);
    }
    let limits = account.terms.limits;
    assert_eq!((limits.user.jobs, limits.wall), (Some(4), Some(Span::from_hours(24))));
    assert_eq!(limits.group.tres.to_string(), "mem=1T,gres/gpu=8");
    account.set(&setting("maxjobs=-1")).expect("none");
    account.set(&setting("GrpTRES=-1")).expect("none");
    let texts: Vec<String> = account.settings().iter().map(|one| format!("{}={}", one.key, one.value)).collect();
    assert_eq!(texts, ["maxwall=1-00:00:00", "fairshare=20"]);
}

#[test]
fn memory_may_have_the_decimals_of_a_dump() {
    let limit = |text: &str| {
        let mut limits = TresLimits::default();
        limits.merge(&format!("mem={text}")).ok().and(limits.memory_mib)
    };
    assert_eq!([limit("62.50G"), limit("1.5T"), limit("0.25g")], [Some(64_000), Some(1_572_864), Some(256)]);
    for text in ["1.", "1.5", "1.G", ".5G", "1.234G", "1.5X", "99999999999999.99T", "1.5.5G"] {
        assert_eq!(limit(text), None, "{text}");
    }
}

#[test]
fn what_a_row_says_of_itself_makes_the_same_row() {
    let mut qos = Qos { name: "high".into(), ..Qos::default() };
    let texts = [
        "priority=100",
        "flags=DenyOnLimit,overpartqos",
        "MaxTRESPU=gres/gpu=4",
        "MaxSubmitPA=9",
        "MaxJobsPerUser=2",
        "GrpTRES=node=3",
        "descr=for deadlines",
    ];
    texts.iter().for_each(|text| qos.set(&setting(text)).expect(text));
    let mut again = Qos { name: "high".into(), ..Qos::default() };
    qos.settings().iter().for_each(|one| again.set(one).expect("its own words"));
    assert_eq!(again, qos);
    assert!(qos.has(DENY_ON_LIMIT) && qos.has(OVER_PARTITION));
    let bytes = minicbor::to_vec(&qos).expect("memory");
    assert_eq!(minicbor::decode::<Qos>(&bytes).expect("the same"), qos);
}

#[test]
fn lists_are_set_added_to_and_taken_from() {
    let mut terms = Terms::default();
    let mut after = |text: &str| {
        terms.set(&setting(text)).expect(text);
        terms.qos.as_ref().map(list_text)
    };
    assert_eq!(after("qos+=high").as_deref(), Some("high,normal"));
    assert_eq!(after("qos-=normal").as_deref(), Some("high"));
    assert_eq!(after("qos=low,night").as_deref(), Some("low,night"));
    assert_eq!(after("qos=+high,-low").as_deref(), Some("high,night"));
    assert_eq!(after("qos="), None);
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_reason() {
    let refusal = |text: &str| Account::default().set(&setting(text)).expect_err(text).to_string();
    assert!(refusal("MaxJob=x").contains("whole number"), "{}", refusal("MaxJob=x"));
    assert!(refusal("GrpTRES=fpga=1").contains("cpu, mem, node and gres/gpu"));
    assert!(refusal("GrpWall=10").contains("budgets"));
    assert!(refusal("grpjob=1,2").contains("whole number"));
    assert_eq!(refusal("maxjobz=1"), "an account has no setting \"maxjobz\": did you mean maxjobs?");
    assert!(refusal("flags=DenyOnLimit").contains("has no setting"));
    assert!(AccountUser::default().set(&setting("adminlevel=king")).is_err());
}
