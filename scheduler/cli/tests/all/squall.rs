//! `squall` itself.

use crate::canned::Canned;
use crate::sample;
use crate::transcript::{Desk, NOW};
use squall_types::api::{Blocker, Estimate, Explanation};
use squall_types::*;

#[test]
fn why_tells_every_blocker_with_numbers() {
    let blocker = |reason, text: &str, until| Blocker { reason, text: text.to_owned(), until };
    let explanation = Explanation {
        job: JobId(8123),
        state: "PENDING".to_owned(),
        waiting: Span::from_mins(12),
        estimate: Some(Estimate {
            start_at: Some(NOW + Span::from_mins(4)),
            purchase: "1 x p5.48xlarge spot".to_owned(),
            hourly: HourlyPrice(24_000_000),
            ..Estimate::default()
        }),
        blockers: vec![
            blocker(
                Reason::NoCapacity,
                "p5.48xlarge spot: no capacity in use1-az1 (3 tries, last 40 s ago)",
                Some(NOW + Span::from_secs(90)),
            ),
            blocker(
                Reason::BudgetExhausted,
                "team-nlp: $91.00 of $100.00 reserved this month; this job reserves $24.00, needs $15.00 more",
                Some(NOW + Span::from_hours(30)),
            ),
            blocker(Reason::Priority, "2 jobs ahead (8101 ann, 8110 bob)", None),
        ],
        would_start_with: vec!["--gpus=h100:4   ($13.10/h)".to_owned(), "--constraint=on-demand".to_owned()],
        progress: vec!["h100-3 has booted for 48 s of typically 70 s".to_owned()],
    };
    let desk = Desk::new(Canned { explanation, ..Canned::default() });
    insta::assert_snapshot!(desk.transcripts(&["squall why 8123", "squall why", "squall why abc"]));
    let idle = Explanation { state: "RUNNING".to_owned(), ..Explanation::default() };
    let desk = Desk::new(Canned { explanation: idle, ..Canned::default() });
    insta::assert_snapshot!("running", desk.transcript("squall why 1"));
}

#[test]
fn a_join_token_comes_with_the_command_that_uses_it() {
    let desk = Desk::new(Canned::default());
    insta::assert_snapshot!(desk.transcripts(&[
        "squall join-token --login-host login1",
        "squall join-token --node=n1",
        "squall join-token",
        "squall join-token --node=n1 --login-host=login1",
        "squall join-token --nodes=n1",
    ]));
}

#[test]
fn a_token_of_a_user_is_told_once_with_what_to_do_with_it() {
    let desk = Desk::new(Canned::default());
    insta::assert_snapshot!(desk.transcripts(&[
        "squall token create --lifetime=8:00:00",
        "squall token create --json",
        "squall token list",
        "squall token list --json",
        "squall token revoke 0011223344556677",
        "squall token",
    ]));
}

#[test]
fn squall_says_what_it_can_do() {
    let desk = Desk::new(Canned::default());
    insta::assert_snapshot!(desk.transcripts(&[
        "squall --version",
        "squall --help",
        "squall nosuch",
        "squall docter",
        "squall explain SQ0004",
        "squall explain 9999",
        "squall explain",
        "squall config nosuch",
    ]));
}

#[test]
fn every_command_says_its_version_as_programs_read_it() {
    let desk = Desk::new(Canned::default());
    for command in ["sbatch", "srun", "salloc", "squeue", "sinfo", "scancel", "sacct", "scontrol", "squall"] {
        let outcome = desk.run(&format!("{command} --version"));
        assert_eq!((outcome.code, outcome.out.as_str()), (0, "slurm 24.05.4 (squall 0.1.0)\n"), "{command}");
        assert_eq!(desk.run(&format!("{command} -V")).out, outcome.out, "{command}");
    }
}

#[test]
fn help_and_usage_come_from_the_table() {
    let desk = Desk::new(Canned::default());
    for command in ["sbatch", "srun", "salloc", "squeue", "sinfo", "scancel", "sacct", "scontrol"] {
        insta::assert_snapshot!(format!("help_{command}"), desk.transcript(&format!("{command} --help")));
        insta::assert_snapshot!(format!("usage_{command}"), desk.transcript(&format!("{command} --usage")));
    }
    assert_eq!(desk.run("sbatch -h").code, 0);
}

#[test]
fn compat_lists_what_becomes_of_each_option() {
    let desk = Desk::new(Canned::default());
    insta::assert_snapshot!(desk.run("squall compat").out);
}

#[test]
fn what_is_configured_is_shown_with_where_it_was_said() {
    let entry = |key: &str, value: &str, source: &str| squall_types::api::ConfigEntry {
        key: key.into(),
        value: value.into(),
        source: source.into(),
    };
    let configuration =
        vec![entry("cluster", "storm", "/etc/squall/squall.toml:1"), entry("timing.kill_wait", "30s", "default")];
    let desk = Desk::new(Canned { configuration, jobs: sample::queue(), ..Canned::default() });
    insta::assert_snapshot!(desk.transcript("squall config show"));
}
