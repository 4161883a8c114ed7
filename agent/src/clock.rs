//! Every clock the agent reads, and what it believes about Unix time.
//!
//! A village router has no RTC and boots into 1970. Durations and stamps come from `CLOCK_BOOTTIME`, which counts within one
//! boot; Unix time is learnt from the collector's answers and kept as an offset to it. Until then a *floor* is known: the
//! newest of build time and the last time a collector told, kept on disk. The system clock is believed when it is later
//! than the floor, and never steps anything that was measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use rusta_wire::{BootId, ClockSource, MonoMs, TableId, UnixMs};

use crate::flash::Flash;
use crate::probe::{Settings, WallTime};

/// How often the learnt time is written to disk: an hour of floor is enough for certificates and costs no flash.
const PERSIST_EVERY: Duration = Duration::from_secs(3600);

/// How fast a router's oscillator may drift from what was learnt: 100 parts per million, twice a usual crystal's bound.
const DRIFT_DIVISOR: u128 = 10_000;

/// After this a fresh answer replaces a more exact older one.
const LEARN_AGAIN: Duration = Duration::from_secs(600);

/// Reads clocks for the whole program.
#[derive(Debug)]
pub struct Clock {
    boot: BootId,
    kept: Option<(PathBuf, Flash)>,
    belief: Mutex<Belief>,
}

#[derive(Debug, Clone, Copy)]
struct Belief {
    /// Has certainly passed.
    floor: UnixMs,
    /// No honest collector says a later time: its own certificate would be over.
    ceiling: UnixMs,
    learnt: Option<Learnt>,
    persisted_at: Option<MonoMs>,
}

/// A point where both times are known.
#[derive(Debug, Clone, Copy)]
struct Learnt {
    at: MonoMs,
    unix: UnixMs,
    error_ms: u32,
}

impl Learnt {
    fn unix_at(&self, now: MonoMs) -> UnixMs {
        self.unix + now.since(self.at)
    }

    fn error_at(&self, now: MonoMs) -> u32 {
        let drift = now.since(self.at).as_millis() / DRIFT_DIVISOR;
        self.error_ms.saturating_add(u32::try_from(drift).unwrap_or(u32::MAX))
    }
}

/// Returns when this program was built.
pub fn build_time() -> UnixMs {
    UnixMs::from_seconds(env!("RUSTA_BUILD_UNIX_S").parse().unwrap_or(0))
}

impl Clock {
    /// Opens the clock; the learnt time is kept in `dir`, which `flash` writes to.
    pub fn open(dir: &Path, flash: Flash) -> Clock {
        let file = dir.join("time");
        let persisted = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).map_or(UnixMs(0), UnixMs);
        Clock::believing(build_time().max(persisted), Some((file, flash)))
    }

    /// Opens a clock that keeps nothing: for commands that run once.
    pub fn without_memory() -> Clock {
        Clock::believing(build_time(), None)
    }

    fn believing(floor: UnixMs, kept: Option<(PathBuf, Flash)>) -> Clock {
        let belief = Belief { floor, ceiling: UnixMs(i64::MAX), learnt: None, persisted_at: None };
        Clock { boot: read_boot_id(), kept, belief: Mutex::new(belief) }
    }

    fn belief(&self) -> MutexGuard<'_, Belief> {
        // A panic elsewhere leaves these plain numbers as good as they were.
        self.belief.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns this boot's identity.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Returns the time since this boot, suspends included.
    pub fn now(&self) -> MonoMs {
        clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map(|t| MonoMs(u64::try_from(Duration::from(t).as_millis()).unwrap_or(0)))
            .unwrap_or_default()
    }

    /// Returns what is believed about Unix time, as a batch carries it.
    pub fn believed(&self) -> rusta_wire::Clock {
        believed(&self.belief(), self.now(), system_time(), kernel_is_synchronised())
    }

    /// Returns what certificates are judged by.
    pub fn wall(&self) -> WallTime {
        let (belief, now) = (*self.belief(), self.now());
        let (told, trusted) = match belief.learnt {
            Some(learnt) => (learnt.unix_at(now), true),
            None => (system_time(), kernel_is_synchronised() && system_time() >= belief.floor),
        };
        WallTime { system_s: told.seconds(), floor_s: belief.floor.seconds(), trusted }
    }

    /// Lends this clock to the probes.
    pub fn settings(self: &Arc<Clock>, resolvers: Vec<SocketAddr>) -> Settings {
        let clock = self.clone();
        Settings {
            resolvers,
            wall: Arc::new(move || clock.wall()),
            system_us: Arc::new(system_us),
            is_synchronised: Arc::new(kernel_is_synchronised),
        }
    }

    /// Learns from a collector's answer that was asked for at `sent` and read at `received`.
    pub fn learn(&self, server: UnixMs, sent: MonoMs, received: MonoMs) {
        let mut belief = self.belief();
        if !learn(&mut belief, server, sent, received) {
            return;
        }
        if belief.persisted_at.is_none_or(|at| received.since(at) >= PERSIST_EVERY) {
            belief.persisted_at = Some(received);
            let floor = belief.floor;
            drop(belief);
            self.persist(floor);
        }
    }

    /// Notes until when the collector's certificate is valid: a later server time is not believed.
    pub fn limit(&self, not_after: UnixMs) {
        self.belief().ceiling = not_after;
    }

    fn persist(&self, floor: UnixMs) {
        if let Some((file, flash)) = self.kept.as_ref().filter(|(_, flash)| !flash.is_busy()) {
            flash.replace(file.clone(), floor.to_string().into_bytes(), 0o600);
        }
    }
}

