//! `rusta-collector sink`: what an operator can ask of a sink.

use anyhow::{Context, bail};
use rusta_wire::UnixMs;

use super::memory_of;
use super::queue::Queue;
use crate::config::Config;
use crate::log;
use crate::terminal::say;

/// Commands about sinks.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Deliver the log's records again from a time on. Points already there are overwritten by themselves; the minute's
    /// states are not in the log and are not repeated. A running collector takes it up with its next delivery.
    Replay {
        /// The sink's name.
        #[arg(long)]
        sink: String,
        /// From when on, by time of arrival, such as 2026-11-20T00:00:00+03:30.
        #[arg(long, value_name = "TIME")]
        from: jiff::Timestamp,
    },
    /// Show how far each sink has come, what it owes, and the newest lines its database will never take.
    Status,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A sink that is not configured, or files that cannot be read.
    pub fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Command::Replay { sink, from } => replay(config, sink, UnixMs(from.as_millisecond())),
            Command::Status => status(config),
        }
    }
}

fn replay(config: &Config, name: &str, from: UnixMs) -> anyhow::Result<()> {
    if !config.sinks.iter().any(|sink| sink.name == name) {
        bail!(
            "no sink is called `{name}`; configured are: {}",
            config.sinks.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
        );
    }
    let position = log::position_before(&log::dir_in(&config.data_dir), from)?;
    Queue::open(&memory_of(&config.data_dir, name))?.set_cursor(position).with_context(|| format!("sink {name}"))?;
    say!("{name} delivers again from position {}", position.0);
    Ok(())
}

fn status(config: &Config) -> anyhow::Result<()> {
    for sink in &config.sinks {
        let queue = Queue::open(&memory_of(&config.data_dir, &sink.name))?;
        let position = queue.cursor()?.unwrap_or_default().0;
        say!("{}: delivered up to {position}, owed bodies {}, dropped states {}", sink.name, queue.owed()?, queue.dropped()?);
        for (line, reason) in queue.poison()? {
            say!("  set aside ({reason}): {line}");
        }
    }
    Ok(())
}
