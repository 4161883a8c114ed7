//! DNS queries and their answers (RFC 1035), as far as a probe needs them.
//!
//! Reads one answer section. It follows the chain of aliases from the name asked for, so that records of some other name
//! in the same answer are never taken for it. Names are compared without case.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use super::{Malformed, reader::Reader};

/// The record types a probe may ask for; the number is the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[repr(u16)]
pub enum Record {
    /// An IPv4 address.
    #[default]
    A = 1,
    /// A name server.
    Ns = 2,
    /// The start of a zone.
    Soa = 6,
    /// A pointer.
    Ptr = 12,
    /// A mail exchanger.
    Mx = 15,
    /// A text.
    Txt = 16,
    /// An IPv6 address.
    Aaaa = 28,
    /// A service.
    Srv = 33,
}

const CNAME: u16 = 5;
const IN: u16 = 1;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code: 0 no error, 2 server failure, 3 no such name, 5 refused.
    pub rcode: u8,
    /// The answer did not fit; ask again over TCP.
    pub truncated: bool,
    /// Records of the type asked for, of the name asked for or an alias of it.
    pub answers: u16,
    /// The addresses among them.
    pub addresses: Vec<IpAddr>,
}

/// Longest name in text form (RFC 1035 section 3.1).
const NAME_BYTES: usize = 253;

/// Most records read from one answer; no honest answer of a probe's question comes near.
const RECORDS: u16 = 128;

/// Writes a recursive query.
///
/// # Errors
/// A name that is empty, too long, or has an empty or over-long label.
pub fn query(id: u16, name: &str, record: Record) -> Result<Vec<u8>, Malformed> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > NAME_BYTES {
        return Err(Malformed);
    }
    const RECURSION_DESIRED: u16 = 0x0100;
    let mut message = Vec::with_capacity(18 + name.len());
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n)).ok_or(Malformed)?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&(record as u16).to_be_bytes());
    message.extend_from_slice(&IN.to_be_bytes());
    Ok(message)
}

