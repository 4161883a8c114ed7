//! Backups that only the holder of a key reads: files of the age format (age-encryption.org/v1), which `age` and `rage` read too.
//!
//! ```text
//! backup --recipient age1... --> header: a file key for each recipient | 64 KiB chunks, each with its own tag
//! restore --identity FILE    --> every chunk is checked before anything of it is used; a file cut short is refused
//! ```

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};

use crate::files;

/// How every file of the format begins.
const MAGIC: &[u8] = b"age-encryption.org/";

/// Encrypts a file for recipients, public keys in age's form.
///
/// # Errors
/// A recipient that is none, a file that cannot be read or written.
pub(super) fn seal(recipients: &[String], from: &Path, to: &Path) -> anyhow::Result<()> {
    let read = |text: &String| text.parse::<age::x25519::Recipient>().map_err(|why| anyhow!("`{text}` is no public key of age: {why}"));
    let recipients = recipients.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|one| one as &dyn age::Recipient))?;
    let mut sealed = encryptor.wrap_output(BufWriter::new(files::make(to)?))?;
    io::copy(&mut File::open(from)?, &mut sealed)?;
    let mut written = sealed.finish()?;
    written.flush()?;
    written.get_ref().sync_all()?;
    Ok(())
}

/// Tells whether a file is encrypted.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn is_sealed(file: &Path) -> io::Result<bool> {
    let mut begins = Vec::with_capacity(MAGIC.len());
    File::open(file)?.take(MAGIC.len() as u64).read_to_end(&mut begins)?;
    Ok(begins == MAGIC)
}

/// Decrypts a file with a key of an identity file, as `age-keygen` writes it.
///
/// # Errors
/// A file of keys that is none, none of them right, a file that was changed or cut short.
pub(super) fn open(identities: &Path, from: &Path, to: &Path) -> anyhow::Result<()> {
    let what = || format!("the identity file {}", identities.display());
    let keys = age::IdentityFile::from_buffer(BufReader::new(File::open(identities).with_context(what)?)).with_context(what)?;
    let keys = keys.into_identities().with_context(what)?;
    ensure!(!keys.is_empty(), "{} holds no key", what());
    let decryptor = age::Decryptor::new_buffered(BufReader::new(File::open(from)?))?;
    let mut plain = decryptor.decrypt(keys.iter().map(|key| &**key as &dyn age::Identity))?;
    let mut written = files::make(to)?;
    io::copy(&mut plain, &mut written).context("it is damaged or cut short")?;
    written.sync_all()?;
    Ok(())
}
