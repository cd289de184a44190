use super::KeptSpec;
use super::texts::Texts;
use squall_types::{BlobDigest, Dependency, DependencyKind, DependencyTerm, JobSpec, Span};

#[test]
fn texts_come_back_as_they_were_put() {
    let long = "é".repeat(5_000);
    let texts = [Some("name"), None, Some(""), Some(&long), None, Some("\0@")];
    let packed = Texts::pack(texts);
    assert!(packed.iter().eq(texts));
    assert_eq!((packed.get(3), packed.get(4), packed.get(6)), (Some(&*long), None, None));
}

#[test]
fn a_text_can_be_set_wherever_it_stands() {
    let mut packed = Texts::pack([Some("a")]);
    packed.set(2, Some("c"));
    assert!(packed.iter().eq([Some("a"), None, Some("c")]));
    packed.set(2, None);
    assert!(packed == Texts::pack([Some("a"), None]), "what is missing at the end takes no room");
}

#[test]
fn a_spec_comes_back_as_it_was_submitted() {
    let terms = vec![DependencyTerm { kind: DependencyKind::Singleton, target: None }];
    let spec = JobSpec {
        name: "train".to_owned(),
        script: Some(BlobDigest([1; 32])),
        environment: Some(BlobDigest([2; 32])),
        arguments: vec![String::new(), "--epochs=3".to_owned()],
        work_dir: "/data".to_owned(),
        stdin: Some("in".to_owned()),
        stdout: Some(String::new()),
        stderr: Some("err".to_owned()),
        time_limit: Some(Span::from_hours(1)),
        dependency: Dependency { terms, any: true },
        comment: "nightly".to_owned(),
        submit_line: "sbatch train.sh".to_owned(),
        trace_parent: Some("00-1-2-01".to_owned()),
        command: "train.sh".to_owned(),
        ..JobSpec::default()
    };
    let mut kept = KeptSpec::from(&spec);
    assert_eq!(kept.to_spec(), spec);
    assert_eq!(kept.arguments().collect::<Vec<_>>(), ["", "--epochs=3"]);
    assert_eq!((kept.stdout(), kept.comment()), (Some(""), "nightly"));
    kept.set_name("eval");
    kept.set_comment("");
    kept.set_dependency(Dependency::default());
    let changed =
        JobSpec { name: "eval".to_owned(), comment: String::new(), dependency: Dependency::default(), ..spec };
    assert_eq!(kept.to_spec(), changed);
    assert_eq!(KeptSpec::from(&JobSpec::default()).to_spec(), JobSpec::default());
}
