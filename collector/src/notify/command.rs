//! `rusta-collector alerts`: what a rule would have said over stored history, why somebody was called or not, and planned
//! work, about which nobody is.

use std::time::Duration;

use rusta_wire::UnixMs;

use super::figures::{Medians, past_kpis};
use super::incidents::{explain, stored};
use super::message::Message;
use super::task::{connected_share, read_files};
use crate::advance::Replay;
use crate::cli::{Failure, Place};
use crate::clock;
use crate::day::Day;
use crate::engine::incident::{Incidents, Settings};
use crate::inventory::Versions;
use crate::inventory::dates::moment;
use crate::inventory::windows::{self, Announced, Announcement};
use crate::kpi::Book;
use crate::persian::{Lang, Moment, Period, Window};
use crate::rules::{Condition, Facts, Fired, Rule, Rules, Watch, note_changes, replay};
use crate::store::StoreError;
use crate::terminal::say;

/// What to do with the alert rules.
#[derive(Debug, clap::Subcommand)]
pub enum AlertsCommand {
    /// Show when a rule would have fired over stored history.
    Test {
        /// The rule's name, as in alerts.yaml.
        rule: String,
        /// The period: a Jalali month such as 1405-08, a day, a week, or 24h.
        #[arg(long, default_value = "24h")]
        period: Period,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the rules with their severity.
    List,
    /// Say why somebody was called about an incident or a site, and why not.
    Why {
        /// An incident's number or a site's code.
        about: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Announce planned work, list it, end it.
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
}

/// What to do with maintenance windows; those of the registry's maintenance.yaml stay there.
#[derive(Debug, clap::Subcommand)]
pub enum MaintenanceCommand {
    /// Announce work, also work that is over: its days are built again.
    Add {
        /// When it begins, in Tehran: 1405-09-10 02:00.
        #[arg(long)]
        from: String,
        /// When it ends.
        #[arg(long)]
        until: String,
        /// Comes back every seven days.
        #[arg(long)]
        weekly: bool,
        /// Why.
        #[arg(long)]
        reason: String,
        /// What it covers: region/CODE, site/CODE, link/SITE/NAME or node/CODE.
        #[arg(required = true)]
        covers: Vec<String>,
    },
    /// List announced windows, newest first.
    List,
    /// End a window now, or call it off.
    End {
        /// Its number.
        id: i64,
    },
}

/// Runs the command.
///
/// # Errors
/// A wrong rules file or an unknown rule is wrong usage; a database that cannot be read is a failure.
pub fn run(place: &Place, command: &AlertsCommand) -> Result<(), Failure> {
    let (rules, ..) = read_files(&place.config()?.alerts).map_err(|wrong| Failure::Usage(wrong.to_string()))?;
    match command {
        AlertsCommand::List => {
            for rule in &rules.rules {
                say!("{:7} {:28} {}", rule.severity, rule.name, rule.title(Lang::En));
            }
            Ok(())
        }
        AlertsCommand::Test { rule, period, json } => {
            let names = || rules.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ");
            let rule = rules.rule(rule).ok_or_else(|| Failure::Usage(format!("there is no rule `{rule}`; there are {}", names())))?;
            let now = clock::now();
            let window = Window { until: period.window(now).until.min(now), ..period.window(now) };
            let fired = match &rule.condition {
                Condition::Incident(wanted) => {
                    let incidents = place.store()?.read(|tx| stored(tx, window))?;
                    replay(wanted, rule, &rules, &incidents, window, now)
                }
                _ => played(place, rule, &rules, window)?,
            };
            if *json {
                print_json(rule, &fired)
            } else {
                print_lines(rule, &fired)
            }
            Ok(())
        }
        AlertsCommand::Maintenance(command) => maintain(place, command),
        AlertsCommand::Why { about, json } => {
            let lines = place.store()?.read(|tx| explain(tx, about))?;
            if *json {
                let line = |line: &super::Timeline| serde_json::json!({ "at": Moment::at(UnixMs(line.at)).rfc3339(), "actor": line.actor, "kind": line.kind, "text": line.text });
                say!("{}", serde_json::json!({ "items": lines.iter().map(line).collect::<Vec<_>>() }));
                return Ok(());
            }
            for line in &lines {
                say!("{}  {:8} {:22} {}", Moment::at(UnixMs(line.at)).in_tehran(), line.actor, line.kind, line.text);
            }
            if lines.is_empty() {
                say!("nothing was decided about `{about}`");
            }
            Ok(())
        }
    }
}

fn maintain(place: &Place, command: &MaintenanceCommand) -> Result<(), Failure> {
    let (store, now) = (place.store()?, clock::now());
    let refused = |error: StoreError| match error {
        StoreError::Refused(why) => Failure::Usage(why),
        other => other.into(),
    };
    match command {
        MaintenanceCommand::Add { from, until, weekly, reason, covers } => {
            let time = |name: &str, text: &str| moment(text).map_err(|why| Failure::Usage(format!("{name}: {why}")));
            let span = (time("--from", from)?, time("--until", until)?);
            let what = Announcement { reason: reason.clone(), span, weekly: *weekly, covers: covers.clone() };
            let inventory = Versions::load(&store)?.at(now);
            let id = windows::announce(&store, &inventory, &what, "cli", now).map_err(refused)?;
            say!("maintenance window {id} is announced");
        }
        MaintenanceCommand::List => {
            for Announced { id, what, by, ended_at, .. } in store.read(|tx| windows::announced(tx))? {
                let (from, until) = (Moment::at(what.span.0).in_tehran(), Moment::at(what.span.1).in_tehran());
                let weekly = if what.weekly { " weekly" } else { "" };
                let ended = ended_at.map_or_else(String::new, |at| format!(" (ended {})", Moment::at(at).in_tehran()));
                say!("{id:4}  {from}  {until}{weekly}{ended}  {}  {} ({by})", what.covers.join(" "), what.reason);
            }
        }
        MaintenanceCommand::End { id } => {
            windows::end(&store, *id, "cli", now).map_err(refused)?;
            say!("maintenance window {id} is ended");
        }
    }
    Ok(())
}

/// More looks at one period would take a large fleet hours.
const LOOKS: u32 = 6_000;
/// As often as a running collector looks.
const SHORTEST_STEP: Duration = Duration::from_secs(15);

/// Plays the log again and lets one rule look. It begins early enough for what held before the period to count.
fn played(place: &Place, rule: &Rule, rules: &Rules, window: Window) -> Result<Vec<Fired>, Failure> {
    let (config, store) = (place.config()?, place.store()?);
    let one = Rules { rules: vec![rule.clone()], calendars: rules.calendars.clone() };
    let book = Book::new(store.clone());
    let incidents = Incidents::new(Settings::default());
    let (mut watch, mut medians, mut fired) = (Watch::default(), Medians::default(), Vec::new());
    let mut past: (Option<Day>, Vec<_>) = Default::default();
    let step = (window.length() / LOOKS).max(SHORTEST_STEP);
    let versions = Versions::load(&store)?;
    let replay = Replay { data_dir: &config.data_dir, store: &store, versions: &versions, thresholds: &config.thresholds };
    let from = UnixMs(window.from.0 - i64::try_from(rule.hold.as_millis()).unwrap_or(0));
    replay.run(Window { from, ..window }, step, |snapshot| {
        let today = Day::of(snapshot.at);
        if past.0 != Some(today) {
            past = (Some(today), past_kpis(&one, &book, &snapshot.inventory, snapshot.at)?);
        }
        medians.refresh(&one, &store, &snapshot.inventory, snapshot.at)?;
        let mut kpis = connected_share(snapshot);
        kpis.extend_from_slice(&past.1);
        let median = |link, metric| medians.get(link, metric);
        let facts = Facts { kpis, median: &median, ..Facts::new(snapshot, &incidents) };
        let changes = watch.look(&one, &facts);
        note_changes(&mut fired, changes, snapshot.at, |alert| Message::of_alert(alert, &snapshot.inventory).root.0);
        Ok::<_, anyhow::Error>(())
    })?;
    fired.retain(|one| window.contains(one.at));
    Ok(fired)
}

fn print_lines(rule: &Rule, fired: &[Fired]) {
    for one in fired {
        let until = one.until.map_or_else(|| "open".to_owned(), |until| Moment::at(until).in_tehran());
        say!("{}  {until:25}  {}  {}", Moment::at(one.at).in_tehran(), one.subject, one.title);
    }
    say!("{} ({}) would have fired {} times", rule.name, rule.severity, fired.len());
}

fn print_json(rule: &Rule, fired: &[Fired]) {
    let items = fired.iter().map(|one| {
        serde_json::json!({
            "subject": one.subject.to_string(),
            "incident": one.subject.incident().map(|id| id.0),
            "at": Moment::at(one.at).rfc3339(),
            "until": one.until.map(|until| Moment::at(until).rfc3339()),
            "title": one.title,
        })
    });
    say!("{}", serde_json::json!({ "rule": rule.name, "severity": rule.severity, "items": items.collect::<Vec<_>>() }));
}
