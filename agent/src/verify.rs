//! The usual check of a server's certificate, at a time its owner chooses.
//!
//! Authority, names and signatures are always rustls's business. Only the moment at which validity is judged differs: the
//! uplink and the probes each have a rule for a machine that may not know the time.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::crypto::provider;

/// What came of a check.
pub type Verdict = Result<ServerCertVerified, Error>;

/// A rule for the time certificates are judged at.
pub trait Judge: Debug + Send + Sync {
    /// Decides with `verify_at`, which makes the usual check at a second since 1970.
    ///
    /// # Errors
    /// Those of the check that counts.
    fn judge(&self, end_entity: &[u8], intermediates: &[CertificateDer<'_>], verify_at: &dyn Fn(i64) -> Verdict) -> Verdict;
}

/// The usual verifier under a rule.
#[derive(Debug)]
pub struct Verifier<J> {
    /// Checks everything.
    pub usual: Arc<WebPkiServerVerifier>,
    /// Says when.
    pub judge: J,
}

/// Makes the usual verifier for these authorities.
///
/// # Errors
/// None of them can be used.
pub fn trusting(authorities: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(authorities.into(), provider()).build()
}

/// Returns the authorities browsers trust.
pub fn public_authorities() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

impl<J: Judge> ServerCertVerifier for Verifier<J> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _system_clock: UnixTime,
    ) -> Verdict {
        let verify_at = |at_s: i64| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s.max(0).unsigned_abs()));
            self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
        };
        self.judge.judge(end_entity, intermediates, &verify_at)
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
