//! What the agent costs the router: processor time and memory.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Returns the processor time used since the start, in milliseconds.
pub fn cpu_ms() -> Option<i64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    Some((usage.user_time() + usage.system_time()).num_milliseconds())
}

/// Returns the resident memory in KiB.
pub fn rss_kib() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_running_program_uses_something() {
        assert!(super::rss_kib().unwrap() > 100);
        assert!(super::cpu_ms().unwrap() >= 0);
    }
}
