//! `scrontab`: what becomes of a crontab, and how it is edited.

use crate::canned::{Asked, Canned};
use crate::transcript::Desk;
use squall_types::api::CrontabRequest;

const TABLE: &str = "\
# nightly work
PROJECT=x
#SCRON --time=30 --gpus=1 -o nightly-%j.out
30 2 * * * ./nightly.sh --all
@hourly echo $PROJECT
";

fn desk() -> Desk {
    Desk::new(Canned { crontab: TABLE.to_owned(), ..Canned::default() }).set("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
}

fn set(desk: &Desk) -> CrontabRequest {
    match desk.controller.asked.borrow().last() {
        Some(Asked::Crontab(request)) => (**request).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_entry_is_a_job_in_the_users_home_with_an_environment_like_crons() {
    let desk = desk().typing(TABLE);
    assert_eq!(desk.run("scrontab -").code, 0);
    let request = set(&desk);
    assert_eq!((request.user, request.text.as_str(), request.entries.len()), (None, TABLE, 2));
    let [nightly, hourly] = &request.entries[..] else { panic!("two entries") };
    assert_eq!((nightly.first_line, nightly.last_line, hourly.first_line), (3, 4, 5));
    let spec = &nightly.submission.spec;
    assert_eq!((spec.name.as_str(), spec.work_dir.as_str()), ("./nightly.sh --all", "/home/ann"));
    assert_eq!(spec.time_limit, Some(squall_types::Span::from_mins(30)));
    assert_eq!(spec.stdout.as_deref(), Some("nightly-%j.out"));
    let cron = spec.cron.as_ref().unwrap();
    assert_eq!((cron.times.as_str(), cron.zone.as_str()), ("30 2 * * *", "CET-1CEST,M3.5.0,M10.5.0/3"));
    let script = String::from_utf8(nightly.submission.script.clone().unwrap()).unwrap();
    assert!(script.starts_with("#!/bin/sh\n") && script.ends_with("\n./nightly.sh --all\n"), "{script}");
    let environment = String::from_utf8(hourly.submission.environment.clone()).unwrap();
    assert_eq!(
        environment.split('\0').collect::<Vec<_>>(),
        [
            "HOME=/home/ann",
            "LOGNAME=ann",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PROJECT=x",
            "SHELL=/bin/sh",
            "USER=ann",
            ""
        ]
    );
    assert_ne!(nightly.submission.token, hourly.submission.token);
}

#[test]
fn a_crontab_is_listed_as_it_was_written_and_taken_away() {
    let desk = desk();
    let listed = desk.run("scrontab -l");
    assert_eq!((listed.code, listed.out.as_str(), listed.err.as_str()), (0, TABLE, ""));
    assert_eq!(desk.run("scrontab -r").code, 0);
    assert_eq!(set(&desk), CrontabRequest::default());
    let none = desk.run("scrontab -l -u root");
    assert_eq!((none.code, none.err.as_str()), (1, "no crontab for root\n"));
}

#[test]
fn an_editor_gets_what_there_is_and_what_it_leaves_counts() {
    let desk = desk().set("EDITOR", "sed -i s/hourly/daily/");
    assert_eq!(desk.run("scrontab").code, 0);
    assert_eq!(set(&desk).text, TABLE.replace("hourly", "daily"));
    let desk = desk.set("VISUAL", "true");
    assert_eq!(desk.run("scrontab -e").err, "scrontab: no changes\n");
    let desk = desk.set("VISUAL", "false");
    assert_eq!(desk.run("scrontab -e").code, 1);
}

#[test]
fn a_mistake_may_be_edited_again() {
    // The first time it goes wrong, the second time it is put right.
    let desk = desk().set("EDITOR", "sed -i -e s/^61/1/ -e s/^30/61/").typing("y\n");
    let outcome = desk.run("scrontab -e");
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.err.contains("line 4: invalid minute `61`"), "{}", outcome.err);
    assert_eq!(set(&desk).text, TABLE.replace("30 2", "1 2"));
}
