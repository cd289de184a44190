//! Accounts and limits: people are put into accounts, submit under them, and limits come and go while they do.

use super::{Act, Work};
use crate::dice::Dice;
use squall_types::accounts::{AccountsEdit, EditKind, Entity, Setting};
use squall_types::{AccountName, QosName, Span, Timestamp, Uid};

/// Whom the names of the edits mean.
pub const USERS: [(&str, Uid); 2] = [("ann", Uid(1000)), ("bob", Uid(1001))];

pub fn draw(dice: &mut Dice, work: &mut [Work], acts: &mut Vec<(Timestamp, Act)>, start: Timestamp, length: Span) {
    let root = [("qos", "normal,small".to_owned())];
    let mut first = vec![
        edit(EditKind::Add, account("lab"), &[]),
        edit(EditKind::Add, account("vision"), &[("parent", "lab".to_owned())]),
        edit(EditKind::Add, Entity::Qos("small".into()), &[("priority", dice.below(50).to_string())]),
        edit(EditKind::Modify, account("root"), &root),
        edit(EditKind::Add, member("vision", "ann"), &[]),
        edit(EditKind::Add, member("vision", "bob"), &[]),
        edit(EditKind::Add, member("lab", "ann"), &[]),
    ];
    first.extend((0..dice.between(1, 3)).map(|_| limit(dice)));
    acts.push((start + dice.secs(1, 20), Act::Accounts(first)));
    for one in work {
        one.spec.account = match (one.spec.uid, dice.below(3)) {
            (_, 0) => AccountName::default(),
            (Uid(1000), 1) => "lab".into(),
            _ => "vision".into(),
        };
        one.spec.qos = dice.chance(400).then(|| QosName::from("small"));
    }
    for _ in 0..dice.between(1, 6) {
        let edits = (0..dice.between(1, 2)).map(|_| limit(dice)).collect();
        acts.push((start + dice.secs(20, length.as_secs() * 9 / 10), Act::Accounts(edits)));
    }
}

/// A limit is set, or taken away.
fn limit(dice: &mut Dice) -> AccountsEdit {
    let number = |dice: &mut Dice, most| match dice.below(4) {
        0 => "-1".to_owned(),
        _ => dice.between(0, most).to_string(),
    };
    let tres = |dice: &mut Dice, kind: &str, most| format!("{kind}={}", number(dice, most));
    let account_name = *dice.pick(&["lab", "vision", "root"]);
    match dice.below(7) {
        0 | 1 => edit(EditKind::Modify, account(account_name), &[("grpjobs", number(dice, 4))]),
        2 => edit(EditKind::Modify, account(account_name), &[("grptres", tres(dice, "gres/gpu", 8))]),
        3 => edit(EditKind::Modify, account(account_name), &[("maxjobs", number(dice, 3))]),
        4 => edit(EditKind::Modify, Entity::Qos("small".into()), &[("maxtresperuser", tres(dice, "cpu", 12))]),
        5 => edit(EditKind::Modify, Entity::Qos("small".into()), &[("maxjobsperuser", number(dice, 3))]),
        _ => edit(EditKind::Modify, account("lab"), &[("grptres", tres(dice, "node", 4))]),
    }
}

/// Takes away everything that is limited.
pub fn lift(entity: Entity) -> AccountsEdit {
    let keys = ["grpjobs", "grptres", "maxjobs", "maxtresperjob"];
    let settings = keys.iter().map(|key| Setting::new(key, "-1")).collect();
    let mut edit = AccountsEdit { kind: EditKind::Modify, entity, settings };
    if matches!(edit.entity, Entity::Qos(_)) {
        edit.settings.push(Setting::new("maxtresperuser", "-1"));
    }
    edit
}

fn account(name: &str) -> Entity {
    Entity::Account(name.into())
}

fn member(account: &str, user: &str) -> Entity {
    Entity::Association { account: account.into(), user: user.to_owned(), partition: None }
}

fn edit(kind: EditKind, entity: Entity, settings: &[(&str, String)]) -> AccountsEdit {
    let settings = settings.iter().map(|(key, value)| Setting::new(key, value)).collect();
    AccountsEdit { kind, entity, settings }
}
