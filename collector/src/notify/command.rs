//! `rusta-collector alerts`: what a rule would have said over stored history.

use crate::cli::{Failure, Place};
use crate::clock;
use crate::persian::{Lang, Moment, Period};
use crate::rules::{Fired, Rule, replay};

use super::incidents::stored;
use super::task::read_files;

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
                println!("{:7} {:28} {}", rule.severity, rule.name, rule.title(Lang::En));
            }
            Ok(())
        }
        AlertsCommand::Test { rule, period, json } => {
            let names = || rules.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ");
            let rule = rules.rule(rule).ok_or_else(|| Failure::Usage(format!("there is no rule `{rule}`; there are {}", names())))?;
            let now = clock::now();
            let window = period.window(now);
            let incidents = place.store()?.read(|tx| stored(tx, window))?;
            let fired = replay(rule, &rules, &incidents, window, now).map_err(Failure::Usage)?;
            if *json {
                print_json(rule, &fired)
            } else {
                print_lines(rule, &fired)
            }
            Ok(())
        }
    }
}

fn print_lines(rule: &Rule, fired: &[Fired]) {
    for one in fired {
        let until = one.until.map_or_else(|| "open".to_owned(), |until| Moment::at(until).rfc3339());
        println!("{}  {until:24}  incident {}  {}", Moment::at(one.at).rfc3339(), one.incident, one.title);
    }
    println!("{} ({}) would have fired {} times", rule.name, rule.severity, fired.len());
}

fn print_json(rule: &Rule, fired: &[Fired]) {
    let items = fired.iter().map(|one| {
        serde_json::json!({
            "incident": one.incident.0,
            "at": Moment::at(one.at).rfc3339(),
            "until": one.until.map(|until| Moment::at(until).rfc3339()),
            "title": one.title,
        })
    });
    println!("{}", serde_json::json!({ "rule": rule.name, "severity": rule.severity, "items": items.collect::<Vec<_>>() }));
}
