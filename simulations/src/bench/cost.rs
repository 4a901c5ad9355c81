//! What a node takes when nothing happens: memory, processor, bytes of the programs.

use std::time::{Duration, Instant};

use super::pair::Node;
use super::{Failed, milliseconds};
use crate::programs;

/// Resident memory of a process, in MiB.
///
/// # Errors
/// When it is gone.
pub fn memory_mib(node: &Node) -> Result<f64, Failed> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).map_err(Failed::because)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| Failed::because("no VmRSS"))
}

/// Share of one core that a node uses while nothing is asked of it, in percent.
///
/// # Errors
/// When it is gone.
pub fn idle_percent(node: &Node, time: Duration) -> Result<f64, Failed> {
    let (before, start) = (used(node)?, Instant::now());
    std::thread::sleep(time);
    Ok((used(node)? - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0)
}

/// Processor time of all threads of a process. The scheduler counts it in nanoseconds, `stat` only in ticks.
pub(crate) fn used(node: &Node) -> Result<Duration, Failed> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).map_err(Failed::because)?;
    let mut nanoseconds = 0u64;
    for task in tasks.flatten() {
        let told = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanoseconds += told.split(' ').next().and_then(|used| used.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// How long `murmesh status` takes, process and all, in milliseconds.
///
/// # Errors
/// When it cannot be run.
pub fn status_ms(node: &Node) -> Result<f64, Failed> {
    let program = programs::find("murmesh").map_err(Failed::because)?;
    let mut command = programs::isolated(&program, &node.directory);
    command.arg("--data-dir").arg(&node.directory).arg("status");
    let start = Instant::now();
    command.output().map_err(Failed::because)?;
    Ok(milliseconds(start.elapsed()))
}

/// Size of a program, in MiB.
///
/// # Errors
/// When it is not built.
pub fn size_mib(name: &str) -> Result<f64, Failed> {
    let path = programs::find(name).map_err(Failed::because)?;
    let bytes = std::fs::metadata(path).map_err(Failed::because)?.len();
    Ok(u32::try_from(bytes / 1024).map_or(f64::INFINITY, f64::from) / 1024.0)
}
