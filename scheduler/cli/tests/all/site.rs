//! Commands about accounts, shares, priorities and the controller.

use crate::canned::Canned;
use crate::sample;
use crate::transcript::Desk;

fn desk() -> Desk {
    Desk::new(Canned { jobs: sample::queue(), accounting: sample::accounts(), ..Canned::default() })
}

#[test]
fn who_is_in_no_account_is_in_the_default_one() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sacctmgr -n -s list user root format=account%256",
        "sacctmgr show associations -P format=cluster,account,user,qos",
        "sacctmgr list account",
        "sacctmgr show qos -n",
        "sacctmgr -p show cluster format=cluster",
        "sacctmgr show tres",
        "sacctmgr list nonsense",
        "sacctmgr list user format=acount",
        "sacctmgr",
    ]));
}

#[test]
fn there_are_no_triggers_and_none_is_accepted() {
    insta::assert_snapshot!(desk().transcripts(&[
        "strigger --get",
        "strigger --get -j 7 --node=n1 --user root",
        "strigger --get -j x",
        "strigger --get --user=nobodyhere",
        "strigger --get --flags=forever",
        "strigger --get --fini",
        "strigger --get -N -v --fini --jobid=7",
        "strigger --clear",
        "strigger --set --jobid=7 --fini --program=/bin/true",
        "strigger --set --node --down -p /bin/true",
        "strigger --clear --id=1",
        "strigger",
        "strigger --get --set",
    ]));
}

#[test]
fn shares_priorities_and_efficiency_are_shown() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sshare -n -P -o account,user,rawshares",
        "sshare -U --format Account%20 --noheader",
        "sprio",
        "sprio -l",
        "sprio -h -o %i",
        "sprio -o %Z",
        "sprio -w",
        "seff 1",
        "seff",
        "seff abc",
    ]));
}
