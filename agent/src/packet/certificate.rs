//! The few facts of an X.509 certificate the agent acts on (RFC 5280 section 4.1): its validity and its common name.
//!
//! It never judges a certificate: signatures, names and uses are rustls's business. A general X.509 parser would be a
//! twentieth of the whole program.
//!
//! ```text
//! Certificate { TBS { [0] version, serial, algorithm, issuer, validity { from, until }, subject { { {type, value} } }, ... } ... }
//! ```

use super::{Malformed, reader::Reader};

const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// 2.5.4.3, X.520's commonName.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// What a certificate says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The first valid second since 1970.
    pub not_before_s: i64,
    /// The last valid second since 1970.
    pub not_after_s: i64,
    /// The subject's first common name, if it is text.
    pub common_name: Option<&'a str>,
}

impl<'a> Certificate<'a> {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// Bytes that are no certificate.
    pub fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let outer = element(&mut Reader::new(der), SEQUENCE)?;
        let mut signed = Reader::new(element(&mut Reader::new(outer), SEQUENCE)?);
        let (tag, _) = tagged(&mut signed)?;
        if tag == VERSION {
            element(&mut signed, INTEGER)?;
        }
        for _algorithm_and_issuer in 0..2 {
            element(&mut signed, SEQUENCE)?;
        }
        let mut validity = Reader::new(element(&mut signed, SEQUENCE)?);
        let (not_before_s, not_after_s) = (time(&mut validity)?, time(&mut validity)?);
        Ok(Certificate { not_before_s, not_after_s, common_name: common_name(element(&mut signed, SEQUENCE)?) })
    }
}

fn common_name(mut names: &[u8]) -> Option<&str> {
    loop {
        let mut reader = Reader::new(names);
        let mut pair = Reader::new(element(&mut Reader::new(element(&mut reader, SET).ok()?), SEQUENCE).ok()?);
        if element(&mut pair, OBJECT).ok()? == COMMON_NAME {
            return std::str::from_utf8(tagged(&mut pair).ok()?.1).ok();
        }
        names = names.get(reader.position()..)?;
    }
}

/// Takes the next element, whatever it is.
fn tagged<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    let tag = reader.u8()?;
    let length = match reader.u8()? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16()?),
        // TLS itself ends at 16 MiB; no certificate anybody signs has an element of 64 KiB.
        _ => return Err(Malformed),
    };
    Ok((tag, reader.take(length)?))
}

fn element<'a>(reader: &mut Reader<'a>, wanted: u8) -> Result<&'a [u8], Malformed> {
    let (tag, content) = tagged(reader)?;
    if tag == wanted { Ok(content) } else { Err(Malformed) }
}

/// Reads a time in the only two forms RFC 5280 section 4.1.2.5 allows: `YYMMDDHHMMSSZ` and `YYYYMMDDHHMMSSZ`.
fn time(reader: &mut Reader<'_>) -> Result<i64, Malformed> {
    let (tag, text) = tagged(reader)?;
    let year_digits = match (tag, text.len()) {
        (UTC_TIME, 13) => 2,
        (GENERALIZED_TIME, 15) => 4,
        _ => return Err(Malformed),
    };
    let number = |from: usize, digits: usize| {
        let digits = text.get(from..from + digits).ok_or(Malformed)?;
        digits.iter().try_fold(0, |sum, digit| if digit.is_ascii_digit() { Ok(sum * 10 + i64::from(digit - b'0')) } else { Err(Malformed) })
    };
    let year = match number(0, year_digits)? {
        short @ 0..50 if year_digits == 2 => 2000 + short,
        short if year_digits == 2 => 1900 + short,
        year => year,
    };
    let part = |place: usize| number(year_digits + 2 * place, 2);
    let (month, day, hour, minute, second) = (part(0)?, part(1)?, part(2)?, part(3)?, part(4)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return Err(Malformed);
    }
    Ok((days_since_1970(year, month, day) * 24 + hour) * 3_600 + minute * 60 + second)
}

/// Howard Hinnant's `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    fn made(from: i32, until: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["portal.example".into()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 3, 21), date_time_ymd(until, 2, 29));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "روستا");
        params.distinguished_name.push(DnType::CommonName, "00000000000000a7");
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn validity_and_name_are_read() {
        // 2026-03-21 as UTCTime; 2096-02-29 is past 2049 and a GeneralizedTime.
        let facts = Certificate { not_before_s: 1_774_051_200, not_after_s: 3_981_312_000, common_name: Some("00000000000000a7") };
        assert_eq!(Certificate::read(&made(2026, 2096)), Ok(facts));
    }

    #[test]
    fn a_century_turns_where_the_standard_says() {
        let text = |tag, text: &[u8]| time(&mut Reader::new(&[&[tag, u8::try_from(text.len()).unwrap()], text].concat()));
        assert_eq!(text(UTC_TIME, b"700101000000Z"), Ok(0));
        assert_eq!(text(UTC_TIME, b"491231235959Z"), Ok(2_524_607_999));
        assert_eq!(text(UTC_TIME, b"500101000000Z"), Ok(-631_152_000));
        assert_eq!(text(GENERALIZED_TIME, b"99991231235959Z"), Ok(253_402_300_799));
        for wrong in [&b"701301000000Z"[..], b"70010100000 Z", b"7001010000Z"] {
            assert_eq!(text(UTC_TIME, wrong), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn bent_certificates_never_panic(flip in 0usize..400, to in any::<u8>(), cut in 0usize..400) {
            let mut der = made(2026, 2096);
            let length = der.len();
            der[flip % length] = to;
            let _ = Certificate::read(&der);
            let _ = Certificate::read(&der[..cut.min(length)]);
        }
    }
}
