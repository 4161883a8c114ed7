//! The local socket: what the running agent says about itself to `rusta-agent status`.
//!
//! One connection, one JSON document, closed. Nothing secret is in it: no key, no token, no address of a person.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rusta_wire::{AgentId, Rung};
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use crate::config::Watch;
use crate::core::Core;
use crate::schedule::Standing;
use crate::shared::Shared;
use crate::terminal::say;
use crate::usage::Failure;
use crate::{health, ladder};

/// The state of the agent.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The agent's id, sixteen hexadecimal digits; absent before enrolment.
    pub agent: Option<String>,
    /// The boot's id.
    pub boot: String,
    /// What is believed about the time.
    pub clock: ClockStatus,
    /// The links.
    pub links: Vec<LinkStatus>,
    /// What waits.
    pub spool: Value,
    /// How reporting goes.
    pub report: ReportStatus,
    /// Which assignments there are.
    pub assignment: AssignmentStatus,
    /// Processor time used since the start.
    pub cpu_ms: Option<i64>,
    /// Resident memory.
    pub rss_kib: Option<i64>,
}

/// What is believed about the time.
#[derive(Debug, Serialize)]
pub struct ClockStatus {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// Where it comes from.
    pub source: String,
    /// Bound of its error.
    pub uncertainty_ms: u32,
}

/// One link.
#[derive(Debug, Serialize)]
pub struct LinkStatus {
    /// Its name.
    pub name: String,
    /// Its network.
    pub network: String,
    /// The lowest broken rung.
    pub broken_rung: Option<String>,
    /// The data plan's use.
    pub plan: Option<Value>,
    /// The SIM last found in its modem, as this router tells it from others.
    pub sim: Option<String>,
    /// Its targets.
    pub targets: Vec<TargetStatus>,
}

/// One target.
#[derive(Debug, Serialize)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Its rung.
    pub rung: String,
    /// `holds`, `broken` or `unknown`.
    pub standing: String,
    /// The last round's outcome.
    pub outcome: Option<String>,
}

/// Assignments by version.
#[derive(Debug, Serialize)]
pub struct AssignmentStatus {
    /// The one in force; absent: the file's own targets.
    pub in_force: Option<u64>,
    /// The one on trial.
    pub on_trial: Option<u64>,
    /// The one that was rolled back or could not be used.
    pub failed: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

/// How reporting goes.
#[derive(Debug, Serialize)]
pub struct ReportStatus {
    /// The collector in use.
    pub url: Option<String>,
    /// The link in use.
    pub link: Option<String>,
    /// Whether a connection is open.
    pub connected: bool,
    /// Time since the last acknowledgement.
    pub acknowledged_s_ago: Option<u64>,
    /// Batches acknowledged since the start.
    pub acknowledged: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Opens the socket; a leftover of an agent that is gone is replaced. `None` when it cannot be had: the agent works
/// without it.
pub fn listen(path: &Path) -> Option<UnixListener> {
    let listener = std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).and_then(|()| {
        if path.exists() && UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(listener)
    });
    match listener {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "no status socket");
            None
        }
    }
}

