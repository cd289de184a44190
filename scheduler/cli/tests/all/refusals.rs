//! What commands refuse before they ask anybody: the transcript that people and programs see.

use crate::canned::Canned;
use crate::transcript::Desk;

fn desk() -> Desk {
    Desk::new(Canned::default())
        .file("job.sh", "#!/bin/sh\nhostname\n")
        .file("nobang.sh", "hostname\n")
        .file("crlf.sh", "#!/bin/sh\r\nhostname\r\n")
        .file("empty.sh", "")
        .file("blank.sh", "\n \n")
        .file("bom.sh", "\u{feff}#!/bin/sh\nhostname\n")
        .file("nul.sh", "#!/bin/sh\nhost\0name\n")
        .file("badopt.sh", "#!/bin/sh\n#SBATCH --foo\nhostname\n")
        .file("missing.sh", "#!/bin/sh\n#SBATCH -n\nhostname\n")
        .file("stray.sh", "#!/bin/sh\n#SBATCH stray -n1\nhostname\n")
        .file("open.sh", "#!/bin/sh\n#SBATCH --job-name=\"open\nhostname\n")
        .file("colon.sh", "#!/bin/sh\n#SBATCH -n1 : -n2\nhostname\n")
        .file("het.sh", "#!/bin/sh\n#SBATCH -n1\n#SBATCH hetjob\n#SBATCH --foo\nhostname\n")
        .file("latin1.sh", b"#!/bin/sh\n#SBATCH --comment=gr\xfcn\nhostname\n")
        .file("minute.cron", "# mine\n61 * * * * run\n")
        .file("weekday.cron", "0 0 * * fri-mon run\n")
        .file("never.cron", "0 0 30 2 * run\n")
        .file("word.cron", "@fortnightly run\n")
        .file("empty.cron", "*/10 * * * *\n")
        .file("dangling.cron", "@daily run\n#SCRON --time=5\n")
        .file("open.cron", "#SCRON -J 'open\n@daily run\n")
        .file("option.cron", "\n#SCRON --foo\n@daily run\n")
        .file("array.cron", "#SCRON --array=1-3\n@daily run\n")
        .file("value.cron", "#SCRON --time=soon\n@daily run\n")
        .file("stray.cron", "#SCRON stray\n@daily run\n")
        .file("large.cron", "# padding\n".repeat(7_000))
        .file("latin1.cron", b"@daily gr\xfcn\n")
        .file("pbs.sh", "#!/bin/sh\n#PBS -N name\nhostname\n")
        .file("large.sh", format!("#!/bin/sh\n{}", "# padding\n".repeat(430_000)))
}

fn refused(lines: &[&str]) -> String {
    let desk = desk();
    let shown = desk.transcripts(lines);
    // 255 is Slurm's code for options that cannot be read.
    let refused = ["[exit 1]", "[exit 255]"].map(|code| shown.matches(code).count());
    assert_eq!(refused.iter().sum::<usize>(), lines.len(), "each is refused:\n{shown}");
    assert!(desk.controller.asked.borrow().is_empty(), "nothing was asked of the controller");
    shown
}

#[test]
fn scripts_that_are_none() {
    insta::assert_snapshot!(refused(&[
        "sbatch nobang.sh",
        "sbatch crlf.sh",
        "sbatch empty.sh",
        "sbatch blank.sh",
        "sbatch bom.sh",
        "sbatch nul.sh",
        "sbatch large.sh",
        "sbatch nofile.sh",
        "sbatch /",
        "sbatch",
        "sbatch --wrap hostname job.sh",
        "sbatch pbs.sh",
    ]));
}

#[test]
fn directives_that_mean_nothing() {
    insta::assert_snapshot!(refused(&[
        "sbatch badopt.sh",
        "sbatch missing.sh",
        "sbatch stray.sh",
        "sbatch open.sh",
        "sbatch colon.sh",
        "sbatch het.sh",
        "sbatch latin1.sh",
    ]));
}

#[test]
fn options_that_do_not_exist() {
    insta::assert_snapshot!(refused(&[
        "sbatch --foo job.sh",
        "sbatch --gpu-per-node=4 job.sh",
        "sbatch -Y job.sh",
        "sbatch --no job.sh",
        "sbatch --ex job.sh",
        "sbatch --parsable=3 job.sh",
        "sbatch --wait=3 job.sh",
        "sbatch --job-name",
        "sbatch -n",
    ]));
}

#[test]
fn numbers_that_are_none() {
    insta::assert_snapshot!(refused(&[
        "sbatch -n job.sh",
        "sbatch -n -3 job.sh",
        "sbatch -n 0 job.sh",
        "sbatch -n 99999999999 job.sh",
        "sbatch -N 0 job.sh",
        "sbatch -N 5-2 job.sh",
        "sbatch -N abc job.sh",
        "sbatch -c 0 job.sh",
        "sbatch --ntasks-per-node=abc job.sh",
        "sbatch --mincpus=-1 job.sh",
        "sbatch --nice=abc job.sh",
        "sbatch --nice=99999999999 job.sh",
        "sbatch --priority=abc job.sh",
        "sbatch --max-price=cheap job.sh",
        "sbatch --max-cost=1.2345678 job.sh",
    ]));
}

