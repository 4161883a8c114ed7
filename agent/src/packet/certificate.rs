//! The validity of an X.509 certificate (RFC 5280 section 4.1.2.5).

use x509_parser::prelude::{FromDer, X509Certificate};

use super::Malformed;

/// From when until when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first valid second.
    pub not_before_s: i64,
    /// The last valid second.
    pub not_after_s: i64,
}

/// Reads the validity out of a DER certificate.
///
/// # Errors
/// Bytes that are no certificate.
pub fn validity(der: &[u8]) -> Result<Validity, Malformed> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Malformed)?;
    let validity = certificate.validity();
    Ok(Validity { not_before_s: validity.not_before.timestamp(), not_after_s: validity.not_after.timestamp() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["portal.example".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 3, 21);
        params.not_after = rcgen::date_time_ymd(2027, 3, 20);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_ends_are_read() {
        assert_eq!(validity(&made()), Ok(Validity { not_before_s: 1_774_051_200, not_after_s: 1_805_500_800 }));
    }

    proptest! {
        #[test]
        fn bent_certificates_never_panic(flip in 0usize..300, to in any::<u8>(), cut in 0usize..300) {
            let mut der = made();
            let length = der.len();
            der[flip % length] = to;
            let _ = validity(&der);
            let _ = validity(&der[..cut.min(length)]);
        }
    }
}
