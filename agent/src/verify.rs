//! The usual check of a server's certificate, at a time its owner chooses.
//!
//! Authority, names and signatures are always rustls's business. Only the moment at which validity is judged differs: the
//! uplink and the probes each have a rule for a machine that may not know the time.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
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
pub fn trusting(authorities: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder_with_provider(authorities, provider()).build()
}

/// Returns the authorities browsers trust, as this program carries them.
///
/// # Errors
/// None.
#[cfg(feature = "authorities")]
pub fn public_authorities() -> Result<Arc<RootCertStore>, String> {
    Ok(Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }))
}

/// Returns the authorities browsers trust, as this machine lists them: read once, for all who ask.
///
/// # Errors
/// There is no list, or nothing in it can be used.
#[cfg(not(feature = "authorities"))]
pub fn public_authorities() -> Result<Arc<RootCertStore>, String> {
    static KNOWN: std::sync::OnceLock<Arc<RootCertStore>> = std::sync::OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    // Where OpenWrt's `ca-bundle` and Debian's `ca-certificates` put it.
    const LIST: &str = "/etc/ssl/certs/ca-certificates.crt";
    let missing = |fault| format!("the slim build carries no public authorities, and {LIST} cannot serve instead: {fault}");
    let read = listed_authorities(Path::new(LIST)).map_err(missing)?;
    Ok(KNOWN.get_or_init(|| Arc::new(read)).clone())
}

/// Reads a machine's list of authorities. One that cannot be used (an old form, an odd name) is left out: the list is
/// somebody else's.
///
/// # Errors
/// The file cannot be read, is not PEM, or nothing in it can be used.
#[cfg_attr(feature = "authorities", allow(dead_code))]
fn listed_authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        let _ = roots.add(certificate.map_err(|error| error.to_string())?);
    }
    if roots.is_empty() { Err("it holds no certificate that can be used".into()) } else { Ok(roots) }
}

/// Reads the authorities a person chose.
///
/// # Errors
/// The file cannot be read, is not PEM, or holds something that cannot be used.
pub fn chosen_authorities(file: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    Ok(Arc::new(roots))
}

/// Lets anybody be the server.
#[derive(Debug)]
pub struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Verdict {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_list_may_hold_what_is_of_no_use_and_a_persons_may_not() {
        let authority = rcgen::generate_simple_self_signed(["authority".to_owned()]).unwrap().cert.pem();
        let useless = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list.crt");
        std::fs::write(&file, format!("# a comment\n{useless}{authority}")).unwrap();
        assert_eq!(listed_authorities(&file).unwrap().len(), 1);
        assert!(chosen_authorities(&file).is_err());
        std::fs::write(&file, useless).unwrap();
        assert!(listed_authorities(&file).unwrap_err().contains("no certificate"));
        assert!(listed_authorities(&folder.path().join("missing")).is_err());
    }
}
