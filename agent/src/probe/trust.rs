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
use std::sync::{Arc, Mutex};

use rusta_wire::Outcome;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::WallTime;
use super::round::Round;
use super::stream::{Dated, Phases, add};
use super::text::Host;
use crate::crypto::provider;
use crate::packet::certificate::Certificate;
use crate::verify::{Judge, Verdict, Verifier, chosen_authorities, public_authorities, trusting};

/// The authorities a probe trusts.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
}

impl Trust {
    /// Trusts the authorities in a PEM file, or the public ones.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate; a slim build on a machine without a list of public ones.
    pub fn new(ca: Option<&Path>) -> Result<Self, String> {
        let roots = match ca {
            None => public_authorities()?,
            Some(file) => chosen_authorities(file).map_err(|fault| format!("`ca` {}: {fault}", file.display()))?,
        };
        let verifier = trusting(roots).map_err(|error| format!("`ca` holds no usable certificate: {error}"))?;
        Ok(Trust { verifier })
    }

    /// Like [`Trust::new`] for a URL. One that `is_plain` does without where this machine lists no authorities: only a redirect
    /// to an encrypted one could need them, and is a fault of the system then.
    pub fn for_url(is_plain: bool, ca: Option<&Path>) -> Result<Option<Self>, String> {
        match Trust::new(ca) {
            Err(_) if is_plain && ca.is_none() => Ok(None),
            trust => trust.map(Some),
        }
    }
}

/// What a handshake taught about the server's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Time until the first certificate expires, by the best time we know.
    pub left_s: Option<i64>,
    is_clock_fault: bool,
}

/// Judges one handshake and remembers what it saw.
#[derive(Debug)]
struct Witness {
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

fn is_about_time(error: &Error) -> bool {
    use CertificateError as C;
    matches!(error, Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. }))
}

impl Judge for Witness {
    fn judge(&self, end_entity: &[u8], _intermediates: &[CertificateDer<'_>], verify_at: &dyn Fn(i64) -> Verdict) -> Verdict {
        let WallTime { system_s, floor_s, trusted } = self.wall;
        let best_s = system_s.max(floor_s);
        let certificate = Certificate::read(end_entity);
        if let Ok(Certificate { not_after_s, .. }) = certificate {
            self.note(|seen| seen.left_s = Some(not_after_s - best_s));
        }
        let verdict = verify_at(best_s);
        if let (Err(error), Ok(certificate), false) = (&verdict, certificate, trusted) {
            // Some moment that may be the true one makes the chain good, so the clock is to blame.
            let candidate_s = certificate.not_before_s.max(floor_s);
            if is_about_time(error) && candidate_s <= certificate.not_after_s && verify_at(candidate_s).is_ok() {
                self.note(|seen| *seen = Seen { left_s: None, is_clock_fault: true });
            }
        }
        verdict
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
        stream: Dated<'a>,
        trust: &Trust,
        name: &Host,
        phases: &mut Phases,
        seen: &mut Seen,
    ) -> Result<TlsStream<Dated<'a>>, Outcome> {
        let wall = (self.prober.settings.wall)();
        let witness = Witness { wall, seen: Mutex::default() };
        let verifier = Arc::new(Verifier { usual: trust.verifier.clone(), judge: witness });
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|_| Outcome::SystemError)?.dangerous().with_custom_certificate_verifier(verifier.clone());
        let connector = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
        let lap = self.lap();
        let shaken = self.by_deadline(connector.connect(server_name(name)?, stream)).await;
        *seen = verifier.judge.seen.lock().map(|s| *s).unwrap_or_default();
        let shaken = shaken?;
        add(&mut phases.tls, self.took(lap));
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
