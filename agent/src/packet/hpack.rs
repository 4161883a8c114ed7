//! HPACK (RFC 7541) as the uplink needs it: writes its own few fields, reads `:status`, `retry-after` and `content-type`.
//!
//! ```text
//! 1 iiiiiii            field of the tables, by place: 1 to 61 static, from 62 on ours, youngest first
//! 01 iiiiii value      literal that enters the table       0000 iiii value   literal that does not
//! 001 sssss            size of the table, in front of all fields
//! ```
//! Towards the collector the dynamic table is used: what every request says costs a byte from the second one on. Towards us
//! it is forbidden (SETTINGS_HEADER_TABLE_SIZE 0), so reading needs no table. Huffman code is read where digits stand.

use super::Malformed;

/// Field names of the static table (RFC 7541, Appendix A) that we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `content-length`
    ContentLength,
    /// `content-type`
    ContentType,
    /// `user-agent`
    UserAgent,
    /// A name that is not in the table.
    Other(&'static str),
}

impl Name {
    fn place(self) -> u32 {
        match self {
            Name::Authority => 1,
            Name::Path => 4,
            Name::ContentLength => 28,
            Name::ContentType => 31,
            Name::UserAgent => 58,
            Name::Other(_) => 0,
        }
    }
}

/// Whole fields of the static table.
#[derive(Debug, Clone, Copy)]
pub enum Whole {
    /// `:method: GET`
    Get = 2,
    /// `:method: POST`
    Post = 3,
    /// `:scheme: https`
    Https = 7,
}

/// First place of the dynamic table.
const DYNAMIC: usize = 62;

/// Size of a peer's table until it says otherwise, and the most we use of it.
const ROOM: usize = 4_096;

/// What an entry counts for besides its letters (RFC 7541 section 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// Writes header blocks of one connection.
#[derive(Debug)]
pub struct Encoder {
    /// What the peer's table holds, oldest first. Nothing enters that would push another out.
    entries: Vec<(Name, String)>,
    used: usize,
    room: usize,
    /// The peer gave its table another size, and the next block must say so.
    resized: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder { entries: Vec::new(), used: 0, room: ROOM, resized: false }
    }
}

impl Encoder {
    /// Takes in SETTINGS_HEADER_TABLE_SIZE: the table begins anew.
    pub fn resize(&mut self, size: u32) {
        let room = usize::try_from(size).map_or(ROOM, |size| size.min(ROOM));
        *self = Encoder { room, resized: true, ..Encoder::default() };
    }

    /// Begins a block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.resized) {
            // Emptied first, whatever the peer holds; then as large as we use it.
            integer(out, 0x20, 5, 0);
            integer(out, 0x20, 5, self.room);
        }
    }

    /// Writes a field of the static table.
    pub fn whole(&self, out: &mut Vec<u8>, field: Whole) {
        integer(out, 0x80, 7, field as usize);
    }

    /// Writes a field that every request says, by its place if it was said before.
    pub fn kept(&mut self, out: &mut Vec<u8>, name: Name, value: &str) {
        if let Some(place) = self.entries.iter().rev().position(|(n, v)| *n == name && v == value) {
            return integer(out, 0x80, 7, DYNAMIC + place);
        }
        let name_length = if let Name::Other(name) = name { name.len() } else { LONGEST_NAME };
        let size = ENTRY_OVERHEAD + name_length + value.len();
        if self.used + size > self.room {
            return self.once(out, name, value);
        }
        self.used += size;
        literal(out, 0x40, 6, name, value);
        self.entries.push((name, value.to_owned()));
    }

    /// Writes a field that is said once.
    pub fn once(&self, out: &mut Vec<u8>, name: Name, value: &str) {
        literal(out, 0x00, 4, name, value);
    }
}

/// Longest name in [`Name`]: `content-length`. Counting too much only leaves room unused.
const LONGEST_NAME: usize = 14;

fn literal(out: &mut Vec<u8>, pattern: u8, prefix: u32, name: Name, value: &str) {
    integer(out, pattern, prefix, name.place() as usize);
    if let Name::Other(name) = name {
        text(out, name);
    }
    text(out, value);
}

fn text(out: &mut Vec<u8>, text: &str) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Writes an integer behind the pattern of its first byte (RFC 7541 section 5.1).
fn integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let most = (1usize << prefix) - 1;
    if value < most {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What an answer's header block says of what the uplink wants to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields {
    /// `:status`; trailers have none.
    pub status: Option<u16>,
    /// `retry-after` in seconds; `None` too for one that is a date.
    pub retry_after_s: Option<u64>,
    /// `content-type`, if one was said.
    pub kind: Option<Kind>,
}

/// What a `content-type` says a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `application/x-protobuf`
    Protobuf,
    /// Anything else.
    Other,
}

/// `application/x-protobuf` in Huffman code (RFC 7541, Appendix B).
const PROTOBUF: [u8; 16] = [0x1d, 0x75, 0xd0, 0x62, 0x0d, 0x26, 0x3d, 0x4c, 0x79, 0x5a, 0xbb, 0x0e, 0x93, 0xc7, 0x6c, 0xbf];

