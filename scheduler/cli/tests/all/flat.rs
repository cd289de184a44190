//! `sacctmgr dump` and `sacctmgr load`.

use crate::accounts::rows;
use crate::canned::{Asked, Canned};
use crate::transcript::Desk;
use squall_types::accounts::{AccountsEdit, Change};

const HEAD: &str = "Cluster - 'storm'\nParent - 'root'\n";

fn desk() -> Desk {
    Desk::new(Canned { accounts: rows(), ..Canned::default() })
}

/// One line for each change that the controller was asked for.
fn asked(desk: &Desk) -> String {
    let asked = desk.controller.asked.borrow();
    let mut requests = asked.iter().filter_map(|asked| match asked {
        Asked::EditAccounts(edits) => Some(edits),
        _ => None,
    });
    let edits = requests.next().map(Vec::as_slice).unwrap_or_default();
    assert!(requests.next().is_none(), "a file is one request");
    edits.iter().map(line).collect()
}

fn line(edit: &AccountsEdit) -> String {
    let sign = |change| match change {
        Change::Set => "",
        Change::Add => "+",
        Change::Remove => "-",
    };
    let settings = edit.settings.iter().map(|one| format!(" {}{}={}", one.key, sign(one.change), one.value));
    format!("{:?} {:?}{}\n", edit.kind, edit.entity, settings.collect::<String>())
}

/// What loading the text tells, and what it asks for.
fn loaded(text: &str, options: &str) -> String {
    let desk = desk().file("file", text);
    let told = desk.transcript(&format!("sacctmgr -i load file {options}"));
    format!("{told}{}", asked(&desk))
}

#[test]
fn what_is_dumped_is_all_that_there_is_and_changes_nothing_where_it_is_loaded() {
    let desk = desk();
    let told = desk.transcripts(&["sacctmgr dump storm file=a", "sacctmgr dump cluster=storm"]);
    let file = |name: &str| std::fs::read_to_string(desk.directory.path().join(name)).expect("a file");
    assert_eq!(file("a"), file("storm.cfg"));
    insta::assert_snapshot!(told + &file("a"));
    for options in ["", "clean", "cluster=storm"] {
        let outcome = desk.run(&format!("sacctmgr -i load file=a {options}"));
        let said = "For cluster storm\n Nothing new added.\n";
        assert_eq!((outcome.out.as_str(), outcome.err.as_str(), outcome.code), (said, "", 0), "{options}");
    }
    assert_eq!(asked(&desk), "");
}

#[test]
fn a_file_is_told_and_made_in_one_request() {
    let text = "\
cluster - storm:GrpTRES=cpu=900:Fairshare=1:QOS='normal'
Parent - 'root'
Account - 'lab':Description='the lab':Organization='uni':GrpTRES=mem=62.50G:GrpNodes=4
Account - 'sound':Description='all that is heard':Fairshare=7:MaxWallDurationPerJob=1440 # new
Parent - 'sound'
Account - 'vision':QOS='+high':MaxJobs=-1
User - 'cleo':DefaultAccount='music':Coordinator='lab,sound':MaxSubmitJobs=3
Account - 'music':DefaultQOS=high:QOS='normal,high'
Parent - 'vision'
User - 'ann':DefaultAccount='vision':MaxJobs=5:MaxWallDurationPerJob=0:AdminLevel=Operator
Parent - 'music'
User - 'cleo':DefaultAccount='music':QOS='-normal':Partition='gpu'
User - 'bob':AdminLevel='Operator'
";
    insta::assert_snapshot!(loaded(text, ""));
}

#[test]
fn from_scratch_what_no_line_names_goes_and_what_stays_says_no_more_than_its_line() {
    let text = format!(
        "{HEAD}Account - 'vision':QOS='high'\nParent - 'vision'\nUser - 'ann':MaxJobs=2\nParent - 'root'\n\
         Account - 'new'\nParent - 'new'\nUser - 'cleo'\n"
    );
    insta::assert_snapshot!(loaded(&text, "clean"));
}

#[test]
fn every_line_that_cannot_be_is_told_by_its_number() {
    let text = format!(
        "{HEAD}Account - 'x1':Nonsense=3\nAccount - 'x2':MaxJobs=abc\nAccount - 'x3':GrpWall=100\nAccount - 'lab'\n\
         Account - 'lab':MaxJobs=3\nParent - 'nosuch'\nAccount - 'x4'\nUser - 'ann'\nParent - 'x1'\nUser - 'dan'\n\
         User - 'dan':MaxJobs=3\nUser - 'eve':DefaultAccount='lab'\nUser - 'ann':QOS='nosuch'\nAccount - 'root'\n\
         User - 'fay':Coordinator='nosuch':AdminLevel='king'\nAccount - 'x5':Parent='lab'\nAccount - 'x6':QOS='-normal'\n\
         User - 'bob':DefaultAccount='x1'\nParent - 'lab'\nUser - 'bob':DefaultAccount='lab'\nCluster - 'storm'\n"
    );
    let no_lines = format!("{HEAD}Frob - 'x'\nAccount 'x'\nAccount - 'x\n\nhello\nUser - x:MaxTRESPerJob=node:2\n");
    let many = format!("{HEAD}{}", "?\n".repeat(30));
    let other = "Cluster - 'other'\nParent - 'root'\nAccount - 'x'\n";
    let told = [&text, &no_lines, &many, other, "Parent - 'root'\n", "# nothing\n"].map(|text| loaded(text, ""));
    insta::assert_snapshot!(told.join("\n") + &loaded(other, "cluster=storm"));
}

#[test]
fn files_and_words_that_cannot_be() {
    let file = format!("{HEAD}Account - 'x'\n");
    let desk = desk().file("file", &file).file("no text", [0xff, 0xfe]).file("long", vec![b'#'; (8 << 20) + 1]);
    insta::assert_snapshot!(desk.transcripts(&[
        "sacctmgr load",
        "sacctmgr load nosuch",
        "sacctmgr load 'no text'",
        "sacctmgr load long",
        "sacctmgr load file other",
        "sacctmgr load file colour=blue",
        "sacctmgr load file cluster=other",
        "sacctmgr -r load file",
        "sacctmgr dump",
        "sacctmgr dump other",
        "sacctmgr dump storm other",
        "sacctmgr dump storm colour=blue",
        "sacctmgr dump storm file=no/such/folder",
    ]));
    assert_eq!(asked(&desk), "");
}

#[test]
fn a_file_is_loaded_when_somebody_says_yes() {
    let answered = |line: &str, typed: &str| {
        let desk = desk().file("file", format!("{HEAD}Account - 'lab'\nUser - 'ann'\n")).typing(typed);
        let told = desk.transcript(line);
        format!("{typed:?}\n{told}{}", asked(&desk))
    };
    let told = [("load file", "y\n"), ("load file", ""), ("load file clean", "n\n"), ("-Q load file clean", "y\n")];
    insta::assert_snapshot!(told.map(|(words, typed)| answered(&format!("sacctmgr {words}"), typed)).join("\n"));
}
