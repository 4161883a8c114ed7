//! Who this agent is: its key, its certificate and the authority it trusts, three PEM files in one directory.
//!
//! The key is made here and never leaves. Nothing of it is ever printed: [`Identity`] has no `Debug`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusta_wire::{AgentId, UnixMs};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::files;
use crate::packet::certificate::Certificate;

const KEY: &str = "agent.key";
const CERTIFICATE: &str = "agent.crt";
const AUTHORITY: &str = "ca.crt";
const PLACES: &str = "collector";

/// The three files, read and understood.
pub struct Identity {
    /// The certificate's common name.
    pub agent: AgentId,
    /// Start of the certificate's validity.
    pub not_before: UnixMs,
    /// End of the certificate's validity.
    pub not_after: UnixMs,
    /// The agent's certificate and what links it to the authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The agent's key.
    pub key: PrivateKeyDer<'static>,
    /// The collector's authority; more than one while it is being changed.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path}: {fault}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
}

impl Identity {
    /// Reads the identity in `dir`.
    ///
    /// # Errors
    /// The first file that is missing or wrong.
    pub fn load(dir: &Path) -> Result<Identity, IdentityError> {
        let chain = certificates(&dir.join(CERTIFICATE))?;
        let path = dir.join(KEY);
        let key = PrivateKeyDer::from_pem_slice(&read(&path)?).map_err(|_| content(&path, "no PEM private key"))?;
        let authorities = certificates(&dir.join(AUTHORITY))?;
        let (agent, not_before, not_after) = describe(&chain[0]).map_err(|fault| content(&dir.join(CERTIFICATE), &fault))?;
        Ok(Identity { agent, not_before, not_after, chain, key, authorities })
    }

    /// Tells whether the certificate should be renewed: two thirds of its life are over.
    pub fn is_due_for_renewal(&self, now: UnixMs) -> bool {
        let life = self.not_after.since(self.not_before);
        now > self.not_before + life * 2 / 3
    }
}

/// Reads the authority's certificates from a PEM file.
///
/// # Errors
/// The file cannot be read or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    parse_certificates(&read(path)?).ok_or_else(|| content(path, "no PEM certificate"))
}

/// Reads certificates from PEM text; `None` if there is none or one is damaged.
pub fn parse_certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

/// Writes what an enrolment or a renewal brought; the key only when it is given. The certificate goes last: until it is
/// there, the old identity is whole.
///
/// # Errors
/// A file cannot be written.
pub fn store(dir: &Path, key_pem: Option<&str>, certificate_pem: &str, authority_pem: &str) -> Result<(), IdentityError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| IdentityError::File { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    for (name, text, mode) in [(KEY, key_pem, 0o600), (AUTHORITY, Some(authority_pem), 0o644), (CERTIFICATE, Some(certificate_pem), 0o644)]
    {
        if let Some(text) = text {
            let path = dir.join(name);
            files::replace(&path, text.as_bytes(), mode).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// Writes where the collector is that this identity belongs to.
///
/// # Errors
/// The file cannot be written.
pub fn store_places(dir: &Path, urls: &[String]) -> Result<(), IdentityError> {
    let path = dir.join(PLACES);
    let text: String = urls.iter().map(|url| format!("{url}\n")).collect();
    files::replace(&path, text.as_bytes(), 0o644).map_err(|source| IdentityError::File { path, source })
}

/// Lists where the collector is that an identity was given by; empty if nobody wrote it down.
pub fn places(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join(PLACES)).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Reads the key as PEM, to sign a request for a new certificate with it.
///
/// # Errors
/// The file cannot be read.
pub fn key_pem(dir: &Path) -> Result<String, IdentityError> {
    let path = dir.join(KEY);
    String::from_utf8(read(&path)?).map_err(|_| content(&path, "no PEM private key"))
}

/// Where a key that waits for its certificate is kept, so that a repeated enrolment asks for the same one.
pub fn pending_key(dir: &Path) -> PathBuf {
    dir.join("agent.key.pending")
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|source| IdentityError::File { path: path.to_path_buf(), source })
}

fn content(path: &Path, fault: &str) -> IdentityError {
    IdentityError::Content { path: path.to_path_buf(), fault: fault.to_string() }
}

fn describe(certificate: &CertificateDer<'_>) -> Result<(AgentId, UnixMs, UnixMs), String> {
    let read = Certificate::read(certificate).map_err(|_| "the certificate cannot be read".to_string())?;
    let name = read.common_name.unwrap_or_default();
    let agent = name.parse::<AgentId>().map_err(|_| format!("common name `{name}` is no agent id"))?;
    Ok((agent, UnixMs::from_seconds(read.not_before_s), UnixMs::from_seconds(read.not_after_s)))
}
