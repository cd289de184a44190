//! What runs in the demo's jobs: one task with one GPU, and the job that counts what the tasks left behind.

use super::outputs::{TaskReport, read_reports};
use crate::failure::Failure;
use crate::invocation::Invocation;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a task works.
const WORK: Duration = Duration::from_millis(1_500);
/// Of the driver's answer.
const MAX_DEVICE_BYTES: u64 = 4_096;
/// Outputs that are counted.
const MAX_INPUT_BYTES: u64 = 1 << 20;

/// `squall demo-task`: says where it runs and with what, works a while, and says when that was over.
///
/// # Errors
/// Output that cannot be written.
pub fn task(invocation: &mut Invocation<'_>, _: &[String]) -> Result<i32, Failure> {
    let began_ms = now_ms();
    let variable = |name: &str| invocation.environment.get(name).unwrap_or_default().to_owned();
    let gpus = variable("CUDA_VISIBLE_DEVICES");
    let device = real_device(&gpus);
    // Sums an alternating series: something to do that has a known result.
    let until = Instant::now() + WORK;
    let (mut terms, mut quarter_pi, mut sign) = (0u64, 0.0f64, 1.0f64);
    while Instant::now() < until {
        for _ in 0..1_000 {
            quarter_pi += sign / (2 * terms + 1) as f64;
            sign = -sign;
            terms += 1;
        }
        // Many tasks share this machine's CPUs.
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = TaskReport {
        job: variable("SLURM_JOB_ID"),
        element: variable("SLURM_ARRAY_TASK_ID"),
        node: variable("SLURMD_NODENAME"),
        host: invocation.caller.host.clone(),
        gpus,
        device,
        began_ms,
        ended_ms: now_ms(),
        terms,
        pi: format!("{:.6}", 4.0 * quarter_pi),
    };
    writeln!(invocation.out, "{}", report.line())?;
    Ok(0)
}

/// `squall demo-count`: how many tasks there were, from what they printed.
///
/// # Errors
/// Input that cannot be read.
pub fn count(invocation: &mut Invocation<'_>, _: &[String]) -> Result<i32, Failure> {
    let began_ms = now_ms();
    let mut text = String::new();
    (&mut *invocation.input).take(MAX_INPUT_BYTES).read_to_string(&mut text)?;
    let reports = read_reports(&text);
    let terms: u64 = reports.iter().map(|report| report.terms).sum();
    writeln!(invocation.out, "counted {} tasks with {terms} terms, began {began_ms}", reports.len())?;
    Ok(0)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// What the driver says of the GPU that was granted; empty where there is no driver.
fn real_device(gpus: &str) -> String {
    if gpus.is_empty() {
        return String::new();
    }
    let mut query = Command::new("nvidia-smi");
    query.args(["--query-gpu=uuid,name", "--format=csv,noheader", "--id"]).arg(gpus);
    let Ok(mut child) = query.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped()).spawn() else {
        return String::new();
    };
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        let _ = output.take(MAX_DEVICE_BYTES).read_to_string(&mut said);
    }
    match child.wait() {
        Ok(status) if status.success() => said.trim().replace(['\n', '\t'], "; "),
        _ => String::new(),
    }
}
