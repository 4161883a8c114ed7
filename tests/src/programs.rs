//! The two real programs as processes: started with their output in a file, signalled as a group, never left behind.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Where Cargo put the two programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `rusta-agent`, built as `lab-agent`.
    pub agent: PathBuf,
    /// `rusta-collector`, built as `lab-collector`.
    pub collector: PathBuf,
}

/// Names the two programs; only integration tests are told their paths, so this is a macro.
#[macro_export]
macro_rules! programs {
    () => {
        $crate::programs::Programs { agent: env!("CARGO_BIN_EXE_lab-agent").into(), collector: env!("CARGO_BIN_EXE_lab-collector").into() }
    };
}

/// What a program that ran to its end said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command that must succeed and returns its standard output.
pub fn run_ok(command: &mut Command) -> String {
    let said = run(command);
    assert_eq!(said.code, Some(0), "{command:?}\n{}{}", said.stdout, said.stderr);
    said.stdout
}

/// A program in the background, in a process group of its own.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Starts `command` with both outputs appended to `folder/name.txt`.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Running {
        let output = folder.join(format!("{name}.txt"));
        let file = File::options().create(true).append(true).open(&output).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Running { name: name.into(), child, output }
    }

    /// Returns the process id, which is also the group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns everything the program has printed.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Sends a signal to the program and whatever it started.
    pub fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = killpg(group, signal);
    }

    /// Tells whether the program has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end.
    pub fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually(at_most, &format!("{name} ends"), || self.ended())
    }

    /// Ends the program as a power cut would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = self.output();
            let tail: Vec<_> = output.lines().rev().take(40).collect();
            eprintln!("--- last words of {} ---", self.name);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Finds a free TCP port of 127.0.0.1. Another process may take it before it is used; tests that mind try again.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks five times a second until there is an answer; panics with `what` when there is none in time.
pub fn eventually<T>(at_most: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < at_most, "not within {at_most:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
