//! What the process asks of the operating system: descriptors, and to be told when to stop.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Allows as many descriptors as the system lets us: every agent keeps a connection.
pub fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the descriptor limit could not be raised; fewer agents can be connected at once");
    }
}

/// Becomes the owner of a data directory for good, if root runs the program and somebody else owns it.
///
/// A file that root makes there cannot be written by the service, and root that follows what the service's user put there
/// can be led astray. A directory that is not there yet will belong to whoever makes it.
///
/// # Errors
/// The exact command to type, where somebody who is neither root nor the owner runs it.
pub fn become_owner(data_dir: &Path) -> Result<(), String> {
    let Ok(found) = std::fs::metadata(data_dir) else { return Ok(()) };
    let (owner, group, me) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()), Uid::effective());
    if me == owner {
        return Ok(());
    }
    let name = User::from_uid(owner).ok().flatten().map_or_else(|| owner.to_string(), |user| user.name);
    if !me.is_root() {
        let typed: Vec<String> = std::env::args().skip(1).collect();
        return Err(format!(
            "{} belongs to {name}: run it as root, or type  runuser -u {name} -- rusta-collector {}",
            data_dir.display(),
            typed.join(" ")
        ));
    }
    let given_up = setgroups(&[group]).and_then(|()| setresgid(group, group, group)).and_then(|()| setresuid(owner, owner, owner));
    given_up.map_err(|error| format!("{name}, who owns {}, could not be become: {error}", data_dir.display()))
}

/// SIGTERM and SIGINT.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Listens from now on; before, a signal ends the process.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen() -> std::io::Result<Self> {
        Ok(StopSignals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for either.
    pub async fn recv(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}
