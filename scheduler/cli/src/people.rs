//! Users and groups as this machine knows them.
//!
//! Its own files are read first: that is where most are found, and it costs a command a tenth of what asking the system's
//! name services does. Whoever is not there may stand in a directory of the site. A program that is linked dynamically
//! asks libc for those; one that is linked statically has no name services in it and asks the program `getent`, which
//! every system has.

use squall_types::{Gid, Uid};
use std::path::{Path, PathBuf};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub uid: Uid,
    pub name: String,
    pub home: PathBuf,
    pub shell: PathBuf,
}

pub fn person(uid: Uid) -> Option<Person> {
    let number = uid.to_string();
    in_file(Path::new(USERS), 2, &number)
        .or_else(|| directory::line("passwd", &number))
        .and_then(|line| Person::of(&line))
}

pub fn uid_of(name: &str) -> Option<Uid> {
    let line = in_file(Path::new(USERS), 0, name).or_else(|| directory::line("passwd", name))?;
    Person::of(&line).filter(|person| person.name == name).map(|person| person.uid)
}

pub fn group(gid: Gid) -> Option<String> {
    let number = gid.to_string();
    let line = in_file(Path::new(GROUPS), 2, &number).or_else(|| directory::line("group", &number))?;
    group_in(&line).map(|(name, _)| name.to_owned())
}

pub fn gid_of(name: &str) -> Option<Gid> {
    let line = in_file(Path::new(GROUPS), 0, name).or_else(|| directory::line("group", name))?;
    group_in(&line).filter(|(found, _)| *found == name).map(|(_, gid)| gid)
}

impl Person {
    /// A line of passwd(5).
    fn of(line: &str) -> Option<Person> {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, _, _, home, shell] = fields.as_slice() else { return None };
        // As login does where none is named.
        let shell = if shell.is_empty() { "/bin/sh" } else { shell };
        Some(Person { uid: Uid(uid.parse().ok()?), name: (*name).to_owned(), home: home.into(), shell: shell.into() })
    }
}

/// Of a line of group(5).
fn group_in(line: &str) -> Option<(&str, Gid)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    Some((name, Gid(fields.nth(1)?.parse().ok()?)))
}

/// The first line with this in that field. Lines with a sign before the name stand for more than themselves: a directory
/// is asked.
fn in_file(path: &Path, field: usize, wanted: &str) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"+") && !line.starts_with(b"-"));
    let mut found = lines.filter(|line| line.split(|byte| *byte == b':').nth(field) == Some(wanted.as_bytes()));
    String::from_utf8(found.next()?.to_vec()).ok()
}

#[cfg(not(target_feature = "crt-static"))]
mod directory {
    use nix::unistd::{Gid, Group, Uid, User};

    pub fn line(database: &str, wanted: &str) -> Option<String> {
        let number = wanted.parse();
        match (database, number) {
            ("passwd", Ok(uid)) => User::from_uid(Uid::from_raw(uid)).ok()?.as_ref().map(of_user),
            ("passwd", Err(_)) => User::from_name(wanted).ok()?.as_ref().map(of_user),
            (_, Ok(gid)) => Group::from_gid(Gid::from_raw(gid)).ok()?.as_ref().map(of_group),
            (_, Err(_)) => Group::from_name(wanted).ok()?.as_ref().map(of_group),
        }
    }

    fn of_user(user: &User) -> String {
        let User { name, uid, gid, dir, shell, .. } = user;
        format!("{name}:x:{uid}:{gid}::{}:{}", dir.display(), shell.display())
    }

    fn of_group(group: &Group) -> String {
        format!("{}:x:{}:", group.name, group.gid)
    }
}

#[cfg(target_feature = "crt-static")]
mod directory {
    use std::process::{Command, Stdio};

    pub fn line(database: &str, wanted: &str) -> Option<String> {
        let asked =
            Command::new("getent").args([database, "--", wanted]).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let said = asked.ok().filter(|asked| asked.status.success())?;
        Some(std::str::from_utf8(&said.stdout).ok()?.lines().next()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwd");
        let lines =
            "+@admins::::::\n\nroot:x:0:0:r:/root:/bin/bash\nann:x:7:7::/home/ann:\nann2:x:7:8::/h:/bin/sh\nbad:x\n";
        std::fs::write(&file, lines).unwrap();
        let ann = in_file(&file, 2, "7").and_then(|line| Person::of(&line)).unwrap();
        let expected = Person { uid: Uid(7), name: "ann".into(), home: "/home/ann".into(), shell: "/bin/sh".into() };
        assert_eq!(ann, expected);
        assert_eq!(in_file(&file, 0, "ann2").and_then(|line| Person::of(&line)).unwrap().uid, Uid(7));
        assert_eq!(in_file(&file, 0, "bad").and_then(|line| Person::of(&line)), None);
        assert_eq!((in_file(&file, 0, "+@admins"), in_file(&file, 2, "")), (None, None));
        assert_eq!(in_file(&folder.path().join("none"), 0, "ann"), None);
        assert_eq!(group_in("gpu:x:44:ann,bob"), Some(("gpu", Gid(44))));
    }

    /// Both ways to whom a machine knows say the same.
    #[test]
    fn whoever_runs_this_is_known_as_to_libc() {
        let uid = nix::unistd::getuid();
        let known = nix::unistd::User::from_uid(uid).unwrap();
        assert_eq!(person(Uid(uid.as_raw())).map(|person| person.name), known.map(|user| user.name));
        assert_eq!(
            (uid_of("root"), gid_of("root"), group(Gid(0))),
            (Some(Uid(0)), Some(Gid(0)), Some("root".to_owned()))
        );
        assert_eq!((person(Uid(u32::MAX - 7)), uid_of("nobody-of-that-name"), uid_of("0")), (None, None, None));
        assert_eq!(directory::line("passwd", "root").and_then(|line| Person::of(&line)), person(Uid(0)));
    }
}
