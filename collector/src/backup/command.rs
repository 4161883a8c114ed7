//! The commands `backup` and `restore`.

use std::path::PathBuf;

use super::{backup, restore};
use crate::cli::{Failure, Place};
use crate::terminal::say;

/// Writes everything the collector keeps into one file, while it serves.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to write. It holds the authority's keys: keep it as safe as the data directory.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes a data directory from a backup. The directory must be empty or not there; the collector must not be running.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Backup {
    /// Runs the command.
    ///
    /// # Errors
    /// A data directory that cannot be read, or a file that cannot be written; then no file is left.
    pub fn run(&self, place: &Place) -> Result<(), Failure> {
        let files = backup(&place.config()?.data_dir, &self.out)?;
        say!("{files} files are in {}", self.out.display());
        Ok(())
    }
}

impl Restore {
    /// Runs the command.
    ///
    /// # Errors
    /// A directory that is not empty, or a backup that is damaged; then nothing is changed.
    pub fn run(&self, place: &Place) -> Result<(), Failure> {
        let data_dir = place.config()?.data_dir;
        let files = restore(&self.file, &data_dir)?;
        say!("{files} files are in {}", data_dir.display());
        Ok(())
    }
}
