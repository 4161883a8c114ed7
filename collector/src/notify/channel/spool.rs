//! A GSM modem on this host, through the spool folder of its daemon: the last channel when the internet is gone.
//!
//! `smstools` reads files with `To:` and `Alphabet:` headers from its outgoing folder; `gammu-smsd` with the files service
//! reads `OUT` files whose name holds the number. A file is written beside the folder and renamed in, so that a daemon
//! never reads half of one; its name comes from the letter's id, so a repeated letter is the same file.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{ChannelError, Parcel, Sent, Settings};
use crate::notify::sms;

/// Which daemon reads the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Smstools,
    Gammu,
}

/// A spool folder.
#[derive(Debug)]
pub struct SpoolChannel {
    folder: PathBuf,
    form: Form,
    most_parts: usize,
}

/// A Persian message of four parts is read; a longer one is not, and the modem needs ten seconds for each part.
const MOST_PARTS: usize = 4;

impl SpoolChannel {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, ChannelError> {
        let form = match settings.option("form").unwrap_or("smstools") {
            "smstools" => Form::Smstools,
            "gammu" => Form::Gammu,
            other => return Err(settings.incomplete(&format!("options.form is smstools or gammu, not `{other}`"))),
        };
        let folder = PathBuf::from(settings.needed("folder")?);
        Ok(SpoolChannel { folder, form, most_parts: settings.used.most_parts.unwrap_or(MOST_PARTS) })
    }

    pub(super) fn send(&self, parcel: &Parcel<'_>) -> Sent {
        let text = sms::fit(&parcel.text.short, self.most_parts);
        let (name, body) = match self.form {
            Form::Smstools => smstools(parcel, &text),
            Form::Gammu => gammu(parcel, &text),
        };
        match place(&self.folder, &name, &body) {
            Ok(()) => Sent::Delivered,
            Err(error) => Sent::Later(format!("spool folder: {error}"), None),
        }
    }
}

fn smstools(parcel: &Parcel<'_>, text: &str) -> (String, Vec<u8>) {
    // smstools wants the number without plus, and UCS-2 as big-endian bytes.
    let number = parcel.address.trim_start_matches('+');
    let mut body = format!("To: {number}\nAlphabet: UCS\n\n").into_bytes();
    body.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    (format!("rusta-{}", digest(parcel.id)), body)
}

fn gammu(parcel: &Parcel<'_>, text: &str) -> (String, Vec<u8>) {
    // OUTC<date>_<time>_<serial>_<number>_<note>.txtu: high priority, Unicode text.
    let name = format!("OUTA20000101_000000_00_{}_{}.txtu", parcel.address, digest(parcel.id));
    let mut body = vec![0xff, 0xfe];
    body.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    (name, body)
}

fn place(folder: &Path, name: &str, body: &[u8]) -> std::io::Result<()> {
    // Both daemons ignore names that begin with a dot.
    let half = folder.join(format!(".{name}"));
    // What a crash left under this name is half a message.
    let _none = std::fs::remove_file(&half);
    let mut file = crate::files::make(&half)?;
    file.write_all(body)?;
    // The daemon is of the folder's group, and another user.
    file.set_permissions(Permissions::from_mode(0o660))?;
    file.sync_all()?;
    std::fs::rename(half, folder.join(name))
}

fn digest(id: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(id.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
