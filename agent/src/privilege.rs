//! What the agent may do on the router: open raw sockets and tie sockets to interfaces (CAP_NET_RAW), nothing else.
//!
//! Started as root, as procd does, it keeps the uid, so that its files and devices stay its own, and drops every other
//! capability, also for the programs it starts. Where plugins are configured it keeps what starts them as another user
//! (CAP_SETUID, CAP_SETGID) and ends them when they hang (CAP_KILL): a plugin never runs as root. Started unprivileged, it has nothing to drop.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

const KEPT: Capability = Capability::CAP_NET_RAW;

/// What starting a program as another user takes, and ending it.
const FOR_PLUGINS: [Capability; 3] = [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_KILL];

/// Drops everything but the kept capabilities, for good. Call it before the first thread is started.
pub fn drop_the_rest(has_plugins: bool) {
    let kept: CapsHashSet = [KEPT].into_iter().chain(FOR_PLUGINS.into_iter().filter(|_| has_plugins)).collect();
    if let Err(error) = narrow(&kept) {
        tracing::warn!(%error, "privileges could not be dropped");
    }
    // A plugin with a set-uid bit must not get back what was given up.
    if let Err(error) = nix::sys::prctl::set_no_new_privs() {
        tracing::warn!(%error, "programs started by the agent may gain privileges");
    }
}

/// Becomes the owner of a directory for good, if root runs the program and the service's own user owns it: a key that root
/// wrote there could not be read by the service.
///
/// # Errors
/// What the system says.
pub fn become_owner(dir: &Path) -> nix::Result<()> {
    let Ok(found) = std::fs::metadata(dir) else { return Ok(()) };
    if !Uid::effective().is_root() || found.uid() == 0 {
        return Ok(());
    }
    let (owner, group) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
    setgroups(&[group])?;
    setresgid(group, group, group)?;
    setresuid(owner, owner, owner)
}

fn narrow(kept: &CapsHashSet) -> Result<(), CapsError> {
    let had = caps::read(None, CapSet::Permitted)?;
    let keep: CapsHashSet = had.iter().copied().filter(|c| kept.contains(c)).collect();
    if had.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::all().into_iter().filter(|c| !kept.contains(c)) {
            // A kernel older than this list has fewer to drop.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    caps::set(None, CapSet::Effective, &keep)?;
    caps::set(None, CapSet::Permitted, &keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_of_another_user_that_hangs_is_ended() {
        use std::os::unix::process::{CommandExt, ExitStatusExt};
        if !Uid::effective().is_root() {
            return;
        }
        std::thread::spawn(|| {
            drop_the_rest(true);
            let mut plugin = std::process::Command::new("sleep").arg("1000").uid(65_534).gid(65_534).process_group(0).spawn().unwrap();
            let group = nix::unistd::Pid::from_raw(i32::try_from(plugin.id()).unwrap());
            nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
            assert_eq!(plugin.wait().unwrap().signal(), Some(9));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn only_raw_sockets_are_kept() {
        // Capabilities are a thread's own; the other tests keep theirs.
        std::thread::spawn(|| {
            drop_the_rest(false);
            let left = caps::read(None, CapSet::Permitted).unwrap();
            assert!(left.iter().all(|c| *c == KEPT), "{left:?}");
            assert!(caps::read(None, CapSet::Effective).unwrap().iter().all(|c| *c == KEPT));
            assert!(nix::sys::prctl::get_no_new_privs().unwrap());
        })
        .join()
        .unwrap();
    }
}
