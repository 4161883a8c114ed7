//! A modem's AT port: one command, one answer, one user at a time.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use nix::sys::termios::{BaudRate, SetArg, cfmakeraw, cfsetspeed, tcgetattr, tcsetattr};
use rusta_wire::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::round::Round;
use crate::modem::at::is_complete;

/// Longest answer of one command. A serving cell line has 150 bytes; a chatty port must not fill a router's memory.
const ANSWER_BYTES: usize = 4 * 1024;

/// An open AT port. The lock keeps other readers of ours out, who would take half of each answer.
///
/// tokio has no type for terminals; its pipes poll any file that was opened non-blocking.
pub(super) struct Port {
    reading: Receiver,
    writing: Sender,
}

impl Port {
    /// Opens and locks a port. A port that is not there is a modem that is not there.
    pub fn open(path: &Path) -> Result<Port, Outcome> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path);
        let file = file.map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => Outcome::NotPermitted,
            _ => Outcome::Unexpected,
        })?;
        // Another probe, or another program that locks as it should, is talking to the modem.
        file.try_lock().map_err(|_| Outcome::NotRun)?;
        let mut settings = tcgetattr(&file).map_err(|_| Outcome::Unexpected)?;
        cfmakeraw(&mut settings);
        // USB ports ignore the speed; real UARTs of industrial routers run at this one.
        let _ = cfsetspeed(&mut settings, BaudRate::B115200);
        tcsetattr(&file, SetArg::TCSANOW, &settings).map_err(|_| Outcome::SystemError)?;
        let ends = file.try_clone().and_then(|again| Ok((Receiver::from_file_unchecked(file)?, Sender::from_file_unchecked(again)?)));
        let (reading, writing) = ends.map_err(|_| Outcome::SystemError)?;
        Ok(Port { reading, writing })
    }

    /// Sends a command and reads until `is_enough` says that the answer is whole.
    pub async fn ask(&mut self, round: &Round<'_>, command: &str, is_enough: impl Fn(&str) -> bool) -> Result<String, Outcome> {
        round.by_deadline(self.exchange(command, is_enough)).await?.map_err(|_| Outcome::Unexpected)
    }

    /// Sends a command and reads its answer up to the final result code.
    pub async fn command(&mut self, round: &Round<'_>, command: &str) -> Result<String, Outcome> {
        self.ask(round, command, is_complete).await
    }

    async fn exchange(&mut self, command: &str, is_enough: impl Fn(&str) -> bool) -> io::Result<String> {
        self.writing.write_all(format!("{command}\r").as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            if self.reading.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = String::from_utf8_lossy(&answer);
            if is_enough(&text) {
                return Ok(text.into_owned());
            }
            if answer.len() > ANSWER_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}
