//! TLS of the agents' port: our own certificate, theirs optional, sessions resumable.

use std::sync::Arc;

use rusta_wire::{AgentId, UnixMs};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateDer;

use crate::identity::{Authority, IdentityError, hash_hex};

/// What a verified certificate says.
#[derive(Debug, Clone)]
pub(super) struct AgentCertificate {
    pub(super) agent: AgentId,
    pub(super) not_after: UnixMs,
    /// SHA-256 of its public key.
    pub(super) key_hash: Arc<str>,
}

/// Makes the configuration of the agents' port.
///
/// # Errors
/// A name that cannot stand in a certificate, or an authority rustls does not accept.
pub fn server_config(authority: &Authority, names: &[String], now: UnixMs) -> Result<Arc<rustls::ServerConfig>, IdentityError> {
    let mut roots = RootCertStore::empty();
    for root in authority.roots() {
        roots.add(root)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        // A device that enrols has no certificate yet.
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let identity = authority.server_identity(names, now)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets keep resumption state at the agent: 65,000 sessions cost us nothing, and a reconnect costs half.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Reads the agent and the end of validity from a certificate our authority signed.
pub(super) fn read_certificate(der: &CertificateDer<'static>) -> Option<AgentCertificate> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    let not_after = UnixMs::from_seconds(certificate.validity().not_after.timestamp());
    let key_hash = hash_hex(&certificate.public_key().subject_public_key.data).into();
    Some(AgentCertificate { agent: name.parse().ok()?, not_after, key_hash })
}
