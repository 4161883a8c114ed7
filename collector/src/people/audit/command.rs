//! `rusta-collector audit`: the audit log checked and taken out.

use clap::{Args, Subcommand, ValueEnum};
use rusta_wire::UnixMs;

use super::{AuditEntry, AuditFilter, each};
use crate::cells;
use crate::cli::{Failure, Place};
use crate::clock;
use crate::people::PeopleError;
use crate::store::audit::{self, Deed, Head, HeadFile, Verdict};
use crate::terminal::say;

/// Checks the audit log and takes it out.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check that no row was changed, removed or put in; exit 1 names the first that is wrong. Prints the head: the newest
    /// row's number and hash.
    Verify {
        /// Head that was printed before and kept elsewhere, besides the one kept beside the database.
        #[arg(long, value_name = "HEAD")]
        head: Option<Head>,
    },
    /// Write the rows to standard output, oldest first.
    Export {
        /// Comma-separated values, or one JSON object a line.
        #[arg(long, value_enum, default_value = "jsonl")]
        format: Form,
        /// Part of who: a name, `token:3`, `cli`.
        #[arg(long, value_name = "TEXT", default_value = "")]
        who: String,
        /// How what begins, such as `user.` or `login`.
        #[arg(long, value_name = "TEXT", default_value = "")]
        what: String,
        /// From when on, such as 2026-11-01T00:00:00+03:30.
        #[arg(long, value_name = "TIME")]
        since: Option<jiff::Timestamp>,
        /// Until when.
        #[arg(long, value_name = "TIME")]
        until: Option<jiff::Timestamp>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Csv,
    Jsonl,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Failed`] for a log that is not sound, or cannot be read.
pub fn run(args: &AuditArgs, place: &Place) -> Result<(), Failure> {
    let store = place.store()?;
    match &args.action {
        Action::Verify { head } => {
            let apart = HeadFile::beside(store.path()).read()?;
            let apart = apart.ok_or_else(|| anyhow::anyhow!("broken: audit.head, the head kept beside the database, is gone"))?;
            for head in std::iter::once(&apart).chain(head) {
                if let Verdict::Broken { row, why } = store.read(|tx| audit::verify(tx, Some(head)))? {
                    return Err(Failure::Failed(anyhow::anyhow!("broken at row {row}: {why}")));
                }
            }
            if let Verdict::Sound { rows, head } = store.read(|tx| audit::verify(tx, None))? {
                say!("sound: {rows} rows\nhead: {head}");
            }
        }
        Action::Export { format, who, what, since, until } => {
            let time = |at: &Option<jiff::Timestamp>| at.map(|at| UnixMs(at.as_millisecond()));
            let filter =
                AuditFilter { who: who.clone(), what: what.clone(), since: time(since), until: time(until), ..AuditFilter::default() };
            let deed = Deed { at: clock::now(), actor: "cli", action: "audit.export", subject: "audit log", detail: what };
            store.write(|tx| audit::record(tx, &deed))?;
            if matches!(format, Form::Csv) {
                say!("id,at,actor,action,subject,detail,hash");
            }
            each(&store, &filter, "ASC", |entry| {
                say!("{}", line(&entry, *format)?);
                Ok(true)
            })?;
        }
    }
    Ok(())
}

fn line(entry: &AuditEntry, format: Form) -> Result<String, PeopleError> {
    let at = jiff::Timestamp::from_millisecond(entry.at.0).map_or_else(|_| entry.at.0.to_string(), |at| at.to_string());
    let cells = [&entry.id.to_string(), &at, &entry.actor, &entry.action, &entry.subject, &entry.detail, &entry.hash];
    match format {
        Form::Csv => Ok(cells.map(|cell| cells::quoted(cell)).join(",")),
        Form::Jsonl => {
            let names = ["id", "at", "actor", "action", "subject", "detail", "hash"];
            let mut object: serde_json::Map<String, serde_json::Value> =
                names.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.as_str().into())).collect();
            object.insert("id".to_owned(), entry.id.into());
            Ok(serde_json::Value::Object(object).to_string())
        }
    }
}
