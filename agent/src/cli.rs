//! The command line: parses it, calls one function for each command, turns errors into exit codes.
//!
//! Exit 0 is ok, 1 failed, 2 wrong usage or configuration. Data goes to stdout, complaints to stderr.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::{Builder, LocalOptions};

use crate::config::text::default_file;
use crate::config::{Config, Machine};
use crate::terminal::say;
use crate::usage::{EnrollArgs, Failure, ProbeArgs, StatusArgs};
use crate::{app, diagnostics, enroll, privilege, probe_once, status};

/// Probes the links of a village site, keeps what it saw, reports it over mTLS.
#[derive(Debug, Parser)]
#[command(name = "rusta-agent", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Probe, spool and report until stopped. SIGTERM drains and says what is still owed, SIGHUP reads the file again
    Run(ConfigArg),
    /// Check a configuration; list every mistake with line and column
    Check(ConfigArg),
    /// Run each target once and show which rung of the ladder is broken. Exit 0 only if all hold
    Probe(ProbeArgs),
    /// Create a key and get a certificate for it; the key never leaves this machine
    Enroll(EnrollArgs),
    /// Ask the running agent: links, spool, last acknowledgement, data plan, clock
    Status(StatusArgs),
}

#[derive(Debug, clap::Args)]
struct ConfigArg {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_file())]
    config: PathBuf,
}

/// Runs the program from the command line.
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(usage) => {
            // clap writes help to stdout and errors to stderr; a closed pipe is no reason to panic.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => complain(&text, 2),
        Err(Failure::Failed(text)) => complain(&text, 1),
        Err(Failure::Silent) => ExitCode::FAILURE,
    }
}

/// Returns the whole command line, for its manual page and completion.
pub fn command() -> clap::Command {
    Cli::command()
}

fn complain(text: &str, code: u8) -> ExitCode {
    // Where nobody hears the sentence, the exit code still tells.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(args) => check(&args),
        Command::Run(args) => {
            diagnostics::to_stderr();
            let config = Config::load(&args.config)?;
            privilege::drop_the_rest(config.may_run_plugins());
            on_this_thread(async move { app::run(&args.config, config).await })
        }
        Command::Probe(args) => on_this_thread(async move { probe_once::run(&args).await }),
        Command::Enroll(args) => on_this_thread(async move { enroll::enroll(&args).await }),
        Command::Status(args) => {
            let socket = match &args.socket {
                Some(socket) => socket.clone(),
                None => Config::load(&args.config)?.status_socket,
            };
            status::ask(&socket, args.json)
        }
    }
}

/// Tasks between two looks at the network. A reply that waits while other rounds start seems to have been long on its way.
const EVENT_INTERVAL: u32 = 8;

/// Runs a command's story on one thread: an agent of a village router has one core and little memory.
fn on_this_thread(story: impl Future<Output = Result<(), Failure>> + 'static) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("runtime: {error}"));
    let runtime = Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build_local(LocalOptions::default());
    let runtime = runtime.map_err(|error| failed(&error))?;
    // A task like all others: one that is woken is polled alone, while the future of `block_on` is polled every time.
    let story = runtime.spawn_local(story);
    runtime.block_on(story).map_err(|error| failed(&error))?
}

fn check(args: &ConfigArg) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let watch = config.watch();
    say(&format!("{}: {} links, {} targets, no mistakes\n", args.config.display(), watch.links.len(), watch.targets.len()))?;
    config.absent(&Machine::look()).iter().try_for_each(|absent| say(&format!("note: {absent}\n")))
}
