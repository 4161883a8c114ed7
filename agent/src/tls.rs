//! TLS towards the collector, also on a router that believes it is 1970.
//!
//! Certificates are judged at the best time known, never at a raw system clock. Without a clock only a lower bound of the
//! time is known; a certificate that begins later than the bound is then no proof of anything, so the check is made at its
//! beginning. One that ended before the bound is over for certain. The authority, the name and the signatures are checked
//! as always: a wrong authority is refused whatever the clock says.

use std::sync::Arc;
use std::time::Duration;

use rusta_wire::UnixMs;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::clock::Clock;
use crate::identity::Identity;
use crate::probe::WallTime;

/// Sessions kept for resumption: one for each collector URL is enough.
const SESSIONS: usize = 4;

/// Makes the TLS settings of the uplink: HTTP/2, the agent's certificate, the collector's own authority.
///
/// # Errors
/// The identity's key does not fit its certificate, or no authority can be used.
pub fn uplink_config(identity: &Identity, clock: Arc<Clock>) -> Result<ClientConfig, Error> {
    let config = client_config(identity.authorities.clone(), clock)?;
    let mut config = config.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?;
    finish(&mut config);
    Ok(config)
}

/// Makes the TLS settings of a first enrolment, without a client certificate. Without `authorities` the public ones count.
///
/// # Errors
/// No authority can be used.
pub fn enrolment_config(authorities: Vec<CertificateDer<'static>>, clock: Arc<Clock>) -> Result<ClientConfig, Error> {
    let mut config = client_config(authorities, clock)?.with_no_client_auth();
    finish(&mut config);
    Ok(config)
}

fn finish(config: &mut ClientConfig) {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
}

fn client_config(
    authorities: Vec<CertificateDer<'static>>,
    clock: Arc<Clock>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, Error> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    if authorities.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for authority in authorities {
        roots.add(authority)?;
    }
    let verifier = AtBestTime::new(roots, clock, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

/// The usual verifier, told another time.
#[derive(Debug)]
struct AtBestTime {
    usual: Arc<WebPkiServerVerifier>,
    clock: Arc<Clock>,
}

impl AtBestTime {
    fn new(roots: RootCertStore, clock: Arc<Clock>, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(format!("no usable authority: {error}")))?;
        Ok(AtBestTime { usual, clock })
    }
}

impl ServerCertVerifier for AtBestTime {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _system_clock: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let begins = std::iter::once(end_entity).chain(intermediates).filter_map(|c| validity(c)).map(|(begin, _)| begin).max();
        let at = judging_time(self.clock.wall(), begins);
        let verified = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)?;
        if let Some((_, end)) = validity(end_entity) {
            self.clock.limit(UnixMs::from_seconds(end));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Chooses the time certificates are judged at: a trusted clock's; otherwise the latest of what has certainly passed, the
/// system clock, and the beginning of the certificates shown.
fn judging_time(wall: WallTime, begins: Option<i64>) -> UnixTime {
    let at = if wall.trusted { wall.system_s } else { wall.system_s.max(wall.floor_s).max(begins.unwrap_or(0)) };
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)))
}

/// Reads a certificate's validity in seconds since 1970.
fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some((parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp()))
}

/// Returns a number nobody can foresee, for spreads and backoff.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    // A generator that fails leaves zeros: a spread of nothing, which is legal.
    let _ = ring::default_provider().secure_random.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: i64 = 1_790_000_000;

    fn wall(system_s: i64, floor_s: i64, trusted: bool) -> WallTime {
        WallTime { system_s, floor_s, trusted }
    }

    fn judged(wall: WallTime) -> i64 {
        i64::try_from(judging_time(wall, Some(BEGIN)).as_secs()).unwrap()
    }

    #[test]
    fn a_1970_clock_judges_at_the_certificates_beginning() {
        assert_eq!(judged(wall(40, BEGIN - 1_000, false)), BEGIN);
    }

    #[test]
    fn what_has_certainly_passed_counts() {
        assert_eq!(judged(wall(40, BEGIN + 1_000, false)), BEGIN + 1_000);
        assert_eq!(judged(wall(BEGIN + 2_000, BEGIN + 1_000, false)), BEGIN + 2_000);
    }

    #[test]
    fn a_trusted_clock_is_followed_to_the_second() {
        assert_eq!(judged(wall(BEGIN - 5, 0, true)), BEGIN - 5);
    }
}
