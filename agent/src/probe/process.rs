//! Other people's programs: plugins and modem tools. No shell, no environment, a limit on time and output.

use std::io;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rusta_wire::Outcome;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

use super::round::Round;

/// Where plugins and modem tools find their own helpers.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command<'a> {
    /// The program and its arguments.
    pub words: &'a [String],
    /// Most bytes of output; a program that says more is killed.
    pub output_bytes: usize,
    /// Never as root: an agent that is root starts it as nobody, or not at all.
    pub as_nobody: bool,
}

/// The user and group that own nothing, on OpenWrt and on Debian.
const NOBODY: u32 = 65_534;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    /// Its exit code; 128 plus the signal when it was killed by one.
    pub code: i32,
    /// What it wrote to its standard output.
    pub output: String,
}

impl Command<'_> {
    /// Runs the program to its end, its limit or the round's deadline.
    pub async fn run(&self, round: &Round<'_>) -> Result<Finished, Outcome> {
        let mut group = Group::start(self, round)?;
        let mut stdout = group.child.stdout.take().ok_or(Outcome::SystemError)?;
        let output = round.by_deadline(read_up_to(&mut stdout, self.output_bytes)).await?.map_err(|_| Outcome::SystemError)?;
        let output = output.ok_or(Outcome::Malformed)?;
        let status = round.by_deadline(group.child.wait()).await?.map_err(|_| Outcome::SystemError)?;
        Ok(Finished { code: code_of(status), output: String::from_utf8_lossy(&output).into_owned() })
    }
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Reads to the end; `None` when there is more than allowed.
async fn read_up_to(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut output = Vec::new();
    stream.take(limit as u64 + 1).read_to_end(&mut output).await?;
    Ok((output.len() <= limit).then_some(output))
}

/// A running program and whatever it started; all of it dies with the value.
struct Group {
    child: Child,
}

impl Group {
    fn start(what: &Command<'_>, round: &Round<'_>) -> Result<Self, Outcome> {
        let (program, arguments) = what.words.split_first().ok_or(Outcome::SystemError)?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
        if what.as_nobody && nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        if let Some(interface) = round.way.interface_name() {
            command.env("RUSTA_INTERFACE", interface);
        }
        if let Some(source) = round.way.source {
            command.env("RUSTA_SOURCE", source.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Outcome::NotPermitted,
            _ => Outcome::SystemError,
        })?;
        Ok(Group { child })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // No id means that it was waited for, so the number may belong to somebody else already.
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}