fn believed(belief: &Belief, now: MonoMs, system: UnixMs, synchronised: bool) -> rusta_wire::Clock {
    let clock = |unix, source, uncertainty_ms| rusta_wire::Clock { unix, source, uncertainty_ms };
    match belief.learnt {
        Some(learnt) => clock(learnt.unix_at(now), ClockSource::Collector, learnt.error_at(now)),
        // The kernel's word for "synchronised" is an error well below this.
        None if system >= belief.floor && synchronised => clock(system, ClockSource::Synchronised, 1_000),
        None if system >= belief.floor => clock(system, ClockSource::System, u32::MAX),
        None if belief.floor > build_time() => clock(belief.floor, ClockSource::Persisted, u32::MAX),
        None => clock(system, ClockSource::None, u32::MAX),
    }
}

/// Takes a server's time in, unless it is older than this program or later than the server's own certificate allows.
fn learn(belief: &mut Belief, server: UnixMs, sent: MonoMs, received: MonoMs) -> bool {
    if server < build_time() || server > belief.ceiling {
        return false;
    }
    let round_trip = received.since(sent);
    let error_ms = u32::try_from(round_trip.as_millis() / 2).unwrap_or(u32::MAX).max(1);
    let keep = belief.learnt.is_some_and(|l| l.error_at(received) < error_ms && received.since(l.at) < LEARN_AGAIN);
    if !keep {
        belief.learnt = Some(Learnt { at: received, unix: server + round_trip / 2, error_ms });
    }
    belief.floor = belief.floor.max(server);
    true
}

fn system_time() -> UnixMs {
    UnixMs(system_us() / 1000)
}

// The one place of the agent that reads the wall clock.
#[allow(clippy::disallowed_methods)]
fn system_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Tells whether somebody keeps the kernel's clock right (`adjtimex`): a daemon steers it, and nobody has set it since. Where
/// that must not be asked, the file is looked at that systemd-timesyncd leaves when it has set the clock.
pub fn kernel_is_synchronised() -> bool {
    /// `TIME_ERROR`: the clock is not synchronised.
    const UNSYNCHRONISED: i32 = 5;
    match clock_state() {
        Some(state) => state != UNSYNCHRONISED,
        None => Path::new("/run/systemd/timesync/synchronized").exists(),
    }
}

/// Asks the kernel for the state of its clock; `None`: it does not answer this program.
#[allow(unsafe_code)]
fn clock_state() -> Option<i32> {
    use nix::libc;
    /// The longest `struct timex` of any C library has 208 bytes, and not every declaration is as long as its library's own.
    #[repr(C, align(8))]
    struct Buffer([u8; 512]);
    let mut buffer = Buffer([0; 512]);
    // SAFETY: the buffer is aligned for and longer than what is written to it, and outlives the call. All zeroes ask for no change
    // (`modes` is 0), and nothing of the answer but the state is read.
    let state = unsafe { libc::adjtimex(buffer.0.as_mut_ptr().cast()) };
    (state >= 0).then_some(state)
}

