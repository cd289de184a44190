//! Scripts that are none, requests that cannot be, and clients that do not look before they ask.

use super::Scene;
use squall_proto::ClientError;
use squall_types::api::{JobFilter, SubmitRequest};
use squall_types::{JobKind, JobSpec, SubmitToken};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// More than a script may have.
const TOO_LARGE: usize = 5 << 20;

#[test]
fn what_is_no_script_or_asks_for_what_cannot_be_is_refused_with_its_reason() {
    let scene = Scene::set();
    let scripts: [(&str, &[u8], &str); 5] = [
        ("nobang.sh", b"echo hello\n", "first\nsbatch: error: line must start with #!"),
        ("crlf.sh", b"#!/bin/sh\r\ntrue\r\n", "DOS line breaks"),
        ("nul.sh", b"#!/bin/sh\necho \0\n", "NULL character"),
        ("empty.sh", b"", "Batch script is empty!"),
        ("large.sh", &[&b"#!/bin/sh\n"[..], &vec![b'#'; TOO_LARGE]].concat(), "too large"),
    ];
    for (name, content, words) in scripts {
        std::fs::write(scene.stage.path("work").join(name), content).expect("a script");
        let said = scene.stage.call(&["sbatch", name]);
        assert!(said.code == Some(1) && said.out.is_empty() && said.err.contains(words), "{name}: {said:?}");
    }
    let requests: [(&[&str], &str); 9] = [
        (&["sbatch", "--nodes=0", "wait.sh"], "--nodes"),
        (&["sbatch", "--ntasks=-1", "wait.sh"], "--ntasks"),
        (&["sbatch", "--mem=99999999999999999999", "wait.sh"], "--mem"),
        (&["sbatch", "--time=yesterday", "wait.sh"], "--time"),
        (&["sbatch", "--partition=nosuch", "wait.sh"], "Invalid partition"),
        (&["sbatch", "--array=0-4000000000", "wait.sh"], "Invalid job array specification"),
        (&["sbatch", "--nodelist=n[1-99999999999]", "wait.sh"], "n[1-99999999999]"),
        (&["sbatch", "--nodelist=a[1-9999]b[1-9999]c[1-9999]", "wait.sh"], "hosts"),
        (&["sbatch", "--gpus-per-node=3", "wait.sh"], "limit:"),
    ];
    for (words, text) in requests {
        let said = scene.stage.call(words);
        // 255 where an option cannot be read at all, as with Slurm.
        assert!(
            matches!(said.code, Some(1 | 255)) && said.out.is_empty() && said.err.contains(text),
            "{words:?}: {said:?}"
        );
    }
    scene.nothing_was_lost();
}

#[test]
fn bytes_that_are_no_text_in_a_script_are_kept_as_they_are() {
    let scene = Scene::set();
    let script = b"#!/bin/sh\n# \xff\xfe\nprintf '\\351\\377'; printf '\xe9'\n";
    std::fs::write(scene.stage.path("work/bytes.sh"), script).expect("a script");
    let job = scene.stage.call(&["sbatch", "--parsable", "--wait", "--output=bytes.out", "bytes.sh"]).good();
    assert_eq!(std::fs::read(scene.stage.path("work/bytes.out")).expect("its output"), b"\xe9\xff\xe9");
    let words = ["scontrol", "write", "batch_script", job.trim(), "copy.sh"];
    scene.stage.call(&words).good();
    assert_eq!(std::fs::read(scene.stage.path("work/copy.sh")).expect("the copy"), script);
    // What is no text in an option has no meaning.
    let mut sbatch = scene.stage.command(scene.stage.path("bin/sbatch"));
    sbatch.arg(OsStr::from_bytes(b"--comment=\xff"));
    let said: crate::stage::Said = sbatch.arg("wait.sh").output().expect("sbatch can be executed").into();
    assert!(matches!(said.code, Some(1 | 255)) && said.err.contains("not valid UTF-8"), "{said:?}");
}

#[test]
fn the_controller_does_not_rely_on_what_its_clients_check() {
    let scene = Scene::set();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let request = |script: &[u8], token: &str| SubmitRequest {
        spec: JobSpec { name: "j".to_owned(), kind: JobKind::Batch, work_dir: "/".to_owned(), ..JobSpec::default() }
            .into(),
        script: Some(script.to_vec()),
        token: SubmitToken::new(token),
        ..SubmitRequest::default()
    };
    let good = || request(b"#!/bin/sh\n", "t");
    let mut partition = good();
    partition.spec.partitions = vec!["nosuch".into()];
    let mut endless = good();
    endless.spec.name = "x".repeat(1 << 20);
    let mut environment = good();
    environment.environment = vec![b'a'; TOO_LARGE];
    let bad = [
        ("no #!", request(b"echo\n", "1")),
        ("empty", request(b"", "2")),
        ("NUL", request(b"#!/bin/sh\n\0", "3")),
        ("too large", request(&[&b"#!"[..], &vec![b'x'; TOO_LARGE]].concat(), "4")),
        ("unknown partition", partition),
        ("endless name", endless),
        ("environment", environment),
        ("token", request(b"#!/bin/sh\n", &"t".repeat(1 << 16))),
    ];
    runtime.block_on(async {
        let client = scene.stage.client().await;
        for (what, request) in bad {
            let answer = client.submit(request).await;
            let refused = matches!(answer, Err(ClientError::Refused(_) | ClientError::Other(_)));
            assert!(refused, "{what}: {answer:?}");
        }
        let live = client.jobs(JobFilter { all_states: true, ..JobFilter::default() }).await.expect("it answers");
        assert_eq!(live.len(), 1, "{live:?}");
    });
    scene.nothing_was_lost();
}
