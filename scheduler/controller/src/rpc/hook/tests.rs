use super::*;
use crate::settings::Time;
use squall_types::Uid;

fn settings(script: &str) -> SubmitHookSettings {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    SubmitHookSettings { command, ..SubmitHookSettings::default() }
}

fn spec() -> JobSpec {
    JobSpec { name: "train".into(), user: "ann".into(), uid: Uid(1001), nice: 5, ..JobSpec::default() }
}

async fn played(settings: &SubmitHookSettings) -> (JobSpec, Result<Vec<String>, String>) {
    let mut spec = spec();
    let answer = Hooks::default().look_at(settings, &mut spec, Some(b"#!/bin/sh\nsrun train\n")).await;
    (spec, answer.map_err(|refusal| format!("{} {}; {}", refusal.0.code, refusal.0.slurm, refusal.0.limit)))
}

#[tokio::test]
async fn a_hook_sees_the_job_and_may_let_it_be_change_it_or_refuse_it() {
    assert_eq!(played(&SubmitHookSettings::default()).await, (spec(), Ok(Vec::new())));
    assert_eq!(played(&settings("cat > /dev/null")).await, (spec(), Ok(Vec::new())));
    let answer =
        r#"{"set": {"account": "lab", "partitions": ["gpu"], "time_limit_secs": 60, "nice": 1}, "note": "so"}"#;
    let (changed, said) = played(&settings(&format!("cat > /dev/null; echo '{answer}'"))).await;
    assert_eq!(said, Ok(vec!["so".to_owned()]));
    assert_eq!((changed.account, changed.partitions), ("lab".into(), vec!["gpu".into()]));
    assert_eq!((changed.time_limit, changed.nice, changed.uid), (Some(Span::from_secs(60)), 5, Uid(1001)));
    // It answers by what it was told, the script among it.
    let rule = r#"grep -q 'srun train' && echo '{"refuse": "no training\u0007 today"}'"#;
    let (same, refused) = played(&settings(rule)).await;
    assert_eq!(same, spec());
    assert_eq!(refused, Err("SQ1095 no training  today; a rule of this site, kept by its submit hook".to_owned()));
}

#[tokio::test]
async fn a_hook_that_fails_refuses_unless_it_is_configured_to_let_pass() {
    let hangs = SubmitHookSettings { timeout: Time(Span(200)), ..settings("sleep 600 & sleep 600") };
    let large = format!("head -c {} /dev/zero", HOOK_ANSWER + 1);
    let bad = [
        (settings("exit 3"), "exit status: 3"),
        (settings("echo nonsense"), "cannot be read"),
        (settings(r#"echo '{"set": {"uid": 0}}'"#), "unknown field `uid`"),
        (settings(r#"echo '{"set": {"constraint": "(("}}'"#), "constraint"),
        (settings(&large), "longer than"),
        (hangs, "no answer within 200 ms"),
        (SubmitHookSettings { command: vec!["/nowhere".into()], ..settings("") }, "does not start"),
    ];
    for (hook, why) in bad {
        let (same, refused) = played(&hook).await;
        assert_eq!(same, spec());
        let text = refused.expect_err(why);
        assert!(text.starts_with("SQ1096") && text.contains(why), "{text}");
        let lenient = SubmitHookSettings { on_failure: OnFailure::Accept, ..hook };
        assert_eq!(played(&lenient).await, (spec(), Ok(Vec::new())), "{why}");
    }
}

#[tokio::test]
async fn a_hook_has_no_environment_and_is_not_root() {
    let (_, said) = played(&settings(r#"echo "{\"note\": \"$(id -u) ${HOME:-none}\"}""#)).await;
    let said = said.expect("an answer").remove(0);
    assert!(said.ends_with(" none") && !said.starts_with("0 "), "{said}");
}
