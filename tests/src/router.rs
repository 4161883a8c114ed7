//! A router whose clocks are wrong: each boot has its own id and its own age, and the wall clock says what the test wants.
//!
//! The boot's id is mounted over the kernel's, its age comes from a time namespace, the wall clock from a small library that
//! is loaded in front of the C library. The program is the real one.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use nix::time::{ClockId, clock_gettime};
use rusta_wire::{BootId, TableId};

use crate::programs::{Running, run, run_ok};
use crate::stage::Stage;

/// How old a boot is when its agent starts, in seconds.
const AGE_S: i64 = 2;

/// A site's router.
#[derive(Debug)]
pub struct Router<'a> {
    stage: &'a Stage,
    site: &'a str,
    library: PathBuf,
    wall: PathBuf,
}

/// One of its boots, with the agent in it.
#[derive(Debug)]
pub struct Boot {
    /// What the agent calls it.
    pub id: BootId,
    /// Unix time of its monotonic zero, in milliseconds: the truth.
    pub began_ms: i64,
    /// The agent.
    pub agent: Running,
}

/// Tells whether this machine lets us fake a boot; prints why not.
pub fn possible() -> bool {
    let said = run(Command::new("unshare").args(["--mount", "--time", "--fork", "--boottime", "0", "true"]));
    if said.code != Some(0) {
        eprintln!("left out: no time namespaces here ({})", said.stderr.trim());
    }
    said.code == Some(0)
}

fn clock_ms(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).unwrap();
    time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000
}

/// Returns the true Unix time in seconds.
pub fn true_seconds() -> i64 {
    clock_ms(ClockId::CLOCK_REALTIME) / 1000
}

impl<'a> Router<'a> {
    /// Prepares the router of a site.
    pub fn new(stage: &'a Stage, site: &'a str) -> Router<'a> {
        let (library, wall) = (stage.path("wall_clock.so"), stage.path(&format!("{site}.wall")));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wall_clock.c");
        run_ok(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source));
        Router { stage, site, library, wall }
    }

    /// Sets the wall clock to a Unix time, now, also for an agent that runs.
    pub fn set_wall_clock(&self, seconds: i64) {
        let mut file = File::options().create(true).write(true).truncate(false).open(&self.wall).unwrap();
        file.write_all(&(seconds - true_seconds()).to_ne_bytes()).unwrap();
    }

    /// Lets a command see the router's wall clock.
    pub fn fool<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_PRELOAD", &self.library).env("RUSTA_WALL_CLOCK", &self.wall)
    }

    /// Switches the router on.
    pub fn boot(&self) -> Boot {
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let file = self.stage.write(&format!("{}/boot_id", self.site), &uuid);
        let shift_s = AGE_S - clock_ms(ClockId::CLOCK_BOOTTIME) / 1000;
        let began_ms = clock_ms(ClockId::CLOCK_REALTIME) - clock_ms(ClockId::CLOCK_BOOTTIME) - shift_s * 1000;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--time", "--fork", "--boottime", &shift_s.to_string(), "sh", "-c"]);
        command.arg("mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec \"$@\"").arg("sh").arg(file);
        command.arg(self.stage.agent().get_program()).arg("run").arg("--config").arg(self.stage.path(&format!("{}/agent.yaml", self.site)));
        let agent = Running::start(
            self.site,
            {
                self.fool(&mut command);
                command
            },
            &self.stage.path(""),
        );
        Boot { id: BootId(TableId::of(uuid.trim().as_bytes()).0), began_ms, agent }
    }
}
