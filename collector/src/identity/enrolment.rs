//! Tokens in, certificates out.

use std::sync::PoisonError;

use rusqlite::{OptionalExtension, Transaction};
use rusta_wire::{AgentId, UnixMs};

use super::authority::SignedKey;
use super::registry::Known;
use super::{Identity, IdentityError, Standing, hash_hex, random};
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};

/// What a device gets.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Enrolled {
    /// Who it is from now on.
    #[serde(serialize_with = "as_text")]
    pub agent: AgentId,
    /// The site it speaks for.
    pub site: String,
    /// Its certificate.
    pub certificate_pem: String,
    /// What it trusts.
    pub ca_pem: String,
}

/// An agent that was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedAgent {
    /// The site it spoke for.
    pub site: String,
    /// Whether it had been revoked before.
    pub already: bool,
}

/// How an agent is revoked.
#[derive(Debug, Clone, Copy)]
pub struct Revocation<'a> {
    /// Who does it.
    pub actor: &'a str,
    /// When.
    pub at: UnixMs,
    /// From when on what it said counts nowhere; `None` to let it stand.
    pub since: Option<UnixMs>,
    /// Why, in their words; may be empty.
    pub reason: &'a str,
}

/// A token as kept.
struct Kept {
    site: String,
    expires_at: UnixMs,
    used_by: Option<String>,
    /// Whether its device may be the second one of the site.
    second: bool,
}

/// Makes a one-time token for a site and returns it; only its hash is kept. With `second` its device may speak although the
/// site has an agent already.
///
/// # Errors
/// What the database says.
pub fn make_token(
    store: &Store,
    site: &str,
    second: bool,
    actor: &str,
    now: UnixMs,
    ttl: std::time::Duration,
) -> Result<String, IdentityError> {
    // No vowels and no 0, 1, l: it is read aloud over a bad telephone line, and must not spell anything.
    const LETTERS: &[u8; 32] = b"23456789bcdfghjkmnpqrstvwxyzBCDF";
    let token: String = random::<26>()?.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    store.write(|tx| {
        tx.execute(
            "INSERT INTO tokens (hash, site_code, created_at, expires_at, second) VALUES (?1, ?2, ?3, ?4, ?5)",
            (hash_hex(token.as_bytes()), site, now.0, (now + ttl).0, second),
        )?;
        let detail = format!("valid for {} s{}", ttl.as_secs(), if second { ", for a second agent" } else { "" });
        audit::record(tx, &Deed { at: now, actor, action: "token.make", subject: site, detail: &detail })?;
        Ok::<_, IdentityError>(())
    })?;
    Ok(token)
}

/// Revokes an agent; a collector that is running notices within a second.
///
/// # Errors
/// [`StoreError::Refused`] for an agent there is not.
pub fn revoke(store: &Store, agent: AgentId, how: Revocation<'_>) -> Result<RevokedAgent, StoreError> {
    let Revocation { actor, at: now, since, reason } = how;
    store.write(|tx| {
        let find = "SELECT site_code, revoked_at IS NOT NULL FROM agents WHERE id = ?1";
        let found =
            tx.query_row(find, [agent.to_string()], |row| Ok(RevokedAgent { site: row.get(0)?, already: row.get(1)? })).optional()?;
        let found = found.ok_or_else(|| StoreError::Refused(format!("there is no agent {agent}; `agents list` shows those there are")))?;
        if !found.already {
            tx.execute("UPDATE agents SET revoked_at = ?2 WHERE id = ?1", (agent.to_string(), now.0))?;
            let detail = if reason.is_empty() { found.site.clone() } else { format!("{}: {reason}", found.site) };
            audit::record(tx, &Deed { at: now, actor, action: "agent.revoke", subject: &agent.to_string(), detail: &detail })?;
        }
        if !reason.is_empty() {
            tx.execute("UPDATE agents SET revoke_reason = ?2 WHERE id = ?1", (agent.to_string(), reason))?;
        }
        if let Some(since) = since {
            // What was taken back stays taken back: a later time does not give it back.
            let sql = "UPDATE agents SET disowned_since = min(coalesce(disowned_since, ?2), ?2) WHERE id = ?1";
            tx.execute(sql, (agent.to_string(), since.0))?;
            let detail = if reason.is_empty() { format!("since {since}") } else { format!("since {since}: {reason}") };
            audit::record(tx, &Deed { at: now, actor, action: "agent.disown", subject: &agent.to_string(), detail: &detail })?;
        }
        Ok(found)
    })
}

