//! Judges a server's certificate when our own clock may be wrong.
//!
//! Village routers start in 1970. A certificate outside its validity says one of two things, and they send different
//! people out: the owner let it expire, or this machine does not know the time. The rule uses two facts about the clock:
//! a floor that has certainly passed, and whether the system clock is trusted.
//!
//! ```text
//!                        floor            system
//! ----------[ valid ]------|----------------|------->   expired before the floor: the certificate's fault
//! -------------------------|---[ valid ]----|------->   expired since: its fault if the clock is trusted, else unknown
//! -------------------------|----------------|--[ valid ]   not yet valid: likewise
//! ```

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rusta_wire::Outcome;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::WallTime;
use super::round::Round;
use super::stream::{Counted, Phases, add};
use super::text::Host;
use crate::packet::certificate::{Validity, validity};

/// The authorities a probe trusts.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

impl Trust {
    /// Trusts the authorities in a PEM file, or the public ones.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate.
    pub fn new(ca: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => {
                let unreadable = |e: &dyn std::fmt::Display| format!("`ca` {}: {e}", file.display());
                for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unreadable(&e))? {
                    roots.add(certificate.map_err(|e| unreadable(&e))?).map_err(|e| unreadable(&e))?;
                }
            }
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build();
        Ok(Trust { verifier: verifier.map_err(|e| format!("`ca` holds no usable certificate: {e}"))? })
    }
}

/// What a handshake taught about the server's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Time until the first certificate expires, by the best time we know.
    pub left_s: Option<i64>,
    is_clock_fault: bool,
}

/// Verifies one handshake and remembers what it saw.
#[derive(Debug)]
struct Witness {
    verifier: Arc<WebPkiServerVerifier>,
    wall: WallTime,
    seen: Mutex<Seen>,
}

impl Witness {
    fn note(&self, change: impl FnOnce(&mut Seen)) {
        if let Ok(mut seen) = self.seen.lock() {
            change(&mut seen);
        }
    }
}

fn unix(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds.max(0).unsigned_abs()))
}

fn is_about_time(error: &Error) -> bool {
    use CertificateError as C;
    matches!(error, Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. }))
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let WallTime { system_s, floor_s, trusted } = self.wall;
        let best_s = system_s.max(floor_s);
        let verify_at = |at_s: i64| self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, unix(at_s));
        let valid = validity(end_entity);
        if let Ok(Validity { not_after_s, .. }) = valid {
            self.note(|seen| seen.left_s = Some(not_after_s - best_s));
        }
        let verdict = verify_at(best_s);
        if let (Err(error), Ok(valid), false) = (&verdict, valid, trusted) {
            // Some moment that may be the true one makes the chain good, so the clock is to blame.
            let candidate_s = valid.not_before_s.max(floor_s);
            if is_about_time(error) && candidate_s <= valid.not_after_s && verify_at(candidate_s).is_ok() {
                self.note(|seen| *seen = Seen { left_s: None, is_clock_fault: true });
            }
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The name a certificate must carry.
fn server_name(host: &Host) -> Result<ServerName<'static>, Outcome> {
    match host {
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|_| Outcome::TlsFailed),
    }
}

impl Round<'_> {
    /// Runs a TLS handshake over `stream`; `seen` learns about the certificate also when the handshake fails.
    pub async fn handshake<'a>(
        &self,
        stream: Counted<'a>,
        trust: &Trust,
        name: &Host,
        phases: &mut Phases,
        seen: &mut Seen,
    ) -> Result<TlsStream<Counted<'a>>, Outcome> {
        let wall = (self.prober.settings.wall)();
        let witness = Arc::new(Witness { verifier: trust.verifier.clone(), wall, seen: Mutex::default() });
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|_| Outcome::SystemError)?.dangerous().with_custom_certificate_verifier(witness.clone());
        let connector = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
        let started = Instant::now();
        let shaken = self.by_deadline(connector.connect(server_name(name)?, stream)).await;
        *seen = witness.seen.lock().map(|s| *s).unwrap_or_default();
        let shaken = shaken?;
        add(&mut phases.tls, started);
        shaken.map_err(|error| if seen.is_clock_fault { Outcome::ClockFault } else { self.tls_outcome(&error) })
    }

    fn tls_outcome(&self, error: &io::Error) -> Outcome {
        match error.kind() {
            // rustls reports what it did not like as invalid data; a peer that hangs up in a handshake did not like us.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Outcome::TlsFailed,
            _ => self.way.outcome_of(error),
        }
    }
}
