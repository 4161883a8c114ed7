//! The device's key: makes one, writes it as PEM, and signs the request for a certificate with it.
//!
//! ECDSA on P-256, PKCS #8. A request (RFC 2986) for such a key has a fixed shape, so it is written out here instead of by
//! a library for all of X.509. The collector decides every name in the certificate; the request carries the public key and
//! the proof that its other half is here, nothing else. Nothing of the key is ever printed: it has no `Debug`.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

/// `version 0`, an empty subject, and the head of a P-256 public key: what is signed is this, the point, and [`NO_ATTRIBUTES`].
const SIGNED_HEAD: &[u8] = &[
    0x30, 0x62, 0x02, 0x01, 0x00, 0x30, 0x00, // SEQUENCE of 98 bytes { INTEGER 0, SEQUENCE {},
    0x30, 0x59, 0x30, 0x13, // SEQUENCE { SEQUENCE {
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // 1.2.840.10045.2.1 ecPublicKey,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // 1.2.840.10045.3.1.7 prime256v1 },
    0x03, 0x42, 0x00, // BIT STRING of a point of 65 bytes
];

const NO_ATTRIBUTES: &[u8] = &[0xa0, 0x00];

/// SEQUENCE { 1.2.840.10045.4.3.2 ecdsa-with-SHA256 }.
const ALGORITHM: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A private key.
pub struct DeviceKey {
    pkcs8: Vec<u8>,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl DeviceKey {
    /// Makes a key nobody has seen.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<DeviceKey, &'static str> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        DeviceKey::read(made.map_err(|_| "the system gives no random numbers")?.as_ref())
    }

    /// Reads a key from PEM.
    ///
    /// # Errors
    /// Not a P-256 key in PKCS #8.
    pub fn from_pem(pem: &str) -> Result<DeviceKey, &'static str> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "no PEM private key in PKCS #8")?;
        DeviceKey::read(der.secret_pkcs8_der())
    }

    fn read(pkcs8: &[u8]) -> Result<DeviceKey, &'static str> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random).map_err(|_| "no ECDSA key on P-256")?;
        Ok(DeviceKey { pkcs8: pkcs8.to_vec(), pair, random })
    }

    /// Writes the key as PEM.
    pub fn pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    /// Writes a request for a certificate as PEM.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn request_pem(&self) -> Result<String, &'static str> {
        let signed = [SIGNED_HEAD, self.pair.public_key().as_ref(), NO_ATTRIBUTES].concat();
        let signature = self.pair.sign(&self.random, &signed).map_err(|_| "the system gives no random numbers")?;
        // A BIT STRING begins with the number of bits that do not count.
        let signature = [&[0], signature.as_ref()].concat();
        let parts = [&signed[..], ALGORITHM, &element(0x03, &signature)].concat();
        Ok(pem("CERTIFICATE REQUEST", &element(0x30, &parts)))
    }
}

/// Writes a DER element of at most 255 bytes: a request has fewer than 190.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [&head[..], content].concat()
}

/// Writes PEM (RFC 7468): base64 in lines of 64.
fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group.iter().chain(&[0; 2]).take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
            for place in 0..4 {
                let letter = ALPHABET[bits >> (18 - 6 * place) & 63];
                text.push(if place <= group.len() { char::from(letter) } else { '=' });
            }
        }
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateSigningRequestParams, PublicKeyData};

    #[test]
    fn a_key_survives_being_written_and_read() {
        let key = DeviceKey::generate().unwrap();
        let again = DeviceKey::from_pem(&key.pem()).unwrap();
        assert_eq!(again.pair.public_key().as_ref(), key.pair.public_key().as_ref());
        assert_eq!(rcgen::KeyPair::from_pem(&key.pem()).unwrap().public_key_raw(), key.pair.public_key().as_ref());
    }

    #[test]
    fn keys_made_by_others_are_read_and_wrong_ones_refused() {
        let made = rcgen::KeyPair::generate().unwrap();
        assert_eq!(DeviceKey::from_pem(&made.serialize_pem()).unwrap().pair.public_key().as_ref(), made.public_key_raw());
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(DeviceKey::from_pem(&other.serialize_pem()).is_err());
        assert!(DeviceKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
    }

    /// A signature's length differs from key to key by a few bytes, and with it every length around it.
    #[test]
    fn an_authority_takes_the_request() {
        for _ in 0..50 {
            let key = DeviceKey::generate().unwrap();
            let request = CertificateSigningRequestParams::from_pem(&key.request_pem().unwrap()).unwrap();
            assert_eq!(request.public_key.der_bytes(), key.pair.public_key().as_ref());
        }
    }

    #[test]
    fn base64_is_padded_as_its_standard_says() {
        let inside = |der: &[u8]| pem("X", der).lines().nth(1).map(str::to_owned).unwrap_or_default();
        // RFC 4648 section 10.
        assert_eq!(
            [&b"f"[..], b"fo", b"foo", b"foob", b"fooba", b"foobar"].map(inside),
            ["Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
        );
        assert_eq!(inside(&[0xff; 49]).len(), 64);
    }
}
