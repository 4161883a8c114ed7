//! The collector's own certificate authority: files of a directory only its owner can read.
//!
//! ```text
//! authority/1.key 1.crt              the first authority
//! authority/2.key 2.crt 2.cross.crt  the one after a rotation, and its certificate by the first
//! ```
//! The highest number signs. All of them are trusted, and an agent that knows only an older one is led from it to the
//! newest by the cross certificates in the server's chain: a rotation touches no village. Retiring the old ones is a
//! second step, when every agent has renewed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rusta_wire::{AgentId, UnixMs};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use sha2::{Digest, Sha256};

use super::{IdentityError, hash_hex, random};

/// An authority outlives the routers that trust it; a rotation is a decision, not a deadline.
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(20 * 366 * 86_400);

/// The server's own certificate is made at every start and again after half of this.
pub(crate) const SERVER_VALIDITY: Duration = Duration::from_secs(365 * 86_400);

/// Certificates begin a little in the past: an agent's clock may lag behind ours.
const BACKDATE: Duration = Duration::from_secs(86_400);

/// Where the authority of a data directory is.
pub(super) fn dir_in(data_dir: &Path) -> PathBuf {
    data_dir.join("authority")
}

/// The certificate authority.
pub struct Authority {
    /// Oldest first; the last one signs.
    generations: Vec<Generation>,
}

struct Generation {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    /// Its certificate by the generation before, if there was one.
    cross: Option<CertificateDer<'static>>,
}

/// What the server shows agents.
pub struct ServerIdentity {
    /// Leaf first, then what leads to older authorities.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Reads the authority, or makes the first one where there is none.
    ///
    /// # Errors
    /// Files that cannot be read, written or understood.
    pub fn open(dir: &Path, now: UnixMs) -> Result<Authority, IdentityError> {
        let mut numbers = numbers_in(dir)?;
        if numbers.is_empty() {
            make_generation(dir, 1, None, now)?;
            numbers.push(1);
        }
        let generations = numbers.into_iter().map(|number| read_generation(dir, number)).collect::<Result<Vec<_>, _>>()?;
        Ok(Authority { generations })
    }

    /// Adds a generation that signs from now on.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn rotate(data_dir: &Path, now: UnixMs) -> Result<u32, IdentityError> {
        let dir = dir_in(data_dir);
        let authority = Authority::open(&dir, now)?;
        let number = numbers_in(&dir)?.last().map_or(1, |last| last + 1);
        make_generation(&dir, number, authority.generations.last(), now)?;
        Ok(number)
    }

    /// Stops trusting every generation but the newest, and returns how many there were.
    ///
    /// # Errors
    /// Files that cannot be removed.
    pub fn retire_old(data_dir: &Path) -> Result<usize, IdentityError> {
        let dir = dir_in(data_dir);
        let mut numbers = numbers_in(&dir)?;
        let newest = numbers.pop();
        for number in &numbers {
            for kind in ["key", "crt", "cross.crt"] {
                remove(&file(&dir, *number, kind))?;
            }
        }
        if let Some(newest) = newest {
            remove(&file(&dir, newest, "cross.crt"))?;
        }
        Ok(numbers.len())
    }

    /// Returns the certificates an agent trusts, as PEM, newest last.
    pub fn bundle_pem(&self) -> String {
        self.generations.iter().map(|generation| generation.certificate_pem.as_str()).collect()
    }

    /// Returns the SHA-256 of the certificate that signs, by which a device that enrols knows it.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.generations.last().map_or(&[][..], |newest| &newest.certificate)).into()
    }

    /// Lists the certificates that agents' certificates may hang on.
    pub fn roots(&self) -> impl Iterator<Item = CertificateDer<'static>> + '_ {
        self.generations.iter().map(|generation| generation.certificate.clone())
    }

    /// Signs a device's request. Nothing of what it asks for is believed but its key.
    ///
    /// # Errors
    /// A request that cannot be read or is not signed by its own key.
    pub fn sign(&self, csr_pem: &str, agent: AgentId, now: UnixMs, validity: Duration) -> Result<SignedKey, IdentityError> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(|error| IdentityError::Request(error.to_string()))?;
        let mut params = params(&agent.to_string(), now, validity)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&request.public_key, &self.issuer()?)?;
        Ok(SignedKey { key_hash: hash_hex(request.public_key.der_bytes()), certificate_pem: certificate.pem(), not_after: now + validity })
    }

    /// Makes the server's certificate for the names agents reach it by.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn server_identity(&self, names: &[String], now: UnixMs) -> Result<ServerIdentity, IdentityError> {
        let key = KeyPair::generate()?;
        let mut params = params(names.first().map_or("collector", String::as_str), now, SERVER_VALIDITY)?;
        params.subject_alt_names = names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer()?)?;
        let crosses = self.generations.iter().rev().filter_map(|generation| generation.cross.clone());
        Ok(ServerIdentity {
            chain: std::iter::once(leaf.der().clone()).chain(crosses).collect(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, IdentityError> {
        let newest = self.generations.last().ok_or_else(|| IdentityError::Request("the authority has no key".into()))?;
        Ok(Issuer::from_ca_cert_der(&newest.certificate, &newest.key)?)
    }
}

/// A certificate made for a device's key.
pub struct SignedKey {
    /// SHA-256 of the public key.
    pub key_hash: String,
    /// The certificate.
    pub certificate_pem: String,
    /// When it ends.
    pub not_after: UnixMs,
}

fn params(common_name: &str, now: UnixMs, validity: Duration) -> Result<CertificateParams, IdentityError> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let start = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let mut params = CertificateParams::default();
    params.not_before = epoch + start.saturating_sub(BACKDATE);
    params.not_after = epoch + start + validity;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    // Sixteen random bytes, the first bit clear: a positive integer of at most twenty octets (RFC 5280, 4.1.2.2).
    let mut serial = random::<16>()?;
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn san(name: &str) -> Result<SanType, IdentityError> {
    Ok(match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into()?),
    })
}

