//! What differs from one run to the next, and says nothing about who answers.

use regex::Regex;
use std::path::Path;
use std::sync::OnceLock;

/// Patterns with what stands in their place. Widths are kept, so that columns stay columns.
const MASKS: [(&str, &str); 17] = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "YYYY-MM-DDTHH:MM:SS"),
    // Less than a minute, in each of the forms of a length of time.
    (r"\b00:00:[0-5]\d\b", "00:00:SS"),
    (r"\b0:[0-5]\d\b", "0:SS"),
    (r"\b00:[0-5]\d\.\d{3}\b", "00:SS.mmm"),
    (r"AllocNode:Sid=\S+", "AllocNode:Sid=HOST:SID"),
    (r"\bPriority=\d+", "Priority=N"),
    // What Squall adds: money, and where nodes come from; a line of its own, or at the end of the only one.
    (r"(?m)^   (Cost|Pools)=.*\n", ""),
    (r" Cost=\$\S+", ""),
    (r"(?m) Pools=\S+$", ""),
    (r"\bcpu-bind=\S+", ""),
    (r"\((start|end)=\d+\)", "($1=N)"),
    // Which of several equal nodes a job gets.
    (r"\bn-\d\b", "n-#"),
    // Several nodes on one machine: Slurm's step daemon says which one it is.
    (r"slurmstepd-n-#:", "slurmstepd:"),
    (r"CPULoad=\S+", "CPULoad=N"),
    (r"FreeMem=\d+", "FreeMem=N"),
    // Whether an allocation has to wait depends on whether what ran before it is cleared away by then.
    (r"(?m)^(srun|salloc): job \d+ (queued and waiting for|has been allocated) resources\n", ""),
    (r"LastSchedEval=\S+ Scheduler=\w+", "LastSchedEval=T Scheduler=S"),
];

pub fn masked(text: &str, folder: &Path, jobs: &[(String, String)]) -> String {
    static PATTERNS: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let patterns = PATTERNS
        .get_or_init(|| MASKS.iter().map(|(pattern, mask)| (Regex::new(pattern).expect("a pattern"), *mask)).collect());
    let mut text = text.replace(&*folder.to_string_lossy(), "/FOLDER");
    for (pattern, mask) in patterns {
        text = pattern.replace_all(&text, *mask).into_owned();
    }
    for (name, id) in jobs {
        let whole = Regex::new(&format!(r"(^|[^0-9]){id}($|[^0-9])")).expect("a pattern");
        let name = format!("<{:.2}>", format!("{name}_"));
        // Twice, for numbers that share the character between them.
        for _ in 0..2 {
            text = whole.replace_all(&text, format!("${{1}}{name}${{2}}")).into_owned();
        }
    }
    // A job without a name in the scene: where one side refuses what the other takes, the numbers after it differ.
    static NUMBER: OnceLock<Regex> = OnceLock::new();
    let number = NUMBER.get_or_init(|| Regex::new(r"(?m)^Submitted batch job \d+$").expect("a pattern"));
    number.replace_all(&text, "Submitted batch job N").into_owned()
}

/// What Squall says below Slurm's lines: what was asked, which limit refuses it, what would work.
pub fn without_advice(text: &str) -> String {
    let ours = |line: &&str| {
        let advice = ["  asked:  ", "  limit:  ", "  cause:  ", "  try:    ", "  more:   "];
        advice.iter().any(|begin| line.starts_with(begin)) || line.contains(": did you mean '")
    };
    let said = text.lines().filter(|line| !ours(line) && !line.is_empty());
    said.map(|line| format!("{line}\n")).collect()
}