fn read_boot_id() -> BootId {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(text) => BootId(TableId::of(text.trim().as_bytes()).0),
        // Without /proc each start counts as a boot of its own: its monotonic times are then never compared with another's.
        Err(_) => BootId(TableId::of(format!("{}/{}", system_time(), std::process::id()).as_bytes()).0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOV_2030: UnixMs = UnixMs(1_920_000_000_000);

    fn belief(floor: UnixMs) -> Belief {
        Belief { floor, ceiling: UnixMs(i64::MAX), learnt: None, persisted_at: None }
    }

    #[test]
    fn a_boot_in_1970_knows_only_what_was_persisted() {
        let fresh = believed(&belief(build_time()), MonoMs(5_000), UnixMs(12_000), false);
        assert_eq!(fresh.source, ClockSource::None);
        let persisted = believed(&belief(NOV_2030), MonoMs(5_000), UnixMs(12_000), false);
        assert_eq!((persisted.source, persisted.unix), (ClockSource::Persisted, NOV_2030));
        let later = NOV_2030 + Duration::from_secs(60);
        assert_eq!(believed(&belief(NOV_2030), MonoMs(5_000), later, false).source, ClockSource::System);
    }

    #[test]
    fn an_answer_sets_the_time_and_its_error_grows_with_drift() {
        let mut belief = belief(build_time());
        assert!(learn(&mut belief, NOV_2030, MonoMs(1_000), MonoMs(1_080)));
        let soon = believed(&belief, MonoMs(1_080), UnixMs(0), false);
        assert_eq!((soon.unix, soon.source, soon.uncertainty_ms), (UnixMs(NOV_2030.0 + 40), ClockSource::Collector, 40));
        let hour = believed(&belief, MonoMs(3_601_080), UnixMs(0), false);
        assert_eq!((hour.unix, hour.uncertainty_ms), (UnixMs(NOV_2030.0 + 40 + 3_600_000), 40 + 360));
    }

    #[test]
    fn a_jump_of_the_system_clock_changes_nothing_that_was_learnt() {
        let mut belief = belief(build_time());
        learn(&mut belief, NOV_2030, MonoMs(1_000), MonoMs(1_080));
        let hour_ahead = NOV_2030 + Duration::from_secs(3_600);
        assert_eq!(believed(&belief, MonoMs(2_000), hour_ahead, true), believed(&belief, MonoMs(2_000), UnixMs(0), false));
    }

    #[test]
    fn an_exact_answer_is_kept_over_a_slow_one_for_a_while() {
        let mut belief = belief(build_time());
        learn(&mut belief, NOV_2030, MonoMs(1_000), MonoMs(1_020));
        learn(&mut belief, NOV_2030 + Duration::from_secs(60), MonoMs(61_000), MonoMs(65_000));
        assert_eq!(belief.learnt.unwrap().error_ms, 10);
        learn(&mut belief, NOV_2030 + Duration::from_secs(900), MonoMs(900_000), MonoMs(904_000));
        assert_eq!(belief.learnt.unwrap().error_ms, 2_000);
    }

    #[test]
    fn absurd_server_times_are_not_believed() {
        let mut belief = belief(build_time());
        assert!(!learn(&mut belief, UnixMs(0), MonoMs(0), MonoMs(1)));
        belief.ceiling = NOV_2030;
        assert!(!learn(&mut belief, NOV_2030 + Duration::from_secs(1), MonoMs(0), MonoMs(1)));
        assert!(belief.learnt.is_none());
    }

    #[test]
    fn the_kernel_says_whether_its_clock_is_synchronised() {
        // 0 to 4 with the leap second announced, inserted or over; 5 without a source of time.
        assert!(matches!(clock_state(), Some(0..=5)));
    }

    #[test]
    fn the_learnt_time_outlives_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::open(dir.path(), Flash::at_once());
        clock.learn(NOV_2030, clock.now(), clock.now());
        assert_eq!(Clock::open(dir.path(), Flash::at_once()).wall().floor_s, NOV_2030.seconds());
        std::fs::write(dir.path().join("time"), "rubbish").unwrap();
        assert_eq!(Clock::open(dir.path(), Flash::at_once()).wall().floor_s, build_time().seconds());
    }
}
