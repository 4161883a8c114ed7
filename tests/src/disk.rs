//! Disks mounted where a program keeps its data: small ones to be filled, worn ones that turn read-only.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{run, run_ok};

/// A disk of a few megabytes; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk at a folder, which is made; `None`, with a word about it, without the privilege.
    pub fn mount(at: &Path, mebibytes: u32) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={mebibytes}m");
        let said = run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at));
        if said.code != Some(0) {
            eprintln!("left out: mounting a small disk needs root ({})", said.stderr.trim());
            return None;
        }
        Some(SmallDisk { at: at.to_path_buf() })
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        // Writing ends with an error when nothing more goes in.
        let _full = std::fs::write(self.ballast(), vec![1; 64 << 20]);
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn relieve(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.at));
    }
}

/// A disk with a filesystem of its own that can fail as worn flash does: from one moment on it is read-only, also for files
/// that are open. Gone when dropped.
#[derive(Debug)]
pub struct WornDisk {
    at: PathBuf,
    device: String,
}

impl WornDisk {
    /// Mounts a new disk, kept in a file beside the folder, at that folder; `None`, with a word about it, where this machine
    /// gives no loop device.
    pub fn mount(at: &Path, mebibytes: u64) -> Option<WornDisk> {
        let image = at.with_extension("disk");
        std::fs::create_dir_all(at).unwrap();
        std::fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        run_ok(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let said = run(Command::new("losetup").args(["--find", "--show"]).arg(&image));
        if said.code != Some(0) {
            eprintln!("left out: a disk of its own needs a loop device ({})", said.stderr.trim());
            return None;
        }
        let disk = WornDisk { at: at.to_path_buf(), device: said.stdout.trim().into() };
        disk.attach();
        Some(disk)
    }

    fn attach(&self) {
        run_ok(Command::new("mount").args(["-o", "errors=remount-ro", &self.device]).arg(&self.at));
    }

    /// Makes the kernel meet a fault in it.
    pub fn wear_out(&self) {
        let name = self.device.trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").unwrap();
    }

    /// Lets nothing be written until the answer is dropped: a writer hangs, as over a cable that lost its disk.
    pub fn freeze(&self) -> Frozen {
        run_ok(Command::new("fsfreeze").arg("--freeze").arg(&self.at));
        Frozen { at: self.at.clone() }
    }

    /// Repairs it; nobody may have a file open there.
    pub fn mend(&self) {
        run_ok(Command::new("umount").arg(&self.at));
        // Exit code 1: faults were found and mended.
        let said = run(Command::new("fsck.ext4").args(["-f", "-y", &self.device]));
        assert!(said.code <= Some(1), "{}{}", said.stdout, said.stderr);
        self.attach();
    }
}

impl Drop for WornDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.at));
        run(Command::new("losetup").args(["--detach", &self.device]));
    }
}

/// A disk that hangs. Whoever removes or leaves it must let go of this first.
#[derive(Debug)]
pub struct Frozen {
    at: PathBuf,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.at));
    }
}
