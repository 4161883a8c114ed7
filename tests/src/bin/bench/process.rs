//! What `/proc` says of a process.

use std::path::PathBuf;

/// One reading.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Nanoseconds on a processor, all threads.
    pub cpu_ns: u64,
    /// Voluntary and forced context switches, all threads.
    pub switches: u64,
    /// Resident memory.
    pub rss_kib: u64,
    /// Memory nobody shares, pages of the program's own file included.
    pub private_kib: u64,
    /// Of that, what it has written: memory that cannot be had back by reading the file again.
    pub private_dirty_kib: u64,
}

fn number_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn threads(pid: u32) -> Vec<PathBuf> {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Reads a process.
pub fn read(pid: u32) -> Reading {
    let (mut cpu_ns, mut switches) = (0, 0);
    for thread in threads(pid) {
        let schedstat = std::fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
        cpu_ns += schedstat.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        let status = std::fs::read_to_string(thread.join("status")).unwrap_or_default();
        switches += number_after(&status, "voluntary_ctxt_switches:") + number_after(&status, "nonvoluntary_ctxt_switches:");
    }
    let memory = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let private_dirty_kib = number_after(&memory, "Private_Dirty:");
    let private_kib = number_after(&memory, "Private_Clean:") + private_dirty_kib;
    Reading { cpu_ns, switches, rss_kib: number_after(&memory, "Rss:"), private_kib, private_dirty_kib }
}

/// Processor seconds of every child that has ended and been waited for, in hundredths.
pub fn children_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    // Fields 16 and 17 of proc(5), counted from the third.
    let ticks: f64 = after_name.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Lets the greatest size of this process count from here (proc(5), `clear_refs`).
pub fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Returns the greatest size of this process since then.
pub fn peak_kib() -> u64 {
    number_after(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmHWM:")
}