/// Names that are read, plain and in Huffman code.
const CONTENT_TYPE: (&[u8], &[u8]) = (b"content-type", &[0x21, 0xea, 0x49, 0x6a, 0x4a, 0xc9, 0xf5, 0x59, 0x7f]);
const RETRY_AFTER: (&[u8], &[u8]) = (b"retry-after", &[0xb0, 0xa9, 0xb3, 0xd2, 0xc3, 0x95, 0x25, 0xb3]);

fn is_name((is_huffman, text): (bool, &[u8]), (plain, huffman): (&[u8], &[u8])) -> bool {
    text == if is_huffman { huffman } else { plain }
}

fn kind((is_huffman, text): (bool, &[u8])) -> Kind {
    let is_protobuf = if is_huffman { text == PROTOBUF } else { text.eq_ignore_ascii_case(b"application/x-protobuf") };
    if is_protobuf { Kind::Protobuf } else { Kind::Other }
}

/// Reads a header block.
///
/// # Errors
/// A block that ends early, names a place of the dynamic table, or has a status that is no number.
pub fn read(block: &[u8]) -> Result<Fields, Malformed> {
    let mut fields = Fields::default();
    let mut rest = block;
    while let Some(first) = rest.first().copied() {
        let (name, value) = if first & 0x80 != 0 {
            (known(take_integer(&mut rest, 7)?)?, None)
        } else if first & 0xe0 == 0x20 {
            // Ours is 0, so nothing else may be said.
            if take_integer(&mut rest, 5)? != 0 {
                return Err(Malformed);
            }
            continue;
        } else {
            let prefix = if first & 0x40 != 0 { 6 } else { 4 };
            let name = match take_integer(&mut rest, prefix)? {
                0 => named(take_text(&mut rest)?),
                place => known(place)?,
            };
            (name, Some(take_text(&mut rest)?))
        };
        match (name, value) {
            (Field::Status(status), None) => fields.status = Some(status),
            (Field::Status(_), Some(value)) => fields.status = Some(u16::try_from(digits(value).ok_or(Malformed)?).map_err(|_| Malformed)?),
            (Field::RetryAfter, Some(value)) => fields.retry_after_s = digits(value),
            (Field::ContentType, Some(value)) => fields.kind = Some(kind(value)),
            _ => {}
        }
    }
    Ok(fields)
}

enum Field {
    /// With the value it has in the static table.
    Status(u16),
    RetryAfter,
    ContentType,
    Other,
}

fn named(name: (bool, &[u8])) -> Field {
    match name {
        name if is_name(name, RETRY_AFTER) => Field::RetryAfter,
        name if is_name(name, CONTENT_TYPE) => Field::ContentType,
        _ => Field::Other,
    }
}

fn known(place: u32) -> Result<Field, Malformed> {
    const STATUS: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match place {
        8..=14 => Ok(Field::Status(STATUS[place as usize - 8])),
        31 => Ok(Field::ContentType),
        53 => Ok(Field::RetryAfter),
        1..=61 => Ok(Field::Other),
        _ => Err(Malformed),
    }
}

fn take_integer(rest: &mut &[u8], prefix: u32) -> Result<u32, Malformed> {
    let most = (1u32 << prefix) - 1;
    let (first, mut behind) = rest.split_first().ok_or(Malformed)?;
    let mut value = u32::from(*first) & most;
    if value == most {
        // Four bytes are more than any block and less than an overflow.
        for shift in (0..28).step_by(7) {
            let (byte, more) = behind.split_first().ok_or(Malformed)?;
            behind = more;
            value += u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *rest = behind;
                return Ok(value);
            }
        }
        return Err(Malformed);
    }
    *rest = behind;
    Ok(value)
}

/// Takes a string: whether it is in Huffman code, and its bytes.
fn take_text<'a>(rest: &mut &'a [u8]) -> Result<(bool, &'a [u8]), Malformed> {
    let is_huffman = rest.first().ok_or(Malformed)? & 0x80 != 0;
    let length = take_integer(rest, 7)? as usize;
    let (text, behind) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = behind;
    Ok((is_huffman, text))
}

