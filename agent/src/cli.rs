//! The command line: parses it, calls one function for each command, turns errors into exit codes.
//!
//! Exit 0 is ok, 1 failed, 2 wrong usage or configuration. Data goes to stdout, complaints to stderr.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
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
    #[arg(long, value_name = "FILE", default_value = "/etc/rusta/agent.yaml")]
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
            privilege::drop_the_rest();
            on_this_thread(app::run(&args.config, config))
        }
        Command::Probe(args) => on_this_thread(probe_once::run(&args)),
        Command::Enroll(args) => on_this_thread(enroll::enroll(&args)),
        Command::Status(args) => {
            let socket = match &args.socket {
                Some(socket) => socket.clone(),
                None => Config::load(&args.config)?.status_socket,
            };
            status::ask(&socket, args.json)
        }
    }
}

/// Runs a command's story on one thread: an agent of a village router has one core and little memory.
fn on_this_thread(story: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("runtime: {error}")))?;
    tokio::task::LocalSet::new().block_on(&runtime, story)
}

fn check(args: &ConfigArg) -> Result<(), Failure> {
    let watch = Config::load(&args.config)?.watch();
    say(&format!("{}: {} links, {} targets, no mistakes\n", args.config.display(), watch.links.len(), watch.targets.len()))
}
