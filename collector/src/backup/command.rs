//! The commands `backup` and `restore`.

use std::path::{Path, PathBuf};

use super::{backup, restore};
use crate::cli::{Failure, Place};
use crate::clock;
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};
use crate::terminal::say;

/// Writes everything the collector keeps into one file, while it serves.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to write. It holds the authority's keys: unless it is encrypted, keep it as safe as the data directory.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Encrypt it for the holder of a key, age1... as `age-keygen` prints it; may be given several times. Instead of those of
    /// `backup: { recipients }` in the configuration.
    #[arg(long, value_name = "KEY", value_parser = recipient)]
    recipient: Vec<String>,
}

/// Makes a data directory from a backup. The directory must be empty or not there; the collector must not be running.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File with the key of an encrypted backup, as `age-keygen` writes it.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl Backup {
    /// Runs the command.
    ///
    /// # Errors
    /// A data directory that cannot be read, or a file that cannot be written; then no file is left.
    pub fn run(&self, place: &Place) -> Result<(), Failure> {
        let config = place.config()?;
        let data_dir = config.data_dir;
        let recipients = if self.recipient.is_empty() { config.backup_recipients } else { self.recipient.clone() };
        if data_dir.join("state.sqlite").exists() {
            note(&Store::open(&data_dir)?, "backup", &self.out)?;
        }
        let files = backup(&data_dir, &self.out, &recipients)?;
        let kept = if recipients.is_empty() { String::new() } else { format!(", encrypted for {}", recipients.join(", ")) };
        say!("{files} files are in {}{kept}", self.out.display());
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
        let files = restore(&self.file, &data_dir, self.identity.as_deref())?;
        let store = Store::open(&data_dir)?;
        // The head kept apart is not in the backup: it is to be apart. From here on there is one again.
        store.begin_audit_head()?;
        note(&store, "restore", &self.file)?;
        say!("{files} files are in {}", data_dir.display());
        Ok(())
    }
}

/// Checks a public key, so that a typing mistake is told before anything is read.
fn recipient(text: &str) -> Result<String, String> {
    text.parse::<age::x25519::Recipient>().map(|_| text.to_owned()).map_err(|why| format!("no public key of age: {why}"))
}

fn note(store: &Store, action: &str, file: &Path) -> Result<(), StoreError> {
    let subject = file.display().to_string();
    store.write(|tx| audit::record(tx, &Deed { at: clock::now(), actor: "cli", action, subject: &subject, detail: "" }))
}
