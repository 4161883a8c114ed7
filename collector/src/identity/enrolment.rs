//! Tokens in, certificates out.

use rusqlite::{OptionalExtension, Transaction};
use rusta_wire::{AgentId, UnixMs};

use super::authority::SignedKey;
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

/// A token as kept.
struct Kept {
    site: String,
    expires_at: UnixMs,
    used_by: Option<String>,
}

/// Makes a one-time token for a site and returns it; only its hash is kept.
///
/// # Errors
/// What the database says.
pub fn make_token(store: &Store, site: &str, now: UnixMs, ttl: std::time::Duration) -> Result<String, IdentityError> {
    // No vowels and no 0, 1, l: it is read aloud over a bad telephone line, and must not spell anything.
    const LETTERS: &[u8; 32] = b"23456789bcdfghjkmnpqrstvwxyzBCDF";
    let token: String = random::<26>()?.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    store.write(|tx| {
        tx.execute(
            "INSERT INTO tokens (hash, site_code, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
            (hash_hex(token.as_bytes()), site, now.0, (now + ttl).0),
        )?;
        let detail = format!("valid for {} s", ttl.as_secs());
        audit::record(tx, &Deed { at: now, actor: "cli", action: "token.make", subject: site, detail: &detail })?;
        Ok::<_, IdentityError>(())
    })?;
    Ok(token)
}

/// Revokes an agent; a collector that is running notices within a second.
///
/// # Errors
/// [`StoreError::Refused`] for an agent there is not.
pub fn revoke(store: &Store, agent: AgentId, actor: &str, now: UnixMs) -> Result<RevokedAgent, StoreError> {
    store.write(|tx| {
        let find = "SELECT site_code, revoked_at IS NOT NULL FROM agents WHERE id = ?1";
        let found =
            tx.query_row(find, [agent.to_string()], |row| Ok(RevokedAgent { site: row.get(0)?, already: row.get(1)? })).optional()?;
        let found = found.ok_or_else(|| StoreError::Refused(format!("there is no agent {agent}; `agents list` shows those there are")))?;
        if !found.already {
            tx.execute("UPDATE agents SET revoked_at = ?2 WHERE id = ?1", (agent.to_string(), now.0))?;
            audit::record(tx, &Deed { at: now, actor, action: "agent.revoke", subject: &agent.to_string(), detail: &found.site })?;
        }
        Ok(found)
    })
}

impl Identity {
    /// Gives a device that shows a token an identity. The same token with the same key gives the same identity again
    /// while the token lasts: the first answer may have been lost on the way.
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
                Some(_) => {}
                None => admit(tx, agent, &kept.site, &signed, &hash, now)?,
            }
            Ok(self.enrolled(agent, kept.site, signed))
        });
        match &attempt {
            Ok(enrolled) => self.registry.set(enrolled.agent, Standing::Speaks(enrolled.site.as_str().into())),
            Err(error) => self.record_refusal(&hash, error, now)?,
        }
        attempt
    }

    /// Gives an agent that spoke over mTLS its next certificate, for the key in the request.
    ///
    /// # Errors
    /// [`IdentityError::NotAllowed`] for one that may not speak, [`IdentityError::Request`].
    pub fn renew(&self, agent: AgentId, csr_pem: &str, now: UnixMs) -> Result<Enrolled, IdentityError> {
        let Standing::Speaks(site) = self.registry.standing(agent) else { return Err(IdentityError::NotAllowed(agent.to_string())) };
        let signed = self.authority().sign(csr_pem, agent, now, self.validity)?;
        self.store.write(|tx| {
            let update = "UPDATE agents SET key_hash = ?2, renewed_at = ?3, not_after = ?4 WHERE id = ?1 AND revoked_at IS NULL";
            let renewed = tx.execute(update, (agent.to_string(), &signed.key_hash, now.0, signed.not_after.0))?;
            if renewed == 0 {
                return Err(IdentityError::NotAllowed(agent.to_string()));
            }
            let actor = format!("agent:{agent}");
            audit::record(tx, &Deed { at: now, actor: &actor, action: "agent.renew", subject: &agent.to_string(), detail: &site })?;
            Ok(())
        })?;
        Ok(self.enrolled(agent, site.to_string(), signed))
    }

    /// Puts an attempt to speak for somebody else, or in spite of revocation, into the audit log.
    ///
    /// # Errors
    /// What the database says.
    pub fn record_misuse(&self, agent: AgentId, action: &str, detail: &str, now: UnixMs) -> Result<(), StoreError> {
        let actor = format!("agent:{agent}");
        self.store.write(|tx| audit::record(tx, &Deed { at: now, actor: &actor, action, subject: &agent.to_string(), detail }))
    }

    fn record_refusal(&self, hash: &str, error: &IdentityError, now: UnixMs) -> Result<(), StoreError> {
        // The hash names a token to whoever has it and tells nothing to anybody else.
        let subject = format!("token:{}", hash.get(..12).unwrap_or(hash));
        let detail = error.to_string();
        self.store.write(|tx| {
            audit::record(tx, &Deed { at: now, actor: &subject, action: "agent.enroll.refused", subject: &subject, detail: &detail })
        })
    }

    fn enrolled(&self, agent: AgentId, site: String, signed: SignedKey) -> Enrolled {
        Enrolled { agent, site, certificate_pem: signed.certificate_pem, ca_pem: self.authority().bundle_pem() }
    }
}

fn find_token(tx: &Transaction<'_>, hash: &str) -> Result<Option<Kept>, StoreError> {
    let find = "SELECT site_code, expires_at, used_by FROM tokens WHERE hash = ?1";
    let kept = |row: &rusqlite::Row<'_>| Ok(Kept { site: row.get(0)?, expires_at: UnixMs(row.get(1)?), used_by: row.get(2)? });
    Ok(tx.prepare_cached(find)?.query_row([hash], kept).optional()?)
}

fn has_key(tx: &Transaction<'_>, agent: AgentId, key_hash: &str) -> Result<bool, StoreError> {
    let find = "SELECT 1 FROM agents WHERE id = ?1 AND key_hash = ?2 AND revoked_at IS NULL";
    Ok(tx.prepare_cached(find)?.exists((agent.to_string(), key_hash))?)
}

fn admit(tx: &Transaction<'_>, agent: AgentId, site: &str, signed: &SignedKey, token: &str, now: UnixMs) -> Result<(), StoreError> {
    let id = agent.to_string();
    tx.execute(
        "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, ?2, ?3, ?4, ?5)",
        (&id, site, &signed.key_hash, now.0, signed.not_after.0),
    )?;
    tx.execute("UPDATE tokens SET used_at = ?2, used_by = ?3 WHERE hash = ?1", (token, now.0, &id))?;
    let actor = format!("token:{}", token.get(..12).unwrap_or(token));
    audit::record(tx, &Deed { at: now, actor: &actor, action: "agent.enroll", subject: &id, detail: site })
}

fn as_text<S: serde::Serializer>(agent: &AgentId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(agent)
}
