//! `rusta-agent probe`: every target once, for a technician on site.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::rc::Rc;
use std::sync::Arc;

use rusta_wire::Metric;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::{Config, Target, Watch};
use crate::flash::Flash;
use crate::ladder::{PartLine, Report, TargetLine};
use crate::probe::{Measurement, Prober};
use crate::terminal::say;
use crate::usage::{Failure, ProbeArgs};

/// Runs the targets at once and prints the ladder.
///
/// # Errors
/// A wrong configuration, an unknown target, or a rung that does not hold.
pub async fn run(args: &ProbeArgs) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let watch = Rc::new(config.watch());
    let chosen: Vec<usize> =
        (0..watch.targets.len()).filter(|t| args.target.as_ref().is_none_or(|n| *n == watch.targets[*t].name)).collect();
    if chosen.is_empty() {
        let wanted = args.target.as_deref().unwrap_or("any");
        return Err(Failure::Usage(format!("{}: no target `{wanted}` to probe", args.config.display())));
    }
    let clock = Arc::new(Clock::open(&config.spool.dir, Flash::at_once()));
    let prober = Rc::new(Prober::new(clock.settings(config.resolvers)));
    let report = Report::new(measure(&prober, &watch, &chosen).await);
    if args.json {
        say(&(serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))? + "\n"))?;
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        say(&report.table(args.lang, colour))?;
    }
    if report.holds() { Ok(()) } else { Err(Failure::Silent) }
}

async fn measure(prober: &Rc<Prober>, watch: &Rc<Watch>, chosen: &[usize]) -> Vec<(String, rusta_wire::Network, Vec<TargetLine>)> {
    let mut rounds = JoinSet::new();
    for target in chosen.iter().copied() {
        let (prober, watch) = (prober.clone(), watch.clone());
        rounds.spawn_local(async move {
            let Target { probe, link, timeout, .. } = &watch.targets[target];
            (target, prober.measure(probe, &watch.links[*link].way, *timeout).await)
        });
    }
    let mut results: BTreeMap<usize, Measurement> = BTreeMap::new();
    while let Some(Ok((target, measurement))) = rounds.join_next().await {
        results.insert(target, measurement);
    }
    let of_link = |link: usize| results.iter().filter(move |(t, _)| watch.targets[**t].link == link);
    let links = watch.links.iter().enumerate().filter(|(place, _)| of_link(*place).next().is_some());
    links
        .map(|(place, link)| (link.name.clone(), link.network, of_link(place).map(|(t, m)| line(&watch.targets[*t], m)).collect()))
        .collect()
}

fn line(target: &Target, measurement: &Measurement) -> TargetLine {
    TargetLine {
        name: target.name.clone(),
        rung: target.rung,
        probe: target.probe.kind(),
        address: target.probe.address(),
        outcome: measurement.outcome,
        values: named(&measurement.values),
        parts: measurement
            .parts
            .iter()
            .map(|part| PartLine { name: part.name.clone(), outcome: part.outcome, values: named(&part.values) })
            .collect(),
    }
}

fn named(values: &[(Metric, i64)]) -> BTreeMap<&'static str, i64> {
    values.iter().map(|(metric, value)| (metric.name(), *value)).collect()
}
