//! The command line: which commands there are, and which module owns each.
//!
//! A command's arguments and its `run` live in the module that does the work; this file only names it and hands it the
//! [`Place`] it works on. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::app;
use crate::backup::command::{Backup, Restore};
use crate::config::{self, Config};
use crate::files;
use crate::grafana;
use crate::identity::{self, command::AgentsCommand};
use crate::inventory;
use crate::people::Directories;
use crate::process;
use crate::sink;
use crate::store::Store;
use crate::terminal::say;

/// The collector of Rusta: keeps what agents saw, computes coverage KPIs, finds causes, wakes people once.
#[derive(Debug, Parser)]
#[command(name = "rusta-collector", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where a command works: the configuration and the data it names.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Configuration file; without it the built-in defaults hold.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of the one the configuration names.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector: the port for agents, the log, the engine, pages, API, alerts.
    Serve,
    /// Check the configuration and everything it refers to; print every mistake with its line and column.
    Check,
    /// Test alert rules over stored history, list them.
    #[command(subcommand)]
    Alerts(crate::notify::command::AlertsCommand),
    /// Tokens for new agents, the list of agents, revocation.
    #[command(subcommand)]
    Agents(AgentsCommand),
    Audit(crate::people::audit::command::AuditArgs),
    Backup(Backup),
    Restore(Restore),
    /// Write the Grafana packs: dashboards and provisioning files in one query language.
    ExportGrafana(grafana::Export),
    /// Ask a sink how far it is, or make it deliver again.
    #[command(subcommand)]
    Sink(sink::Command),
    /// Print a completion script for a shell: `rusta-collector completions bash > /etc/bash_completion.d/rusta-collector`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Registry versions: import, export, list.
    #[command(subcommand)]
    Inventory(inventory::cli::Command),
    Kpi(crate::kpi::cli::KpiArgs),
    Explain(crate::kpi::cli::ExplainArgs),
    Report(crate::report::ReportArgs),
    /// Add, list and remove the people who may look.
    Users(crate::people::command::UsersArgs),
}

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// The command or the configuration is wrong (exit 2); the text is complete and tells how to mend it.
    Usage(String),
    /// The work failed (exit 1).
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Failed(error.into())
    }
}

impl Place {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// [`Failure::Usage`] with every mistake in it.
    pub fn config(&self) -> Result<Config, Failure> {
        files::keep_to_ourselves();
        let mut config = match &self.config {
            Some(path) => config::read(path).map_err(|mistakes| Failure::Usage(mistakes.to_string()))?,
            None => Config::default(),
        };
        if let Some(dir) = &self.data_dir {
            config.data_dir.clone_from(dir);
        }
        process::become_owner(&config.data_dir).map_err(Failure::Usage)?;
        Ok(config)
    }

    /// Opens the state database of the configured data directory.
    ///
    /// # Errors
    /// What [`Place::config`] and [`Store::open`] refuse.
    pub fn store(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.config()?.data_dir)?)
    }

    /// Returns the configuration file, if one was named.
    pub fn config_path(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    // Usage errors and `--help` end the process here with clap's codes, which are ours: 2 and 0.
    let cli = Cli::parse();
    match run(&cli.place, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(place: &Place, command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve => serve(place),
        Command::Check => check(place),
        Command::Audit(args) => crate::people::audit::command::run(&args, place),
        Command::Backup(backup) => backup.run(place),
        Command::Restore(restore) => restore.run(place),
        Command::Alerts(command) => crate::notify::command::run(place, &command),
        Command::Agents(command) => identity::command::run(place, &command),
        Command::ExportGrafana(export) => Ok(export.run()?),
        Command::Sink(command) => Ok(command.run(&place.config()?)?),
        Command::Completions { shell } => Ok(completions(shell)?),
        Command::Inventory(command) => inventory::cli::run(place, command),
        Command::Kpi(args) => crate::kpi::cli::run(place, &args),
        Command::Explain(args) => crate::kpi::cli::explain(place, &args),
        Command::Report(args) => crate::report::run(place, &args),
        Command::Users(args) => crate::people::command::run(&args, place),
    }
}

/// Returns the whole command line, for manual pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

fn completions(shell: clap_complete::Shell) -> std::io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "rusta-collector", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)
}

fn serve(place: &Place) -> Result<(), Failure> {
    let config = place.config()?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(tracing::Level::INFO).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(app::serve(config))?)
}

fn check(place: &Place) -> Result<(), Failure> {
    let config = place.config()?;
    crate::notify::read_files(&config.alerts).map_err(|wrong| Failure::Usage(format!("{:#}", anyhow::Error::from(wrong))))?;
    Directories::new(&config.sign_in).map_err(|why| Failure::Usage(format!("sign_in: {why}")))?;
    config.http.map.as_deref().map(crate::web::geo::read).transpose().map_err(Failure::Usage)?;
    if let Some(files) = &config.http.tls {
        crate::port::tls_from_files(files).map_err(|error| Failure::Usage(format!("http.tls: {error:#}")))?;
    }
    if Store::is_in(&config.data_dir) {
        for note in inventory::versions::doubts(&place.store()?, crate::clock::now())? {
            eprintln!("note: {}: {}\n    {}", note.place, note.english, note.persian);
        }
    }
    say!("the configuration is good");
    Ok(())
}
