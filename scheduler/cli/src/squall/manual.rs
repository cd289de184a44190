//! What manual pages say beside options: the words of commands that have a language of their own.

use crate::command::Command;

/// A heading, and words with what they mean.
pub type Chapter = (&'static str, &'static [(&'static str, &'static str)]);

pub fn chapters(command: Command) -> &'static [Chapter] {
    match command {
        Command::Sacctmgr => SACCTMGR,
        Command::Sreport => SREPORT,
        Command::Scontrol => SCONTROL,
        Command::Scrontab => SCRONTAB,
        _ => &[],
    }
}

static SCONTROL: &[Chapter] = &[(
    "Suspending jobs",
    &[
        (
            "suspend JOB...",
            "freezes all processes of jobs that run, for admins. Their time stands still, steps in them wait, and srun stays \
             connected. They keep what they hold, GPU memory included: nothing of it is given to other jobs, and nodes that \
             were bought go on costing what they cost",
        ),
        ("resume JOB...", "lets them go on"),
        ("requeue JOB", "of a suspended job: it is held until somebody releases it"),
    ],
)];

static SCRONTAB: &[Chapter] = &[
    (
        "Lines of a crontab",
        &[
            ("minute hour day-of-month month day-of-week COMMAND", "an entry: a job that runs COMMAND at these times"),
            (
                "@hourly COMMAND",
                "a word in place of the five fields: @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @elevenses, @fika, @teatime",
            ),
            ("#SCRON OPTIONS", "options of sbatch for the entry that follows, on as many lines as it takes"),
            ("NAME=value", "a variable for all entries that follow"),
            ("# anything", "a comment, as is #DISABLED: before the lines of a job that was cancelled"),
        ],
    ),
    (
        "Times",
        &[
            (
                "*, 5, 1,2, 1-5, */10, mon, jan",
                "lists, ranges, steps and names; where both fields of days say something, either will do",
            ),
            (
                "time zone",
                "that of the machine where the crontab was set, or of TZ there. What the clocks leave out comes when they have been put forward, what they repeat comes once",
            ),
        ],
    ),
    (
        "Jobs",
        &[
            (
                "one job for each entry",
                "with one number for all of its runs: when a run has ended it waits for its next time. Two runs never overlap, and times that were missed meanwhile are missed, but for one run when the cluster is back",
            ),
            (
                "directory and environment",
                "the home of the user, and what cron gives: HOME, LOGNAME, USER, SHELL, PATH",
            ),
            (
                "another crontab",
                "leaves the jobs of unchanged entries alone. Those of others are cancelled or, where they run, do not come back",
            ),
            ("scancel --cron JOB", "cancels the job of an entry, which becomes a comment"),
        ],
    ),
];

static SACCTMGR: &[Chapter] = &[
    (
        "Commands",
        &[
            ("list|show ENTITY [where CONDITIONS] [format=FIELDS]", "lists; withassoc, withcoord and tree tell more"),
            ("add|create ENTITY NAMES SETTINGS", "adds; says what, and asks unless -i is given"),
            ("modify ENTITY where CONDITIONS set SETTINGS", "changes all that fit the conditions"),
            ("delete|remove ENTITY where CONDITIONS", "removes; what jobs stand on is not removed"),
            (
                "dump CLUSTER [file=FILE]",
                "writes accounts, the users in them and their limits into a file of Slurm's form",
            ),
            (
                "load [file=]FILE [cluster=NAME] [clean]",
                "makes what such a file says, all of it in one change or none; tells what it would change, and asks unless -i is given. With clean everything goes that the file does not name; qualities of service are not part of it",
            ),
        ],
    ),
    (
        "Entities",
        &[
            ("account", "part of a tree below root; whoever is in it submits with --account"),
            (
                "user",
                "a user, and with account= the association that joins her to it; partition= makes it one partition's",
            ),
            ("qos", "a quality of service: jobs name it with --qos, partitions are configured with it"),
            ("coordinator", "account= and names=: users who look after what is below an account"),
            ("association, cluster, tres", "can be listed"),
        ],
    ),
    (
        "Files of associations",
        &[
            (
                "Cluster - NAME:SETTINGS",
                "the first line; its settings are those of root. cluster=NAME loads a file that has another name",
            ),
            ("Parent - ACCOUNT", "what follows stands below that account, whose own line comes before"),
            ("Account - NAME:SETTINGS", "an account; its settings take the place of those that there are"),
            (
                "User - NAME:SETTINGS",
                "a user in that account, with Partition= for one partition; DefaultAccount=, AdminLevel= and Coordinator=ACCOUNTS are the user's in all accounts",
            ),
            (
                "SETTINGS",
                "NAME=VALUE with colons between them, in any order; values with colons or blanks in quotes. # begins a comment",
            ),
        ],
    ),
    (
        "Settings of accounts and associations",
        &[
            ("GrpJobs, GrpSubmitJobs, GrpTRES", "for all jobs of an account and those below it, together"),
            ("MaxJobs, MaxSubmitJobs", "for each user; the nearest that is set holds"),
            ("MaxTRESPerJob, MaxWall", "for each job"),
            ("QOS, DefaultQOS", "which may be named; QOS+=NAME and QOS-=NAME change the list. By default normal alone"),
            ("Fairshare", "kept and shown; jobs are not ordered by it yet"),
            ("Parent, Description, Organization", "of accounts"),
        ],
    ),
    (
        "Settings of users",
        &[
            ("DefaultAccount", "for jobs that name none; users may set their own"),
            ("AdminLevel", "Operator and Administrator change accounts; neither gives any other right"),
        ],
    ),
    (
        "Settings of qualities of service",
        &[
            (
                "GrpJobs, GrpSubmitJobs, GrpTRES, MaxTRESPerJob, MaxWall",
                "as above; they go before those of associations",
            ),
            ("MaxJobsPerUser, MaxSubmitJobsPerUser, MaxTRESPerUser", "for each user"),
            ("MaxJobsPerAccount, MaxSubmitJobsPerAccount, MaxTRESPerAccount", "for each account"),
            ("Priority", "points that its jobs have more"),
            ("Flags", "OverPartQOS: its limits go before those of the partition's. DenyOnLimit: holds always here"),
        ],
    ),
    (
        "Limits",
        &[
            ("-1", "takes a limit away"),
            ("cpu, mem, node, gres/gpu", "what TRES can name, as in GrpTRES=cpu=64,gres/gpu=8"),
            (
                "What a limit does",
                "a job that exceeds one alone is refused; one that has to wait for others waits, asks for \
                                   no machine, and squall why names the limit",
            ),
        ],
    ),
];

static SREPORT: &[Chapter] = &[
    (
        "Reports",
        &[
            ("cluster Utilization", "what there was, and how much of it jobs held"),
            ("cluster AccountUtilizationByUser", "accounts, and the users of each"),
            ("cluster UserUtilizationByAccount", "users, and the accounts of each"),
            ("job SizesByAccount", "use by the size of jobs"),
            ("user TopUsage", "who used most; TopCount=N, and Group for all accounts of a user together"),
        ],
    ),
    (
        "Conditions",
        &[
            ("start=TIME, end=TIME", "yesterday, where nothing is said; times as sacct takes them"),
            ("accounts=NAMES, users=NAMES", "only those"),
            ("format=FIELDS", "columns, with widths as in Account%30"),
        ],
    ),
];
