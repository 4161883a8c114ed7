//! The one place that waits for the flash: a thread of its own.
//!
//! ```text
//! measuring thread --queue--> force, replace, remove --settled--> what must not be done before it is on disk
//! ```
//! A worn or busy flash answers after seconds. Whoever measures must not stand still meanwhile, or the time of the disk would
//! be taken for the time of the network. Jobs are done one by one, in the order they were asked for, so what is asked for
//! later is never on disk earlier. What may not happen before something is on disk (bytes of a batch leave, bytes of a plan
//! are spent, a segment goes) either waits for [`Flash::settled`] or is asked for behind it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::files;

/// The thread does system calls only; their deepest path needs a few KiB.
const STACK_BYTES: usize = 64 * 1024;

/// More jobs than this wait only for a disk that does not answer: what can be asked for later is not asked for any more.
const BUSY: usize = 8;

/// How long something waits to be on disk. A disk that hangs for good must not make the agent mute.
const PATIENCE: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// Does what must wait for the flash. Clones share one thread, which ends with the last of them.
#[derive(Clone)]
pub struct Flash {
    progress: Arc<Progress>,
    /// Held by all but the thread: when it is the last one there is nobody left to ask for anything. `None`: there is no thread.
    asking: Option<Arc<Asking>>,
}

#[derive(Default)]
struct Progress {
    counts: Mutex<Counts>,
    jobs: Mutex<VecDeque<Job>>,
    asked: Condvar,
    is_over: AtomicBool,
    moved: Notify,
}

/// Ends the thread when the last one who may ask is gone.
struct Asking(Arc<Progress>);

impl Drop for Asking {
    fn drop(&mut self) {
        // Under the lock, so that the thread cannot miss it between its look and its sleep.
        let _jobs = self.0.jobs();
        self.0.is_over.store(true, Ordering::Release);
        self.0.asked.notify_one();
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    asked: usize,
    done: usize,
    /// Whether the last job failed; told once at each change.
    failing: bool,
}

impl fmt::Debug for Flash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flash").field("counts", &*self.progress.counts()).finish_non_exhaustive()
    }
}

impl Flash {
    /// Does every job at once, on the caller's thread: for commands that run once.
    pub fn at_once() -> Flash {
        Flash { asking: None, progress: Arc::default() }
    }

    /// Starts the thread. Where the system grants none, every job is done at once.
    pub fn start() -> Flash {
        let progress: Arc<Progress> = Arc::default();
        let theirs = progress.clone();
        let thread = std::thread::Builder::new().name("flash".into()).stack_size(STACK_BYTES);
        match thread.spawn(move || theirs.work()) {
            Ok(_) => Flash { asking: Some(Arc::new(Asking(progress.clone()))), progress },
            Err(error) => {
                tracing::warn!(%error, "no thread for the flash; measuring waits for it");
                Flash::at_once()
            }
        }
    }

    /// Asks for a job, behind all that were asked for before.
    pub fn queue(&self, job: impl FnOnce() -> io::Result<()> + Send + 'static) {
        self.progress.counts().asked += 1;
        if self.asking.is_some() {
            self.progress.jobs().push_back(Box::new(job));
            self.progress.asked.notify_one();
        } else {
            self.progress.finished(job());
        }
    }

    /// Asks for a small file to be replaced in one step.
    pub fn replace(&self, path: PathBuf, content: Vec<u8>, mode: u32) {
        self.queue(move || files::replace(&path, &content, mode));
    }

    /// Tells whether so much waits that the disk seems to hang.
    pub fn is_busy(&self) -> bool {
        let counts = self.progress.counts();
        counts.asked - counts.done >= BUSY
    }

    /// Returns when everything asked for so far is done, or when that takes longer than anybody can wait.
    pub async fn settled(&self) {
        self.settled_within(PATIENCE).await;
    }

    async fn settled_within(&self, patience: Duration) {
        let asked = self.progress.counts().asked;
        if self.progress.counts().done >= asked {
            return;
        }
        if tokio::time::timeout(patience, self.progress.reached(asked)).await.is_err() {
            tracing::warn!("the disk does not answer; going on without it");
        }
    }
}

impl Progress {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic elsewhere leaves these plain numbers as good as they were.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is asked for, until nobody is left who may ask.
    fn work(&self) {
        while let Some(job) = self.next_job() {
            self.finished(job());
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut jobs = self.jobs();
        loop {
            match jobs.pop_front() {
                None if self.is_over.load(Ordering::Acquire) => return None,
                None => jobs = self.asked.wait(jobs).unwrap_or_else(PoisonError::into_inner),
                job => return job,
            }
        }
    }

    async fn reached(&self, asked: usize) {
        loop {
            let moved = self.moved.notified();
            if self.counts().done >= asked {
                return;
            }
            moved.await;
        }
    }

    fn finished(&self, result: io::Result<()>) {
        let mut counts = self.counts();
        counts.done += 1;
        let failed_before = std::mem::replace(&mut counts.failing, result.is_err());
        drop(counts);
        match result {
            Err(error) if !failed_before => tracing::error!(%error, "what was written may not survive a power cut"),
            Ok(()) if failed_before => tracing::info!("the disk takes writes again"),
            _ => {}
        }
        self.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn jobs_are_done_in_order_and_nobody_waits_for_later_ones() {
        let flash = Flash::start();
        let (told, heard) = channel();
        let (open, gate) = channel::<()>();
        let first = told.clone();
        flash.queue(move || first.send(1).map_err(io::Error::other));
        flash.settled().await;
        assert_eq!(heard.try_recv(), Ok(1));
        flash.queue(move || gate.recv().map_err(io::Error::other));
        flash.queue(move || told.send(2).map_err(io::Error::other));
        assert!(heard.try_recv().is_err() && !flash.is_busy());
        (0..BUSY).for_each(|_| flash.queue(|| Ok(())));
        assert!(flash.is_busy());
        open.send(()).unwrap();
        flash.settled().await;
        assert_eq!((heard.try_recv(), flash.is_busy()), (Ok(2), false));
    }

    #[tokio::test]
    async fn a_failure_ends_nothing() {
        for flash in [Flash::start(), Flash::at_once()] {
            let dir = tempfile::tempdir().unwrap();
            flash.replace(dir.path().join("nosuch/file"), b"x".to_vec(), 0o600);
            flash.replace(dir.path().join("file"), b"y".to_vec(), 0o600);
            flash.settled().await;
            assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"y");
        }
    }

    #[tokio::test]
    async fn a_disk_that_hangs_for_good_makes_nobody_mute() {
        let flash = Flash::start();
        let (_open, gate) = channel::<()>();
        flash.queue(move || gate.recv().map_err(io::Error::other));
        flash.settled_within(Duration::from_millis(1)).await;
        assert_eq!(flash.progress.counts().done, 0);
    }
}
