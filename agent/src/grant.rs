//! A certificate asked for and granted: what a renewal says, and how the collector's answer to it or to an enrolment is taken in.
//!
//! Bodies only: the connection they travel on belongs to who asks.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::flash::Flash;
use crate::identity::{self, Identity};
use crate::key::DeviceKey;
use crate::packet::http2::Status;

#[derive(Serialize)]
struct RenewalRequest<'a> {
    csr_pem: &'a str,
}

/// What the collector grants.
#[derive(Deserialize)]
pub struct Granted {
    /// The site this device may speak for; only told at the first time.
    #[serde(default)]
    pub site: String,
    /// The certificate and what links it to the authority.
    pub certificate_pem: String,
    /// The authority; more than one while it is being changed.
    pub ca_pem: String,
}

/// Makes the body of a renewal with the present key.
///
/// # Errors
/// The key cannot be read.
pub fn renewal_request(dir: &Path) -> Result<Vec<u8>, String> {
    let pem = identity::key_pem(dir).map_err(|error| error.to_string())?;
    let csr_pem = DeviceKey::from_pem(&pem)?.request_pem()?;
    serde_json::to_vec(&RenewalRequest { csr_pem: &csr_pem }).map_err(|error| error.to_string())
}

/// Takes in the answer to a renewal and returns the identity it brought, once the flash has it.
///
/// # Errors
/// The collector refused, or what it sent cannot be used or was not written; the old identity is then still in place.
pub async fn take_renewal(dir: &Path, flash: &Flash, status: Status, body: &[u8]) -> Result<Identity, String> {
    let granted = granted(status, body)?;
    let certificate = identity::parse_certificates(granted.certificate_pem.as_bytes());
    let place = dir.to_path_buf();
    flash.queue(move || identity::store(&place, None, &granted.certificate_pem, &granted.ca_pem).map_err(io::Error::other));
    flash.settled().await;
    let identity = Identity::load(dir).map_err(|error| error.to_string())?;
    if certificate.as_ref() == Some(&identity.chain) { Ok(identity) } else { Err("it was not written".into()) }
}

/// Reads the collector's answer to a request for a certificate.
///
/// # Errors
/// What the collector said against it, or that it sent no certificate.
pub fn granted(status: Status, body: &[u8]) -> Result<Granted, String> {
    if status != Status::OK && status != Status::CREATED {
        let said = serde_json::from_slice::<serde_json::Value>(body).ok();
        let detail = said.as_ref().and_then(|v| ["detail", "error", "reason", "title"].iter().find_map(|k| v.get(k)?.as_str()));
        return Err(format!("the collector refused: {status}{}", detail.map(|d| format!(", {d}")).unwrap_or_default()));
    }
    let granted: Granted = serde_json::from_slice(body).map_err(|error| format!("the collector's answer cannot be read: {error}"))?;
    let readable = |pem: &str| identity::parse_certificates(pem.as_bytes()).is_some();
    if readable(&granted.certificate_pem) && readable(&granted.ca_pem) {
        Ok(granted)
    } else {
        Err("the collector sent no certificate".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_rubbish_are_told_and_change_nothing() {
        let refused = granted(Status::FORBIDDEN, br#"{"detail":"token is used"}"#).map(|_| ()).unwrap_err();
        assert!(refused.contains("token is used"), "{refused}");
        assert!(granted(Status::OK, b"{}").is_err());
        assert!(granted(Status::OK, br#"{"certificate_pem":"x","ca_pem":"y"}"#).is_err());
    }
}
