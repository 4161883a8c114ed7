//! Work that does not come back: a disk that hangs reports no error, so somebody must look at the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task;

/// When the work under way began.
#[derive(Debug)]
pub struct Stall {
    epoch: Instant,
    /// Milliseconds since `epoch`, plus one; 0: nothing is under way.
    began: AtomicU64,
}

impl Default for Stall {
    fn default() -> Self {
        Stall { epoch: Instant::now(), began: AtomicU64::new(0) }
    }
}

impl Stall {
    /// Does the work, and notes meanwhile since when it has lasted. One piece of work at a time.
    pub fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        self.began.store(self.elapsed_ms() + 1, Ordering::Relaxed);
        let done = work();
        self.began.store(0, Ordering::Relaxed);
        done
    }

    /// Says for how long the work under way has lasted, if that is longer than `bound`.
    pub fn longer_than(&self, bound: Duration) -> Option<Duration> {
        let began = self.began.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.elapsed_ms().saturating_sub(began))).filter(|lasts| *lasts > bound)
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// Does work that waits for a disk or for a lock. On a worker of a runtime that has several, the other tasks of that worker
/// go on elsewhere meanwhile.
pub fn off_the_workers<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn work_that_lasts_is_noticed_while_it_lasts() {
        let stall = Stall::default();
        assert_eq!(stall.longer_than(Duration::ZERO), None);
        stall.watch(|| {
            while stall.longer_than(Duration::from_millis(20)).is_none() {
                std::thread::yield_now();
            }
            assert_eq!(stall.longer_than(Duration::from_secs(3_600)), None);
        });
        assert_eq!(stall.longer_than(Duration::ZERO), None);
    }

    #[test]
    fn a_task_that_waits_for_a_disk_holds_up_no_other() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (ends, ended) = mpsc::channel::<()>();
        runtime.block_on(async {
            let waits = tokio::spawn(async move { off_the_workers(|| ended.recv()) });
            // On the only worker, behind the one that waits for it.
            tokio::spawn(async move { ends.send(()) }).await.unwrap().unwrap();
            waits.await.unwrap().unwrap();
        });
        assert_eq!(off_the_workers(|| 1), 1, "without a runtime");
    }
}