/// Reads the answer to `query`. `Ok(None)` is a message that answers something else: a late or forged one.
///
/// # Errors
/// An answer to this query that is not well formed.
pub fn answer(message: &[u8], query: &[u8]) -> Result<Option<Answer>, Malformed> {
    let mut reader = Reader::new(message);
    let Ok(header) = reader.array::<12>() else { return Ok(None) };
    let mut asked = Reader::new(query);
    asked.seek(header.len())?;
    let is_answer = header[2] & 0x80 != 0;
    if header[..2] != query[..2] || !is_answer {
        return Ok(None);
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let mut found = Answer { rcode: header[3] & 0x0f, truncated: header[2] & 0x02 != 0, answers: 0, addresses: Vec::new() };
    let (name, kind) = (read_name(&mut asked)?, asked.u16()?);
    match count(4) {
        // A server that refuses or fails may leave the question out.
        0 if found.rcode != 0 => return Ok(Some(found)),
        1 => {}
        _ => return Err(Malformed),
    }
    if read_name(&mut reader)? != name || reader.u16()? != kind || reader.u16()? != IN {
        return Ok(None);
    }
    if found.truncated {
        return Ok(Some(found));
    }
    read_records(&mut reader, count(6).min(RECORDS), name, kind, &mut found)?;
    Ok(Some(found))
}

fn read_records(reader: &mut Reader<'_>, count: u16, mut name: Vec<u8>, kind: u16, found: &mut Answer) -> Result<(), Malformed> {
    for _ in 0..count {
        let owner = read_name(reader)?;
        let (record, class, _ttl, length) = (reader.u16()?, reader.u16()?, reader.u32()?, reader.u16()?);
        let end = reader.position() + usize::from(length);
        if class == IN && owner == name {
            match record {
                CNAME if kind != CNAME => name = read_name(reader)?,
                record if record == kind => {
                    found.answers += 1;
                    found.addresses.extend(read_address(record, reader.clone().take(usize::from(length))?));
                }
                _ => {}
            }
        }
        reader.seek(end)?;
    }
    Ok(())
}

fn read_address(record: u16, data: &[u8]) -> Option<IpAddr> {
    if record == Record::A as u16 {
        <[u8; 4]>::try_from(data).ok().map(|a| Ipv4Addr::from(a).into())
    } else if record == Record::Aaaa as u16 {
        <[u8; 16]>::try_from(data).ok().map(|a| Ipv6Addr::from(a).into())
    } else {
        None
    }
}

/// Reads a name, in lower case with dots. A pointer must lead backwards, so no loop can be built of them.
fn read_name(reader: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let mut name = Vec::new();
    let mut at = reader.clone();
    let mut lowest = reader.position();
    let mut followed = false;
    loop {
        let length = at.u8()?;
        match length {
            0 => break,
            1..=63 => {
                name.extend(at.take(usize::from(length))?.iter().map(u8::to_ascii_lowercase));
                name.push(b'.');
            }
            0xc0.. => {
                let target = usize::from(u16::from_be_bytes([length & 0x3f, at.u8()?]));
                if !followed {
                    *reader = at.clone();
                    followed = true;
                }
                if target >= lowest {
                    return Err(Malformed);
                }
                lowest = target;
                at.seek(target)?;
            }
            _ => return Err(Malformed),
        }
        if name.len() > NAME_BYTES + 1 {
            return Err(Malformed);
        }
    }
    if !followed {
        *reader = at;
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `dig +noedns www.example.ir` as dnsmasq 2.90 answered it: an alias, then two addresses of its target.
    const ALIAS_ANSWER: &[u8] = b"\x1a\x2b\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00\x03www\x07example\x02ir\x00\x00\x01\x00\x01\
        \xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x08\x05front\xc0\x10\
        \xc0\x2c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x01\x00\x50\
        \xc0\x2c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x01\x00\x51";

    fn asked(name: &str, record: Record) -> Vec<u8> {
        query(0x1a2b, name, record).unwrap()
    }

    #[test]
    fn an_alias_is_followed_to_its_addresses() {
        let found = answer(ALIAS_ANSWER, &asked("WWW.example.ir", Record::A)).unwrap().unwrap();
        assert_eq!(found.answers, 2);
        assert_eq!(found.addresses, ["10.1.0.80", "10.1.0.81"].map(|a| a.parse::<IpAddr>().unwrap()));
        assert_eq!((found.rcode, found.truncated), (0, false));
    }

    #[test]
    fn another_questions_answer_is_not_ours() {
        assert_eq!(answer(ALIAS_ANSWER, &query(0x1a2c, "www.example.ir", Record::A).unwrap()), Ok(None));
        assert_eq!(answer(ALIAS_ANSWER, &asked("www.example.com", Record::A)), Ok(None));
        assert_eq!(answer(ALIAS_ANSWER, &asked("www.example.ir", Record::Aaaa)), Ok(None));
        assert_eq!(answer(&asked("www.example.ir", Record::A), &asked("www.example.ir", Record::A)), Ok(None), "an echoed query");
    }

    #[test]
    fn records_of_other_names_are_not_counted() {
        let mut forged = ALIAS_ANSWER.to_vec();
        let owner_of_alias = 32;
        assert_eq!(forged[owner_of_alias..owner_of_alias + 2], [0xc0, 0x0c]);
        forged[owner_of_alias + 1] = 0x10;
        let found = answer(&forged, &asked("www.example.ir", Record::A)).unwrap().unwrap();
        assert_eq!((found.answers, found.addresses.len()), (0, 0));
    }

    #[test]
    fn a_refusal_without_its_question_is_still_a_refusal() {
        let refused = b"\x1a\x2b\x81\x05\x00\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(answer(refused, &asked("a.ir", Record::A)).unwrap().unwrap().rcode, 5);
    }

    #[test]
    fn loops_of_pointers_and_short_records_are_malformed() {
        let question = asked("a.ir", Record::A);
        let with = |tail: &[u8]| {
            let mut message = question.clone();
            message[2] |= 0x80;
            message[7] = 1;
            message.extend_from_slice(tail);
            answer(&message, &question)
        };
        let self_pointer = [0xc0, u8::try_from(question.len()).unwrap(), 0, 1, 0, 1, 0, 0, 0, 1, 0, 0];
        assert_eq!(with(&self_pointer), Err(Malformed));
        assert_eq!(with(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00"), Err(Malformed));
        assert_eq!(with(b"\xc0\x0c"), Err(Malformed));
    }

    #[test]
    fn names_that_cannot_be_asked_are_refused() {
        for name in ["", "a..ir", &"x".repeat(64), &"a.".repeat(130)] {
            assert_eq!(query(1, name, Record::A), Err(Malformed), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(tail in proptest::collection::vec(any::<u8>(), 0..200), flip in 0usize..76, to in any::<u8>()) {
            let question = asked("www.example.ir", Record::A);
            let mut bent = ALIAS_ANSWER.to_vec();
            bent[flip] = to;
            let _ = answer(&bent, &question);
            let mut random = ALIAS_ANSWER[..12].to_vec();
            random.extend(tail);
            let _ = answer(&random, &question);
        }
    }
}
