//! TLS towards the collector, also on a router that believes it is 1970.
//!
//! Certificates are judged at the best time known, never at a raw system clock. Without a clock only a lower bound of the
//! time is known; a certificate that begins later than the bound is then no proof of anything, so the check is made at its
//! beginning. One that ended before the bound is over for certain. The authority, the name and the signatures are checked
//! as always: a wrong authority is refused whatever the clock says.

use std::sync::Arc;

use rusta_wire::UnixMs;
use rustls::client::Resumption;
use rustls::{ClientConfig, Error, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::clock::Clock;
use crate::crypto::provider;
use crate::identity::Identity;
use crate::packet::certificate::Certificate;
use crate::probe::WallTime;
use crate::verify::{Anybody, Judge, Verdict, Verifier, public_authorities, trusting};

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

/// Makes the TLS settings with which a collector's authority is asked for: whoever answers. What it says is believed only when
/// it has the fingerprint that was asked for, and nothing is told it.
///
/// # Errors
/// rustls has no protocol for the provider.
pub fn unproved_config() -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
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
    let roots = if authorities.is_empty() {
        public_authorities().map_err(Error::General)?
    } else {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority)?;
        }
        Arc::new(roots)
    };
    let usual = trusting(roots).map_err(|error| Error::General(format!("no usable authority: {error}")))?;
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { usual, judge: AtBestTime { clock } })))
}

/// Judges at the best time known.
#[derive(Debug)]
struct AtBestTime {
    clock: Arc<Clock>,
}

impl Judge for AtBestTime {
    fn judge(&self, end_entity: &[u8], intermediates: &[CertificateDer<'_>], verify_at: &dyn Fn(i64) -> Verdict) -> Verdict {
        let shown = std::iter::once(end_entity).chain(intermediates.iter().map(|c| &**c));
        let shown: Vec<_> = shown.filter_map(|der| Certificate::read(der).ok()).collect();
        let begins = shown.iter().map(|c| c.not_before_s).max();
        let ends = shown.iter().map(|c| c.not_after_s).min();
        let verified = verify_at(judging_time(self.clock.wall(), begins, ends))?;
        if let Ok(certificate) = Certificate::read(end_entity) {
            self.clock.limit(UnixMs::from_seconds(certificate.not_after_s));
        }
        Ok(verified)
    }
}

/// Chooses the time certificates are judged at: a trusted clock's; otherwise the latest of what has certainly passed, the
/// system clock, and the beginning of the certificates shown. A system clock that nobody keeps right and that stands behind
/// their end may have run ahead: then only what has certainly passed counts, or a wrong clock would keep away the collector
/// that can put it right.
fn judging_time(wall: WallTime, begins: Option<i64>, ends: Option<i64>) -> i64 {
    if wall.trusted {
        return wall.system_s;
    }
    let passed = wall.floor_s.max(begins.unwrap_or(0));
    if ends.is_some_and(|ends| wall.system_s > ends) { passed } else { wall.system_s.max(passed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: i64 = 1_790_000_000;

    fn wall(system_s: i64, floor_s: i64, trusted: bool) -> WallTime {
        WallTime { system_s, floor_s, trusted }
    }

    fn judged(wall: WallTime) -> i64 {
        judging_time(wall, Some(BEGIN), Some(BEGIN + 1_000_000))
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
    fn a_clock_ten_years_ahead_keeps_nobody_away_and_a_certificate_that_has_certainly_ended_does() {
        assert_eq!(judged(wall(BEGIN + 315_000_000, BEGIN + 1_000, false)), BEGIN + 1_000);
        assert_eq!(judged(wall(BEGIN + 315_000_000, BEGIN + 2_000_000, false)), BEGIN + 2_000_000);
        assert_eq!(judged(wall(BEGIN + 315_000_000, 0, true)), BEGIN + 315_000_000, "a clock somebody keeps right");
    }

    #[test]
    fn a_trusted_clock_is_followed_to_the_second() {
        assert_eq!(judged(wall(BEGIN - 5, 0, true)), BEGIN - 5);
    }
}
