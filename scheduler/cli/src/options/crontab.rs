//! Options of scrontab.

use super::{Opt, Section, opt};
use crate::command::Command::{self, Scrontab};

const ON: &[Command] = &[Scrontab];

pub static SECTIONS: &[Section] = &[Section { title: "", rows: ROWS }, Section { title: "Help options", rows: HELP }];

static HELP: &[Opt] = &[
    opt("help").on(ON).help("show this help message"),
    opt("usage").on(ON).help("display brief usage message"),
    opt("version").short('V').on(ON).help("output version information and exit"),
];

static ROWS: &[Opt] = &[
    opt("edit")
        .short('e')
        .on(ON)
        .help("edit the crontab with $VISUAL, $EDITOR or vi;\nwithout a file this is what is done"),
    opt("list").short('l').on(ON).help("print the crontab"),
    opt("remove").short('r').on(ON).help("take the crontab away: what runs of it ends,\nand what waits is cancelled"),
    opt("user").short('u').value("user").on(ON).help("the crontab of this user, for admins"),
    opt("quiet").short('Q').on(ON).help("no messages but errors"),
    opt("verbose").short('v').on(ON).help("say more"),
];
