//! A lab of network namespaces joined by veth pairs: outage by taking an end down, loss by a packet filter.
//!
//! Names carry the process id, so labs run side by side; one that a killed test left behind is cleared by the next.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

use crate::programs::{run, run_ok};

static LABS: AtomicU32 = AtomicU32::new(0);

/// Tells whether this machine lets us build a lab; prints why not.
pub fn possible() -> bool {
    let probe = format!("rusta-{}-probe", std::process::id());
    let said = run(Command::new("ip").args(["netns", "add", &probe]));
    run(Command::new("ip").args(["netns", "del", &probe]));
    if said.code != Some(0) {
        eprintln!("left out: no network namespaces here ({})", said.stderr.trim());
    }
    said.code == Some(0)
}

/// Namespaces that vanish together.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    names: Vec<String>,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// Starts an empty lab.
    pub fn new() -> Lab {
        clear_what_killed_tests_left();
        let prefix = format!("rusta-{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        Lab { prefix, names: Vec::new() }
    }

    /// Adds a namespace with its loopback up.
    pub fn namespace(&mut self, name: &str) -> Namespace {
        let namespace = Namespace { name: format!("{}-{name}", self.prefix) };
        run_ok(Command::new("ip").args(["netns", "add", &namespace.name]));
        self.names.push(namespace.name.clone());
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// Joins two namespaces by a veth pair. Each end is a namespace, an interface name and an address with its prefix.
    pub fn join(&self, a: (&Namespace, &str, &str), b: (&Namespace, &str, &str)) {
        run_ok(Command::new("ip").args(["link", "add", a.1, "netns", &a.0.name, "type", "veth", "peer", "name", b.1, "netns", &b.0.name]));
        for (namespace, interface, address) in [a, b] {
            namespace.ip(&["address", "add", address, "dev", interface]);
            namespace.up(interface);
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.names {
            run(Command::new("ip").args(["netns", "del", name]));
        }
    }
}

fn clear_what_killed_tests_left() {
    let listed = run(Command::new("ip").args(["netns", "list"])).stdout;
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let pid = name.strip_prefix("rusta-").and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !std::path::Path::new("/proc").join(pid).exists()) {
            run(Command::new("ip").args(["netns", "del", name]));
        }
    }
}

/// Every second packet, at random.
const HALF: &[&str] = &["-m", "statistic", "--mode", "random", "--probability", "0.5"];

/// One network namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Prepares a command that runs inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `ip` inside.
    pub fn ip(&self, arguments: &[&str]) {
        run_ok(Command::new("ip").args(["-n", &self.name]).args(arguments));
    }

    /// Brings an interface up.
    pub fn up(&self, interface: &str) {
        self.ip(&["link", "set", interface, "up"]);
    }

    /// Takes an interface down: the line is cut for both ends.
    pub fn down(&self, interface: &str) {
        self.ip(&["link", "set", interface, "down"]);
    }

    /// Drops every second packet that arrives on `interface`, whatever it carries. On arrival, because a filter on the
    /// way out would tell the sender.
    pub fn lose_half(&self, interface: &str) {
        self.filter("-A", interface, HALF);
    }

    /// Drops every packet that arrives on `interface`: the line is cut far away, and neither end is told.
    pub fn lose_all(&self, interface: &str) {
        self.filter("-A", interface, &[]);
    }

    /// Ends [`Namespace::lose_all`].
    pub fn lose_all_no_more(&self, interface: &str) {
        self.filter("-D", interface, &[]);
    }

    /// Ends [`Namespace::lose_half`].
    pub fn lose_nothing(&self, interface: &str) {
        self.filter("-D", interface, HALF);
    }

    fn filter(&self, verb: &str, interface: &str, which: &[&str]) {
        let rule = ["-t", "mangle", verb, "PREROUTING", "-i", interface];
        run_ok(self.command("iptables").args(rule).args(which).args(["-j", "DROP"]));
    }

    /// Runs `work` on a thread inside the namespace.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