/// Waits for a visitor; for ever without a socket.
pub async fn visitor(listener: Option<&UnixListener>) -> tokio::net::UnixStream {
    loop {
        match listener {
            Some(listener) => match listener.accept().await {
                Ok((visitor, _)) => return visitor,
                // Out of file descriptors, most likely; that passes.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            },
            None => std::future::pending().await,
        }
    }
}

/// Gathers the status.
pub fn of(shared: &Shared, core: &Core, agent: Option<AgentId>) -> Status {
    let clock = shared.clock.believed();
    let contact = shared.contact.borrow().clone();
    let watch = shared.watch.borrow().clone();
    let assignments = shared.assignments.borrow();
    let (in_force, on_trial, refused) = assignments.versions();
    let (failed, reason) = (refused.map(|refused| refused.version), refused.map(|refused| refused.reason.clone()));
    let links = watch.links.iter().enumerate().map(|(place, link)| LinkStatus {
        name: link.name.clone(),
        network: link.network.to_string(),
        broken_rung: ladder::lowest_broken(&core.standings(place)).map(|rung| rung.to_string()),
        plan: shared.plans.borrow().get(place).and_then(Option::as_ref).and_then(|plan| serde_json::to_value(plan.usage()).ok()),
        sim: shared.sim(place).0.map(|card| crate::sim::Card(card).to_string()),
        targets: targets_of(&watch, place, core),
    });
    Status {
        version: env!("CARGO_PKG_VERSION").to_string(),
        agent: agent.map(|agent| agent.to_string()),
        boot: shared.clock.boot().to_string(),
        clock: ClockStatus { unix_ms: clock.unix.0, source: clock.source.to_string(), uncertainty_ms: clock.uncertainty_ms },
        links: links.collect(),
        spool: serde_json::to_value(shared.spool.borrow().depth()).unwrap_or_default(),
        report: ReportStatus {
            url: contact.url,
            link: contact.link,
            connected: contact.connected,
            acknowledged_s_ago: contact.acknowledged_at.map(|at| shared.clock.now().since(at).as_secs()),
            acknowledged: contact.acknowledged,
            last_error: contact.last_error,
        },
        assignment: AssignmentStatus { in_force, on_trial, failed, reason },
        cpu_ms: health::cpu_ms(),
        rss_kib: health::rss_kib(),
    }
}

fn targets_of(watch: &Watch, link: usize, core: &Core) -> Vec<TargetStatus> {
    let of_link = watch.targets.iter().enumerate().filter(|(_, target)| target.link == link);
    of_link
        .map(|(place, target)| {
            let (standing, outcome) = core.target(place);
            let standing = match standing {
                Standing::Unknown => "unknown",
                Standing::Holds => "holds",
                Standing::Broken => "broken",
            };
            TargetStatus {
                name: target.name.clone(),
                rung: target.rung.to_string(),
                standing: standing.to_string(),
                outcome: outcome.map(|outcome| outcome.to_string()),
            }
        })
        .collect()
}

/// Writes the status to one visitor.
pub async fn tell(mut visitor: tokio::net::UnixStream, status: &Status) {
    let text = serde_json::to_vec(status).unwrap_or_default();
    // A visitor that does not read must not hold the agent.
    let _ = tokio::time::timeout(Duration::from_secs(1), visitor.write_all(&text)).await;
}

/// Asks the running agent and prints what it says.
///
/// # Errors
/// No agent answers at the socket.
pub fn ask(socket: &Path, json: bool) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: no agent answers: {error}", socket.display()));
    let mut stream = UnixStream::connect(socket).map_err(|error| failed(&error))?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|error| failed(&error))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(|error| failed(&error))?;
    let status: Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    if json { say(&(text + "\n")) } else { say(&table(&status)) }
}

/// Puts a status as the agent says it, maybe of another version, into words.
fn table(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let text_or = |value: &Value, none: &str| value.as_str().unwrap_or(none).to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut out = String::new();
    let mut line = |text: String| out.push_str(&(text + "\n"));
    line(format!(
        "agent {}  boot {}  version {}",
        text_or(&status["agent"], "not enrolled"),
        text(&status["boot"]),
        text(&status["version"])
    ));
    let error = match number(&status["clock"]["uncertainty_ms"]) {
        ms if ms >= u64::from(u32::MAX) => "error unknown".to_string(),
        ms => format!("±{ms} ms"),
    };
    line(format!("clock from {} ({error})", text(&status["clock"]["source"])));
    let report = &status["report"];
    let acknowledged = report["acknowledged_s_ago"].as_u64().map_or("never".to_string(), |s| format!("{s} s ago"));
    let link = report["link"].as_str().map(|l| format!(" over {l}")).unwrap_or_default();
    line(format!("reports to {}{link}, last acknowledged {acknowledged}", text_or(&report["url"], "no collector")));
    if let Some(error) = report["last_error"].as_str() {
        line(format!("  last error: {error}"));
    }
    let spool = |name: &str| number(&status["spool"][name]);
    let lost = match spool("lost") {
        0 => String::new(),
        lost => format!(", lost {lost} batches to a damaged disk"),
    };
    let (thinned, dropped) = (spool("thinned"), spool("dropped"));
    line(format!("spool {} batches, {} bytes; thinned {thinned}, dropped {dropped} samples{lost}", spool("frames"), spool("bytes")));
    if let Some(version) = status["assignment"]["failed"].as_u64() {
        line(format!("assignment {version:016x} was refused: {}", text(&status["assignment"]["reason"])));
    }
    for link in list(&status["links"]) {
        let fault = link["broken_rung"].as_str().map_or("no rung broken".to_string(), |rung| format!("broken: {rung}"));
        line(format!("{} ({}): {fault}", text(&link["name"]), text(&link["network"])));
        if let Some(sim) = link["sim"].as_str() {
            line(format!("  SIM {sim}"));
        }
        let plan = &link["plan"];
        if plan.is_object() {
            let mib = |name: &str| number(&plan[name]) >> 20;
            let (used, limit, own) = (mib("used_bytes"), mib("limit_bytes"), mib("own_bytes"));
            line(format!("  plan {used} of {limit} MiB, own {own} MiB, stage {}", number(&plan["stage"])));
        }
        for target in list(&link["targets"]) {
            let code = text(&target["rung"]).parse::<Rung>().map_or("", Rung::cause_code);
            let (name, standing) = (text(&target["name"]), text(&target["standing"]));
            line(format!("  {code:<3} {name:<24} {standing:<8} {}", text_or(&target["outcome"], "-")));
        }
    }
    out
}
