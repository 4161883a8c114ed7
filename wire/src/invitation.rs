//! What enrols a device: one word that a QR code holds, a person can type, and a shell leaves alone.
//!
//! ```text
//! rusta1:TOKEN:FINGERPRINT:PLACE,PLACE
//!        |     |           host or host:port of the agents' port, tried in order; an IPv6 address in brackets
//!        |     SHA-256 of the authority's certificate (DER), 64 hexadecimal digits; empty: a public authority
//!        one-time token
//! ```

use std::fmt;
use std::str::FromStr;

/// What the word begins with; another form will have another number.
const MARK: &str = "rusta1";

/// Longest word read: a QR code of 1 KiB is the largest that a cheap telephone reads off paper.
const BYTES: usize = 1024;

/// Most places: as many as an agent tries in turn.
const PLACES: usize = 8;

/// Who invites whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The one-time token.
    pub token: String,
    /// SHA-256 of the certificate (DER) of the collector's authority; `None`: a public authority signed for it.
    pub fingerprint: Option<[u8; 32]>,
    /// Where the collector is, as `host` or `host:port`; never empty.
    pub places: Vec<String>,
}

/// The token is nobody's business but the collector's.
impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("places", &self.places).finish_non_exhaustive()
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}:{}:", self.token)?;
        self.fingerprint.iter().flatten().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ":{}", self.places.join(","))
    }
}

/// Reads 64 hexadecimal digits, with colons between them or without, as `openssl x509 -fingerprint -sha256` prints them.
///
/// # Errors
/// A sentence that says what is expected.
pub fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "a fingerprint is the 64 hexadecimal digits of the authority's SHA-256".to_owned();
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = value(pair[0]).zip(value(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

impl FromStr for Invitation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |what: &str| {
            Err(format!(
                "{what}; an invitation is the word that `rusta-collector agents token` prints, as in {MARK}:TOKEN:FINGERPRINT:HOST:PORT"
            ))
        };
        if text.len() > BYTES {
            return wrong("this is longer than any invitation");
        }
        let mut parts = text.splitn(4, ':');
        let (mark, token, print, places) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(MARK), Some(token), Some(print), Some(places)) = (mark, token, print, places) else {
            return wrong("this is no invitation, or not the whole of one");
        };
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return wrong("its token is damaged");
        }
        let fingerprint = if print.is_empty() { None } else { Some(fingerprint(print)?) };
        let places: Vec<String> = places.split(',').map(str::to_owned).collect();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if places.len() > PLACES || places.iter().any(|place| place.is_empty() || !place.bytes().all(fits)) {
            return wrong("its collector's address is damaged");
        }
        Ok(Invitation { token: token.to_owned(), fingerprint, places })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn what_is_printed_is_read() {
        for text in [
            format!("rusta1:tok-en_9:{PRINT}:collector.example:8443,[2001:db8::1]:8443,10.0.0.1"),
            "rusta1:t::collector.example".to_owned(),
        ] {
            let read: Invitation = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
            assert!(!format!("{read:?}").contains("tok"), "{read:?}");
        }
        let spaced: Invitation = format!("  rusta1:t:{PRINT}:h\n").parse().unwrap();
        assert_eq!((spaced.fingerprint.unwrap()[1], spaced.places), (0x11, vec!["h".to_owned()]));
    }

    #[test]
    fn a_damaged_one_is_refused_with_a_sentence() {
        let long = format!("rusta1:t::{}", "a".repeat(BYTES));
        let many = format!("rusta1:t::{}", ["h"; PLACES + 1].join(","));
        for text in [
            "",
            "rusta1",
            "rusta1:t:",
            "rusta2:t::h",
            "rusta1:t o::h",
            "rusta1:::h",
            "rusta1:t::",
            "rusta1:t::h,",
            "rusta1:t:00:h",
            "rusta1:t::h/x",
            &long,
            &many,
        ] {
            assert!(text.parse::<Invitation>().is_err(), "{text}");
        }
        let said = "https://collector.example".parse::<Invitation>().unwrap_err();
        assert!(said.contains("agents token"), "{said}");
    }

    #[test]
    fn a_fingerprint_is_read_as_openssl_prints_it() {
        let colons: Vec<&str> = (0..32).map(|at| &PRINT[at * 2..at * 2 + 2]).collect();
        assert_eq!(fingerprint(&colons.join(":").to_uppercase()), fingerprint(PRINT));
        assert!(fingerprint("00:11").is_err() && fingerprint(&PRINT.replace('f', "g")).is_err());
        assert!(fingerprint(&"é".repeat(32)).is_err());
    }
}
