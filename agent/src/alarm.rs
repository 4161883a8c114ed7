//! Wakes the core loop at its next moment.
//!
//! The runtime keeps its timers on a wheel, which wakes the processor two or three times on the way to a moment some
//! seconds ahead; a timer of the kernel wakes it once. It runs by the clock that samples are stamped with.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use rusta_wire::MonoMs;
use tokio::net::unix::pipe;

/// One alarm.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    /// The same timer as the runtime watches it: it becomes readable and is read like a pipe.
    rings: pipe::Receiver,
    set: Option<MonoMs>,
}

impl Alarm {
    /// Makes an alarm that is not set.
    ///
    /// # Errors
    /// The kernel grants no timer.
    pub fn new() -> io::Result<Alarm> {
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let rings = pipe::Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Alarm { timer, rings, set: None })
    }

    /// Returns at `moment`, or at once when that has passed. Waiting again for the same moment costs nothing.
    pub async fn ring(&mut self, moment: MonoMs) {
        if self.wait(moment).await.is_err() {
            // The kernel has no reason to refuse; if it does, the loop must neither stop nor spin.
            self.set = None;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn wait(&mut self, moment: MonoMs) -> io::Result<()> {
        if self.set != Some(moment) {
            // All zeroes would switch the timer off.
            let at = TimeSpec::from(Duration::from_millis(moment.0.max(1)));
            self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.set = Some(moment);
        }
        loop {
            self.rings.readable().await?;
            // Readiness may be of an earlier setting that nobody waited for; only the read tells.
            match self.rings.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                rung => {
                    self.set = None;
                    return rung.map(drop);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn it_rings_at_the_last_moment_set_and_not_before() {
        let (clock, mut alarm) = (Clock::without_memory(), Alarm::new().unwrap());
        let begin = clock.now();
        let soon = begin + Duration::from_millis(20);
        // Set, run out, and never heard: it must not ring for a later moment.
        assert!(tokio::time::timeout(Duration::ZERO, alarm.ring(soon)).await.is_err());
        tokio::time::sleep(Duration::from_millis(40)).await;
        let later = clock.now() + Duration::from_millis(60);
        alarm.ring(later).await;
        assert!(clock.now() >= later);
        alarm.ring(begin).await;
        alarm.ring(MonoMs(0)).await;
    }
}