/// Reads a number of at most nine digits.
fn digits((is_huffman, text): (bool, &[u8])) -> Option<u64> {
    let plain = if is_huffman { huffman_digits(text)? } else { text.to_vec() };
    let is_number = (1..=9).contains(&plain.len()) && plain.iter().all(u8::is_ascii_digit);
    is_number.then(|| plain.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Reads digits in Huffman code (RFC 7541, Appendix B): `0` to `2` are the five bits 0 to 2, `3` to `9` the six bits 0x19 to
/// 0x1f. Ones fill the last byte.
fn huffman_digits(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = Vec::new();
    let (mut code, mut length) = (0u8, 0);
    for place in 0..text.len() * 8 {
        code = code << 1 | (text[place / 8] >> (7 - place % 8) & 1);
        length += 1;
        let digit = match (length, code) {
            (5, 0..=2) => b'0' + code,
            (6, 0x19..=0x1f) => b'3' + (code - 0x19),
            (8, _) => return None,
            _ => continue,
        };
        digits.push(digit);
        (code, length) = (0, 0);
    }
    (code == (1 << length) - 1).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Answers of RFC 7541, C.5 and C.6, up to the first field that would enter the dynamic table.
    #[test]
    fn the_examples_of_the_standard_are_read() {
        assert_eq!(read(&[0x48, 0x03, b'3', b'0', b'2']).unwrap().status, Some(302));
        assert_eq!(read(&[0x48, 0x82, 0x64, 0x02]).unwrap().status, Some(302));
        assert_eq!(read(&[0x48, 0x83, 0x64, 0x0e, 0xff]).unwrap().status, Some(307));
        assert_eq!(read(&[0x88]).unwrap().status, Some(200));
    }

    /// The digits of the standard's table, one behind the other.
    #[test]
    fn every_digit_is_read_in_huffman_code() {
        for number in (0..1_000u64).chain([1_234_567_890 / 10, 999_999_999, 345_678_901]) {
            let text = number.to_string();
            let (mut bits, mut count) = (0u64, 0);
            for digit in text.bytes().map(|b| u64::from(b - b'0')) {
                (bits, count) = if digit < 3 { (bits << 5 | digit, count + 5) } else { (bits << 6 | (digit + 0x16), count + 6) };
            }
            let fill = (8 - count % 8) % 8;
            bits = bits << fill | ((1 << fill) - 1);
            let bytes = &bits.to_be_bytes()[8 - ((count + fill) / 8) as usize..];
            assert_eq!(digits((true, bytes)), Some(number), "{text}");
        }
        assert_eq!(digits((true, &[0xff, 0xff])), None);
        assert_eq!(digits((false, b"12a")), None);
        assert_eq!(digits((false, b"")), None);
    }

    #[test]
    fn retry_after_is_read_by_either_name_and_a_date_is_none() {
        let by_place = [0x88, 0x0f, 0x26, 0x02, b'3', b'0'];
        assert_eq!(read(&by_place).unwrap(), Fields { status: Some(200), retry_after_s: Some(30), kind: None });
        let by_name = [&[0x88, 0x00, 11][..], b"retry-after", &[2], b"31"].concat();
        assert_eq!(read(&by_name).unwrap().retry_after_s, Some(31));
        let date = [&[0x88, 0x0f, 0x26, 29][..], b"Fri, 31 Dec 1999 23:59:59 GMT"].concat();
        assert_eq!(read(&date).unwrap(), Fields { status: Some(200), ..Fields::default() });
    }

    #[test]
    fn what_a_body_is_is_read_however_it_is_said() {
        let by_place = |value: &[u8]| [&[0x88, 0x0f, 16, value.len() as u8][..], value].concat();
        assert_eq!(read(&by_place(b"application/x-protobuf")).unwrap().kind, Some(Kind::Protobuf));
        assert_eq!(read(&by_place(b"text/html")).unwrap().kind, Some(Kind::Other));
        let huffman = [&[0x88, 0x0f, 16, 0x80 | PROTOBUF.len() as u8][..], &PROTOBUF].concat();
        assert_eq!(read(&huffman).unwrap().kind, Some(Kind::Protobuf));
        let by_name = [&[0x88, 0x00, 0x80 | CONTENT_TYPE.1.len() as u8][..], CONTENT_TYPE.1, &[1, b'x']].concat();
        assert_eq!(read(&by_name).unwrap().kind, Some(Kind::Other));
        assert_eq!(read(&[0x88]).unwrap().kind, None);
    }

    #[test]
    fn what_needs_a_table_we_forbade_is_malformed() {
        for block in
            [&[0xbe][..], &[0x7f, 0x00, 0x00], &[0x80], &[0x3f, 0x01], &[0x48, 0x03, b'2'], &[0x0f], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]
        {
            assert_eq!(read(block), Err(Malformed), "{block:x?}");
        }
        assert_eq!(read(&[0x20, 0x88]).unwrap().status, Some(200));
    }

    #[test]
    fn what_was_said_before_costs_a_byte() {
        let (mut encoder, mut first, mut second) = (Encoder::default(), Vec::new(), Vec::new());
        for out in [&mut first, &mut second] {
            encoder.begin(out);
            encoder.whole(out, Whole::Post);
            encoder.kept(out, Name::Path, "/v1/batches");
            encoder.kept(out, Name::ContentType, "a/b");
            encoder.once(out, Name::Other("rusta-boot"), "1");
        }
        assert_eq!(first, [&[0x83, 0x44, 11][..], b"/v1/batches", &[0x5f, 3], b"a/b", &[0x00, 10], b"rusta-boot", &[1], b"1"].concat());
        assert_eq!(second, [&[0x83, 0xbf, 0xbe, 0x00, 10][..], b"rusta-boot", &[1], b"1"].concat());
        encoder.resize(0);
        let mut third = Vec::new();
        encoder.begin(&mut third);
        encoder.kept(&mut third, Name::Path, "/v1/batches");
        assert_eq!(third, [&[0x20, 0x20, 0x04, 11][..], b"/v1/batches"].concat());
    }

    proptest! {
        #[test]
        fn any_block_is_read_without_panic(block in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&block);
        }
    }
}
