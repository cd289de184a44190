//! Accounts over the wire: changed by those who may, kept over a restart, and enforced; and the site's submit hook.

use crate::stage::{Stage, batch, configuration, job};
use crate::tokens::alice;
use squall_proto::ClientError;
use squall_types::accounts::{AccountsEdit, AccountsQuery, EditKind, Entity, Setting};
use squall_types::api::Refusal;

fn add(entity: Entity, settings: &[&str]) -> AccountsEdit {
    let settings = settings.iter().map(|text| Setting::parse(text).unwrap()).collect();
    AccountsEdit { kind: EditKind::Add, entity, settings }
}

fn lab() -> Vec<AccountsEdit> {
    let member = Entity::Association { account: "lab".into(), user: "root".into(), partition: None };
    vec![add(Entity::Account("lab".into()), &["description=the lab"]), add(member, &["maxsubmitjobs=1"])]
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_changed_by_admins_outlive_the_controller_and_hold() {
    let mut stage = Stage::start().await;
    let refusal = refused(alice(&stage).await.edit_accounts(lab()).await);
    assert_eq!((refusal.code.as_str(), refusal.slurm.as_str()), ("SQ2006", "Access/permission denied"));
    let admin = stage.local().await;
    admin.edit_accounts(lab()).await.unwrap();
    assert_eq!(refused(admin.edit_accounts(lab()).await).code, "SQ1093");
    let nobody = Entity::Association { account: "lab".into(), user: "no-such-user".into(), partition: None };
    assert!(refused(admin.edit_accounts(vec![add(nobody, &[])]).await).limit.contains("no user of that name"));

    stage.down().await;
    stage.up().await.unwrap();
    let admin = stage.local().await;
    let query = AccountsQuery { users: vec!["root".to_owned()], accounts: vec!["lab".into()] };
    let entries = admin.accounts(query).await.unwrap();
    let of_root = entries.iter().find(|entry| matches!(entry.entity, Entity::Association { .. })).unwrap();
    assert_eq!(of_root.settings, [Setting::new("maxsubmitjobs", 1)]);
    let first = admin.submit(batch("t1")).await.unwrap().job;
    assert_eq!(job(&admin, first).await.account, "lab".into());
    let refusal = refused(admin.submit(batch("t2")).await);
    assert!(refusal.slurm.starts_with("Job violates accounting/QOS policy"), "{refusal:?}");
    assert_eq!(admin.submit(batch("t1")).await.unwrap().job, first, "the same again is the same");
    let other = alice(&stage).await.submit(batch("t3")).await.unwrap().job;
    assert_eq!(job(&admin, other).await.account, "default".into(), "who is in no account");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_submit_hook_has_its_say_before_anything_is_stored() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let script = r#"read -r job; case "$job" in *forbidden*) echo '{\"refuse\": \"not here\"}';; *) echo '{\"set\": {\"comment\": \"seen\"}, \"note\": \"looked at\"}';; esac"#;
    let hook = format!("[submit_hook]\ncommand = [\"/bin/sh\", \"-c\", '''{}''']\n", script.replace("\\\"", "\""));
    std::fs::write(stage.file(), configuration(stage.dir.path()) + "\n" + &hook).unwrap();
    client.reconfigure().await.unwrap();
    let reply = client.submit(batch("t1")).await.unwrap();
    assert_eq!(reply.notes, ["looked at"]);
    assert_eq!(job(&client, reply.job).await.comment, "seen");
    let mut forbidden = batch("t2");
    forbidden.spec.name = "forbidden".to_owned();
    let refusal = refused(client.submit(forbidden).await);
    assert_eq!((refusal.code.as_str(), refusal.slurm.as_str()), ("SQ1095", "not here"));
}
