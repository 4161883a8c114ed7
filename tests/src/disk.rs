//! Small disks in memory, to be filled, mounted where a program keeps its data.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::run;

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