#[test]
fn memory_and_gpus_that_cannot_be() {
    insta::assert_snapshot!(refused(&[
        "sbatch --mem=abc job.sh",
        "sbatch --mem=-4 job.sh",
        "sbatch --mem=10Z job.sh",
        "sbatch --mem=1G --mem-per-cpu=1G job.sh",
        "sbatch --gres=foo:1 job.sh",
        "sbatch --gres=gpu:h100:x job.sh",
        "sbatch --gres=gpu:a100:1,gpu:h100:1 job.sh",
        "sbatch --gpus-per-node=h100:-1 job.sh",
        "sbatch --gpus=8 --gpus-per-node=3 job.sh",
        "sbatch --gpus=8 --gpus-per-task=1 -n4 job.sh",
        "sbatch --gres=gpu:a100:2 --gpus=h100:2 job.sh",
        "sbatch --gpus-per-node=99999 job.sh",
        "sbatch --cpus-per-gpu=2 job.sh",
        "sbatch --mem-per-gpu=2G job.sh",
        "sbatch --gpus=1 -c2 --cpus-per-gpu=2 job.sh",
        "sbatch --ntasks-per-gpu=2 job.sh",
        "sbatch --tres-per-task=license/x=1 job.sh",
    ]));
}

#[test]
fn times_that_are_none() {
    insta::assert_snapshot!(refused(&[
        "sbatch -t abc job.sh",
        "sbatch -t 1:2:3:4 job.sh",
        "sbatch --begin=garbage job.sh",
        "sbatch --begin=now+5foo job.sh",
        "sbatch --deadline=2026-02-30 job.sh",
        "sbatch --signal=FOO@90 job.sh",
        "sbatch --signal=USR1@abc job.sh",
        "sbatch --signal=USR1@99999 job.sh",
    ]));
}

#[test]
fn lists_that_cannot_be_read() {
    insta::assert_snapshot!(refused(&[
        "sbatch -a abc job.sh",
        "sbatch -a 5-2 job.sh",
        "sbatch -a 0-9:0 job.sh",
        "sbatch -a 0-9%0 job.sh",
        "sbatch -a 0-4000000000 job.sh",
        "sbatch -d afterok job.sh",
        "sbatch -d afterok:abc job.sh",
        "sbatch -d foo:1 job.sh",
        "sbatch -d 'afterok:1,afterany:2?singleton' job.sh",
        "sbatch -C 'a&' job.sh",
        "sbatch -w 'n[1-' job.sh",
        "sbatch -x 'n[1-99999999999]' job.sh",
        "sbatch -F nosuchfile job.sh",
    ]));
}

#[test]
fn words_that_are_no_choice() {
    insta::assert_snapshot!(refused(&[
        "sbatch --mail-type=FOO job.sh",
        "sbatch --open-mode=x job.sh",
        "sbatch --distribution=foo job.sh",
        "sbatch --distribution=plane=2 job.sh",
        "sbatch --exclusive=foo job.sh",
        "sbatch --exclusive=user job.sh",
        "sbatch --kill-on-invalid-dep=maybe job.sh",
        "sbatch --export-file=nosuch job.sh",
        "sbatch \"--export=A='x\" job.sh",
    ]));
}

#[test]
fn options_whose_meaning_cannot_be_kept() {
    insta::assert_snapshot!(refused(&[
        "sbatch --container=/x job.sh",
        "sbatch --bb=spec job.sh",
        "sbatch --uid=root job.sh",
        "sbatch --gid=wheel job.sh",
        "sbatch --reboot job.sh",
        "sbatch --tmp=10G job.sh",
        "sbatch --x11 job.sh",
        "sbatch --gpus-per-socket=1 job.sh",
        "sbatch --cluster-constraint=x job.sh",
        "sbatch --batch=x job.sh",
    ]));
}

#[test]
fn a_cluster_of_another_name_is_not_here() {
    let shown = desk().transcript("sbatch -M nosuch job.sh");
    insta::assert_snapshot!(shown);
}

#[test]
fn crontabs_that_mean_nothing() {
    insta::assert_snapshot!(refused(&[
        "scrontab minute.cron",
        "scrontab weekday.cron",
        "scrontab never.cron",
        "scrontab word.cron",
        "scrontab empty.cron",
        "scrontab dangling.cron",
        "scrontab open.cron",
        "scrontab option.cron",
        "scrontab array.cron",
        "scrontab value.cron",
        "scrontab stray.cron",
        "scrontab large.cron",
        "scrontab latin1.cron",
        "scrontab nofile.cron",
        "scrontab -u nobody-of-that-name -l",
        "scrontab -l -r",
    ]));
}