fn make_generation(dir: &Path, number: u32, before: Option<&Generation>, now: UnixMs) -> Result<(), IdentityError> {
    let key = KeyPair::generate()?;
    let mut params = params(&format!("Rusta collector authority {number}"), now, AUTHORITY_VALIDITY)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let own = params.self_signed(&key)?;
    crate::files::make_folder(dir).map_err(|source| IdentityError::Io { path: dir.to_owned(), source })?;
    if let Some(before) = before {
        let cross = params.signed_by(&key, &Issuer::from_ca_cert_der(&before.certificate, &before.key)?)?;
        write(&file(dir, number, "cross.crt"), &cross.pem())?;
    }
    write(&file(dir, number, "crt"), &own.pem())?;
    // The key comes last: a generation without it does not exist, so a cut in between leaves the old one in force.
    write(&file(dir, number, "key"), &key.serialize_pem())
}

fn read_generation(dir: &Path, number: u32) -> Result<Generation, IdentityError> {
    let certificate_pem = read(&file(dir, number, "crt"))?;
    let cross_path = file(dir, number, "cross.crt");
    Ok(Generation {
        key: KeyPair::from_pem(&read(&file(dir, number, "key"))?)?,
        certificate: parse(&certificate_pem)?,
        certificate_pem,
        cross: if cross_path.exists() { Some(parse(&read(&cross_path)?)?) } else { None },
    })
}

fn parse(pem: &str) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| IdentityError::Request(format!("authority certificate: {error}")))
}

fn numbers_in(dir: &Path) -> Result<Vec<u32>, IdentityError> {
    let io = |source| IdentityError::Io { path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".key")?.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn file(dir: &Path, number: u32, kind: &str) -> PathBuf {
    dir.join(format!("{number}.{kind}"))
}

fn read(path: &Path) -> Result<String, IdentityError> {
    std::fs::read_to_string(path).map_err(|source| IdentityError::Io { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), IdentityError> {
    crate::files::replace(path, text.as_bytes()).map_err(|source| IdentityError::Io { path: path.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), IdentityError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(IdentityError::Io { path: path.to_owned(), source: error }),
        _ => Ok(()),
    }
}
