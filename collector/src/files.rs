//! Files that are nobody else's business: made, replaced and watched over here, and nowhere else.
//!
//! A file is made under a name nobody could know (`O_EXCL`, so that no link is followed and no leftover is written into),
//! readable for its owner only, and renamed when it is whole. A reader sees the old file or the new one.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::Uid;

/// What this process makes from now on is its owner's alone, also what libraries make.
pub fn keep_to_ourselves() {
    umask(Mode::from_bits_truncate(0o077));
}

/// Makes a folder, and those above it, for its owner only. One that is there stays as it is.
///
/// # Errors
/// What the file system says.
pub fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a file that is not there, for its owner only.
///
/// # Errors
/// What the file system says; a link is there too, wherever it leads.
pub fn make(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a file of a name of its own beside `path`.
///
/// # Errors
/// What the file system says.
pub fn make_beside(path: &Path) -> Result<(File, PathBuf)> {
    let beside = beside(path)?;
    Ok((make(&beside)?, beside))
}

/// Replaces a file in one step, whatever its name led to before. A pipe or device is written to as it is, if it is ours or the
/// system's.
///
/// # Errors
/// What the file system says; the old file is still there.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    // /dev/stdout leads to a plain file where a shell redirects it.
    if let Ok(found) = std::fs::metadata(path)
        && !found.is_dir()
        && (!found.is_file() || path.starts_with("/dev"))
    {
        let is_ours = [0, Uid::effective().as_raw()].contains(&found.uid()) && !found.file_type().is_socket();
        return if is_ours { OpenOptions::new().write(true).open(path)?.write_all(content) } else { Err(not_ours(path)) };
    }
    let (mut file, partial) = make_beside(path)?;
    let partial = Unkept(partial);
    file.write_all(content)?;
    file.sync_all()?;
    partial.keep_as(path)
}

/// Makes a folder of a name of its own beside `path`, in which something is put together: nobody else can reach into it.
///
/// # Errors
/// What the file system says.
pub fn workshop(path: &Path) -> Result<Workshop> {
    let beside = beside(path)?;
    DirBuilder::new().mode(0o700).create(&beside)?;
    Ok(Workshop(beside))
}

/// A folder that goes with everything in it.
pub struct Workshop(PathBuf);

impl Workshop {
    /// Names a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "what was half made is not removed");
        }
    }
}

/// A file that goes unless it is kept.
pub struct Unkept(pub PathBuf);

impl Unkept {
    /// Gives it its name, and makes that last.
    ///
    /// # Errors
    /// What the file system says; then the file goes.
    pub fn keep_as(mut self, path: &Path) -> Result<()> {
        rename(&self.0, path)?;
        self.0 = PathBuf::new();
        Ok(())
    }
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _gone = std::fs::remove_file(&self.0);
        }
    }
}

/// Renames a file over another and makes that last. A pipe, a device or a folder is never replaced.
///
/// # Errors
/// What the file system says.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    if std::fs::symlink_metadata(to).is_ok_and(|found| !found.is_file() && !found.is_symlink()) {
        return Err(Error::new(ErrorKind::AlreadyExists, format!("{} is no file", to.display())));
    }
    std::fs::rename(from, to)?;
    File::open(parent(to))?.sync_all()
}

/// Takes from everybody else what they may do in a data directory, and says so: earlier collectors, and hands, left files there
/// that any user of the machine could read.
///
/// # Errors
/// What stays open to others.
pub fn close_to_others(data_dir: &Path) -> Result<()> {
    let (mut mended, mut waiting) = (0, vec![data_dir.to_owned()]);
    let (me, mut shared) = (Uid::effective().as_raw(), false);
    while let Some(path) = waiting.pop() {
        let found = match std::fs::symlink_metadata(&path) {
            // A command beside us ended and took its journal along.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        if found.uid() != me {
            // The spool of an agent that shared the directory in version 0.1: its owner must still get through.
            shared = true;
            continue;
        }
        if found.is_symlink() {
            continue;
        }
        if found.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
            if path == data_dir {
                continue;
            }
        }
        mended += u32::from(close(&path, found.mode(), 0o077)?);
    }
    mended += u32::from(close(data_dir, std::fs::metadata(data_dir)?.mode(), if shared { 0o066 } else { 0o077 })?);
    if mended > 0 {
        tracing::warn!(mended, data = %data_dir.display(), "other users could read what is kept; now they cannot");
    }
    Ok(())
}

fn close(path: &Path, mode: u32, to: u32) -> Result<bool> {
    if mode & to == 0 {
        return Ok(false);
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !to))?;
    Ok(true)
}

fn beside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| Error::new(ErrorKind::InvalidInput, format!("{} names no file", path.display())))?;
    let unknowable = RandomState::new().build_hasher().finish();
    Ok(parent(path).join(format!(".{}.{unknowable:016x}", name.to_string_lossy())))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn not_ours(path: &Path) -> Error {
    Error::new(ErrorKind::PermissionDenied, format!("{} is no file and belongs to somebody else", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_file_replaces_a_link_and_never_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let (out, victim) = (dir.path().join("out"), dir.path().join("victim"));
        std::fs::write(&victim, "precious").unwrap();
        symlink(&victim, &out).unwrap();
        assert!(make(&out).is_err());
        replace(&out, b"report").unwrap();
        assert_eq!((std::fs::read(&victim).unwrap(), std::fs::read(&out).unwrap()), (b"precious".to_vec(), b"report".to_vec()));
        assert_eq!(mode(&out), 0o600);
        replace(&out, b"again").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half made is left");
        assert!(replace(dir.path(), b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        replace(Path::new("/dev/null"), b"x").unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        assert!(rename(Path::new("/nowhere"), Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_workshop_goes_with_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let shop = workshop(&dir.path().join("backup")).unwrap();
        assert_eq!(mode(&shop.0), 0o700);
        std::fs::write(shop.path("half"), "x").unwrap();
        drop(shop);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_others_could_read_is_closed_and_links_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (data, outside) = (dir.path().join("data"), dir.path().join("outside"));
        std::fs::create_dir_all(data.join("log")).unwrap();
        for file in [&data.join("state.sqlite"), &data.join("log/day"), &outside] {
            std::fs::write(file, "x").unwrap();
            std::fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap();
        }
        for folder in [&data, &data.join("log")] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&outside, data.join("link")).unwrap();
        close_to_others(&data).unwrap();
        assert_eq!(
            [&data, &data.join("log"), &data.join("state.sqlite"), &data.join("log/day")].map(|path| mode(path)),
            [0o700, 0o700, 0o600, 0o600]
        );
        assert_eq!(mode(&outside), 0o666);
        close_to_others(&data).unwrap();
    }
}