/// Lets a second agent of a site speak, and returns the site.
///
/// # Errors
/// [`StoreError::Refused`] for an agent that does not wait.
pub fn approve(store: &Store, agent: AgentId, actor: &str, now: UnixMs) -> Result<String, StoreError> {
    store.write(|tx| {
        let sql = "UPDATE agents SET approved = 1 WHERE id = ?1 AND approved = 0 AND revoked_at IS NULL RETURNING site_code";
        let site: Option<String> = tx.query_row(sql, [agent.to_string()], |row| row.get(0)).optional()?;
        let site = site.ok_or_else(|| StoreError::Refused(format!("agent {agent} does not wait for approval")))?;
        audit::record(tx, &Deed { at: now, actor, action: "agent.approve", subject: &agent.to_string(), detail: &site })?;
        Ok(site)
    })
}

impl Identity {
    /// Gives a device that shows a token an identity. The same token with the same key gives the same identity again
    /// while the token lasts: the first answer may have been lost on the way. A second agent of a site waits for
    /// [`approve`], unless its token was made for one.
    ///
    /// # Errors
    /// [`IdentityError::Token`] and [`IdentityError::Request`]; both are in the audit log.
    pub fn enroll(&self, token: &str, csr_pem: &str, now: UnixMs) -> Result<Enrolled, IdentityError> {
        let fresh = AgentId(u64::from_le_bytes(random::<8>()?));
        let hash = hash_hex(token.as_bytes());
        let attempt = self.store.write(|tx| {
            let kept = find_token(tx, &hash)?.filter(|kept| now < kept.expires_at).ok_or(IdentityError::Token)?;
            let agent = kept.used_by.as_ref().and_then(|id| id.parse().ok()).unwrap_or(fresh);
            let signed = self.authority().sign(csr_pem, agent, now, self.validity)?;
            match &kept.used_by {
                Some(_) if !has_key(tx, agent, &signed.key_hash)? => return Err(IdentityError::Token),
                // What it may do was decided at the first time.
                Some(_) => return Ok((self.enrolled(agent, kept.site, signed), None)),
                None => {}
            }
            let is_approved = kept.second || !has_agent(tx, &kept.site)?;
            let known = Known {
                site: kept.site.as_str().into(),
                is_revoked: false,
                is_approved,
                key_hash: signed.key_hash.as_str().into(),
                next_key_hash: None,
            };
            admit(tx, agent, &known, &signed, &hash, now)?;
            Ok((self.enrolled(agent, kept.site, signed), Some(known)))
        });
        match attempt {
            Ok((enrolled, known)) => {
                if let Some(known) = known {
                    self.registry.set(enrolled.agent, known);
                }
                Ok(enrolled)
            }
            Err(error) => {
                self.record_refusal(&hash, &error, now)?;
                Err(error)
            }
        }
    }

