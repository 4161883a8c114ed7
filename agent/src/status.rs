//! The local socket: what the running agent says about itself to `rusta-agent status`.
//!
//! One connection, one JSON document, closed. Nothing secret is in it: no key, no token, no address of a person.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rusta_wire::{AgentId, Rung};
use serde::{Deserialize, Serialize};
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
#[derive(Debug, Serialize, Deserialize)]
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
    pub spool: serde_json::Value,
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
#[derive(Debug, Serialize, Deserialize)]
pub struct ClockStatus {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// Where it comes from.
    pub source: String,
    /// Bound of its error.
    pub uncertainty_ms: u32,
}

/// One link.
#[derive(Debug, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Its name.
    pub name: String,
    /// Its network.
    pub network: String,
    /// The lowest broken rung.
    pub broken_rung: Option<String>,
    /// The data plan's use.
    pub plan: Option<serde_json::Value>,
    /// Its targets.
    pub targets: Vec<TargetStatus>,
}

/// One target.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub struct AssignmentStatus {
    /// The one in force; absent: the file's own targets.
    pub in_force: Option<u64>,
    /// The one on trial.
    pub on_trial: Option<u64>,
    /// The one that was rolled back or could not be used.
    pub failed: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How reporting goes.
#[derive(Debug, Serialize, Deserialize)]
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
    let status: Status = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    if json { say(&(text + "\n")) } else { say(&status.table()) }
}

impl Status {
    fn table(&self) -> String {
        let mut out = format!("agent {}  boot {}  version {}\n", self.agent.as_deref().unwrap_or("not enrolled"), self.boot, self.version);
        let error = match self.clock.uncertainty_ms {
            u32::MAX => "error unknown".to_string(),
            ms => format!("±{ms} ms"),
        };
        out.push_str(&format!("clock from {} ({error})\n", self.clock.source));
        let report = &self.report;
        let acknowledged = report.acknowledged_s_ago.map_or("never".to_string(), |s| format!("{s} s ago"));
        let place = report.url.as_deref().unwrap_or("no collector");
        let link = report.link.as_deref().map(|l| format!(" over {l}")).unwrap_or_default();
        out.push_str(&format!("reports to {place}{link}, last acknowledged {acknowledged}\n"));
        if let Some(error) = &report.last_error {
            out.push_str(&format!("  last error: {error}\n"));
        }
        let number = |name: &str| self.spool.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        out.push_str(&format!("spool {} batches, {} bytes", number("frames"), number("bytes")));
        out.push_str(&format!("; thinned {}, dropped {} samples", number("thinned"), number("dropped")));
        match number("lost") {
            0 => out.push('\n'),
            lost => out.push_str(&format!(", lost {lost} batches to a damaged disk\n")),
        }
        if let Some(version) = self.assignment.failed {
            let reason = self.assignment.reason.as_deref().unwrap_or_default();
            out.push_str(&format!("assignment {version:016x} was refused: {reason}\n"));
        }
        for link in &self.links {
            let fault = link.broken_rung.as_deref().map_or("no rung broken".to_string(), |rung| format!("broken: {rung}"));
            out.push_str(&format!("{} ({}): {fault}\n", link.name, link.network));
            if let Some(plan) = &link.plan {
                let mib = |name: &str| plan.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0) >> 20;
                let stage = plan.get("stage").and_then(serde_json::Value::as_u64).unwrap_or(0);
                out.push_str(&format!(
                    "  plan {} of {} MiB, own {} MiB, stage {stage}\n",
                    mib("used_bytes"),
                    mib("limit_bytes"),
                    mib("own_bytes")
                ));
            }
            for target in &link.targets {
                let code = target.rung.parse::<Rung>().map_or("", Rung::cause_code);
                let outcome = target.outcome.as_deref().unwrap_or("-");
                out.push_str(&format!("  {code:<3} {:<24} {:<8} {outcome}\n", target.name, target.standing));
            }
        }
        out
    }
}
