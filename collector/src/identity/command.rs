//! `agents`: tokens, the list of agents, revocation, and the rotation of the authority.

use std::path::Path;

use clap::Subcommand;
use rusta_wire::{AgentId, UnixMs};
use serde::Serialize;

use super::authority::Authority;
use super::enrolment::{Revocation, approve, revoke};
use super::invitations::{self, command::TokensArgs, command::invite};
use crate::cli::{Failure, Place};
use crate::clock;
use crate::config::parse_duration;
use crate::inventory::{nearest_few, versions};
use crate::persian::Moment;
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};
use crate::terminal::say;

/// What to do with agents.
#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// Make an invitation with which one device can enrol for a site: the word for `rusta-agent enroll`. Its token is shown once
    /// and kept only as a hash.
    Token {
        /// The site the device will speak for.
        #[arg(long, value_name = "CODE")]
        site: String,
        /// How long the token can be used: 30m, 24h, 7d.
        #[arg(long, default_value = "24h", value_parser = parse_duration)]
        ttl: std::time::Duration,
        /// The device may speak beside the agent the site has. Without this a second agent waits for `agents approve`.
        #[arg(long)]
        second: bool,
        /// Print the token alone, for `rusta-agent enroll --token`.
        #[arg(long, conflicts_with = "json")]
        bare: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make invitations for many sites, as a list or as a sheet of QR codes to print.
    Tokens(TokensArgs),
    /// List every agent that ever enrolled.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a second agent of a site speak.
    Approve {
        /// The agent's id, sixteen hexadecimal digits.
        id: AgentId,
    },
    /// Refuse an agent from now on. A running collector notices within a second.
    ///
    /// With --since, what the collector received from it from that time on is taken out of live state, history, figures and
    /// charts; days whose raw data is gone stay as they are. A published report gets another revision.
    Revoke {
        /// The agent's id, sixteen hexadecimal digits.
        id: AgentId,
        /// What it said from then on counts nowhere: 2026-11-21T10:00:00Z, 2026-11-21 or 1405/08/30 (midnight in Tehran), or how
        /// long ago: 6h, 3d.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<UnixMs>,
        /// Why: it stands in the audit log, and a report that changes by it says so.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Make a new authority that signs from now on. Agents that know only the old one go on working and learn the new
    /// one when they renew.
    RotateAuthority,
    /// Stop trusting older authorities. Refuses while an agent still has a certificate from one.
    RetireAuthority,
}

#[derive(Serialize)]
struct Listed {
    agent: String,
    site: String,
    #[serde(serialize_with = "as_utc")]
    enrolled_at: UnixMs,
    #[serde(serialize_with = "as_utc")]
    certificate_until: UnixMs,
    #[serde(serialize_with = "as_utc_if_any")]
    revoked_at: Option<UnixMs>,
    /// Nothing it said from then on counts.
    #[serde(serialize_with = "as_utc_if_any")]
    disowned_since: Option<UnixMs>,
    /// Whether it waits for `agents approve`.
    waits: bool,
}

/// Runs one of the commands.
///
/// # Errors
/// What the database or the authority's files say.
pub fn run(place: &Place, command: &AgentsCommand) -> Result<(), Failure> {
    let store = place.store()?;
    let now = clock::now();
    match command {
        AgentsCommand::Token { site, ttl, second, bare, json } => {
            know_site(&store, site, now)?;
            let made = invite(place, &store, site, *second, (now, *ttl))?;
            if *json { print_json(&made)? } else { say!("{}", if *bare { made.token } else { made.invitation }) }
        }
        AgentsCommand::Tokens(args) => invitations::command::run(place, &store, args, now)?,
        AgentsCommand::List { json } => list(&store, *json)?,
        AgentsCommand::Approve { id } => {
            let site = approve(&store, *id, "cli", now)?;
            say!("agent {id} speaks for site {site} from now on");
        }
        AgentsCommand::Revoke { id, since, reason } => {
            let revoked = revoke(&store, *id, Revocation { actor: "cli", at: now, since: *since, reason: reason.trim() })?;
            say!("agent {id} of site {} {}", revoked.site, if revoked.already { "was revoked before" } else { "is revoked" });
            if let Some(since) = since {
                say!("what it said since {} counts nowhere; the collector builds the days again", Moment::at(*since).in_tehran());
            }
        }
        AgentsCommand::RotateAuthority => {
            let data_dir = place.config()?.data_dir;
            let number = Authority::rotate(&data_dir, now)?;
            let made = Deed { at: now, actor: "cli", action: "authority.rotate", subject: &number.to_string(), detail: "" };
            store.write(|tx| audit::record(tx, &made))?;
            say!("authority {number} signs from now on");
        }
        AgentsCommand::RetireAuthority => retire(&store, &place.config()?.data_dir, now)?,
    }
    Ok(())
}

/// Refuses a site that no registry of today or later has: its agent would be heard and shown nowhere. Before the first import
/// every site is still to come.
fn know_site(store: &Store, site: &str, now: UnixMs) -> Result<(), Failure> {
    let codes = versions::site_codes(store, now)?;
    if codes.is_empty() || codes.contains(site) {
        return Ok(());
    }
    let near = nearest_few(site, codes.iter().map(String::as_str));
    let meant = match near.as_slice() {
        [] => "`inventory export` writes the list of sites".to_owned(),
        near => format!("did you mean `{}`?", near.join("`, `")),
    };
    Err(Failure::Usage(format!("there is no site `{site}` in the registry; {meant}")))
}

fn retire(store: &Store, data_dir: &Path, now: UnixMs) -> Result<(), Failure> {
    let waiting: i64 = store.read(|tx| {
        let sql = "SELECT count(*) FROM agents WHERE revoked_at IS NULL AND not_after > ?1 AND coalesce(renewed_at, enrolled_at) <
                   coalesce((SELECT max(at) FROM audit WHERE action = 'authority.rotate'), 0)";
        Ok::<_, StoreError>(tx.query_row(sql, [now.0], |row| row.get(0))?)
    })?;
    if waiting > 0 {
        return Err(Failure::Failed(anyhow::anyhow!("{waiting} agents have not renewed since the rotation and would be locked out")));
    }
    let retired = Authority::retire_old(data_dir)?;
    let deed = Deed { at: now, actor: "cli", action: "authority.retire", subject: &retired.to_string(), detail: "" };
    store.write(|tx| audit::record(tx, &deed))?;
    say!("{retired} older authorities are no longer trusted");
    Ok(())
}

fn list(store: &Store, json: bool) -> Result<(), Failure> {
    let listed = store.read(|tx| {
        let mut statement =
            tx.prepare("SELECT id, site_code, enrolled_at, not_after, revoked_at, disowned_since, approved FROM agents ORDER BY site_code, enrolled_at")?;
        let rows = statement.query_map([], |row| {
            Ok(Listed {
                agent: row.get(0)?,
                site: row.get(1)?,
                enrolled_at: UnixMs(row.get(2)?),
                certificate_until: UnixMs(row.get(3)?),
                revoked_at: row.get::<_, Option<i64>>(4)?.map(UnixMs),
                disowned_since: row.get::<_, Option<i64>>(5)?.map(UnixMs),
                waits: !row.get::<_, bool>(6)?,
            })
        })?;
        Ok::<_, StoreError>(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    if json {
        return print_json(&listed);
    }
    say!("{:16}  {:20}  {:25}  {:25}  revoked", "agent", "site", "enrolled", "certificate until");
    for agent in listed {
        let waits = if agent.waits { "waits for approval" } else { "" };
        let revoked = agent.revoked_at.map_or_else(|| waits.to_owned(), |at| Moment::at(at).in_tehran());
        let (enrolled, until) = (Moment::at(agent.enrolled_at).in_tehran(), Moment::at(agent.certificate_until).in_tehran());
        say!("{:16}  {:20}  {enrolled:25}  {until:25}  {revoked}", agent.agent, agent.site);
    }
    Ok(())
}

/// Reads a moment, or how long ago one was.
fn moment(text: &str) -> Result<UnixMs, String> {
    match parse_duration(text) {
        Ok(ago) => Ok(clock::now() - ago),
        Err(_) => crate::inventory::dates::moment(text),
    }
}

fn print_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn as_utc<S: serde::Serializer>(at: &UnixMs, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&date_text(*at))
}

#[allow(clippy::ref_option)] // As serde calls it.
fn as_utc_if_any<S: serde::Serializer>(at: &Option<UnixMs>, out: S) -> Result<S::Ok, S::Error> {
    at.map(date_text).serialize(out)
}

/// Writes a time as RFC 3339 in UTC, whole seconds.
pub(super) fn date_text(at: UnixMs) -> String {
    jiff::Timestamp::from_second(at.seconds()).map_or_else(|_| at.to_string(), |time| time.to_string())
}