    /// Gives an agent that spoke over mTLS its next certificate, for the key in the request. Another key than the present one
    /// holds from its first use on, and the present one until then.
    ///
    /// # Errors
    /// [`IdentityError::NotAllowed`] for one that may not speak, [`IdentityError::Request`].
    pub fn renew(&self, agent: AgentId, csr_pem: &str, now: UnixMs) -> Result<Enrolled, IdentityError> {
        let Standing::Speaks(site) = self.registry.standing(agent) else { return Err(IdentityError::NotAllowed(agent.to_string())) };
        let signed = self.authority().sign(csr_pem, agent, now, self.validity)?;
        self.store.write(|tx| {
            let update = "UPDATE agents SET next_key_hash = iif(key_known AND key_hash = ?2, NULL, ?2), renewed_at = ?3, not_after = ?4
                          WHERE id = ?1 AND revoked_at IS NULL";
            let renewed = tx.execute(update, (agent.to_string(), &signed.key_hash, now.0, signed.not_after.0))?;
            if renewed == 0 {
                return Err(IdentityError::NotAllowed(agent.to_string()));
            }
            let actor = format!("agent:{agent}");
            audit::record(tx, &Deed { at: now, actor: &actor, action: "agent.renew", subject: &agent.to_string(), detail: &site })?;
            Ok(())
        })?;
        self.registry.given(agent, &signed.key_hash);
        Ok(self.enrolled(agent, site.to_string(), signed))
    }

    fn record_refusal(&self, hash: &str, error: &IdentityError, now: UnixMs) -> Result<(), StoreError> {
        // The hash names a token to whoever has it and tells nothing to anybody else. One that nobody made has no name.
        let is_ours = self.store.read(|tx| find_token(tx, hash))?.is_some();
        let subject = if is_ours { format!("token:{}", hash.get(..12).unwrap_or(hash)) } else { "token".to_owned() };
        let attempts = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).count(&subject, now);
        let Some(attempts) = attempts else { return Ok(()) };
        let detail = if attempts == 1 { error.to_string() } else { format!("{error}; {attempts} attempts") };
        self.store.write(|tx| {
            audit::record(tx, &Deed { at: now, actor: &subject, action: "agent.enroll.refused", subject: &subject, detail: &detail })
        })
    }

    fn enrolled(&self, agent: AgentId, site: String, signed: SignedKey) -> Enrolled {
        Enrolled { agent, site, certificate_pem: signed.certificate_pem, ca_pem: self.authority().bundle_pem() }
    }
}

fn find_token(tx: &Transaction<'_>, hash: &str) -> Result<Option<Kept>, StoreError> {
    let find = "SELECT site_code, expires_at, used_by, second FROM tokens WHERE hash = ?1";
    let kept = |row: &rusqlite::Row<'_>| {
        Ok(Kept { site: row.get(0)?, expires_at: UnixMs(row.get(1)?), used_by: row.get(2)?, second: row.get(3)? })
    };
    Ok(tx.prepare_cached(find)?.query_row([hash], kept).optional()?)
}

fn has_key(tx: &Transaction<'_>, agent: AgentId, key_hash: &str) -> Result<bool, StoreError> {
    let find = "SELECT 1 FROM agents WHERE id = ?1 AND ?2 IN (key_hash, next_key_hash) AND revoked_at IS NULL";
    Ok(tx.prepare_cached(find)?.exists((agent.to_string(), key_hash))?)
}

/// Tells whether a site has an agent that may speak.
fn has_agent(tx: &Transaction<'_>, site: &str) -> Result<bool, StoreError> {
    let find = "SELECT 1 FROM agents WHERE site_code = ?1 AND revoked_at IS NULL AND approved = 1";
    Ok(tx.prepare_cached(find)?.exists([site])?)
}

fn admit(tx: &Transaction<'_>, agent: AgentId, known: &Known, signed: &SignedKey, token: &str, now: UnixMs) -> Result<(), StoreError> {
    let (id, site) = (agent.to_string(), &*known.site);
    tx.execute(
        "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after, approved) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (&id, site, &signed.key_hash, now.0, signed.not_after.0, known.is_approved),
    )?;
    tx.execute("UPDATE tokens SET used_at = ?2, used_by = ?3 WHERE hash = ?1", (token, now.0, &id))?;
    let actor = format!("token:{}", token.get(..12).unwrap_or(token));
    let waits = format!("{site}, waits for approval");
    let detail = if known.is_approved { site } else { &waits };
    audit::record(tx, &Deed { at: now, actor: &actor, action: "agent.enroll", subject: &id, detail })
}

fn as_text<S: serde::Serializer>(agent: &AgentId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(agent)
}
