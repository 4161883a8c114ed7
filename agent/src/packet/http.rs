//! HTTP/1.1 as a probe speaks it (RFC 9112): one request, one answer, then the connection closes.
//!
//! An own codec and not an HTTP library, because a probe wants the moment of the first byte, a bound on everything, and no
//! second HTTP stack in a program that counts kilobytes.

use super::Malformed;

/// Longest head of an answer. Portals with a dozen cookies stay below half of it.
pub const HEAD_BYTES: usize = 32 * 1024;

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Where a redirect leads, as written.
    pub location: Option<String>,
    /// How the body ends.
    pub framing: Framing,
    /// Bytes of the head, its empty line included.
    pub length: usize,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// Reads a head; `Ok(None)` until the empty line has come.
///
/// # Errors
/// Anything that is not an HTTP/1 answer, or a head longer than [`HEAD_BYTES`].
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let starts_right = bytes.iter().zip(b"HTTP/1.").all(|(got, want)| got == want);
    let end = bytes.windows(4).take(HEAD_BYTES).position(|w| w == b"\r\n\r\n");
    let Some(end) = end else {
        return if starts_right && bytes.len() < HEAD_BYTES { Ok(None) } else { Err(Malformed) };
    };
    let text =
        std::str::from_utf8(&bytes[..end]).map(str::to_owned).unwrap_or_else(|_| String::from_utf8_lossy(&bytes[..end]).into_owned());
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(status_of).ok_or(Malformed)?;
    let mut head = Head { status, location: None, framing: Framing::Close, length: end + 4 };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Malformed)?;
        read_field(&mut head, name, value.trim())?;
    }
    if matches!(status, 100..=199 | 204 | 304) {
        head.framing = Framing::Length(0);
    }
    Ok(Some(head))
}

fn status_of(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    let digits = rest.get(..3)?;
    let is_status =
        version.starts_with("HTTP/1.") && digits.bytes().all(|b| b.is_ascii_digit()) && matches!(rest.as_bytes().get(3), None | Some(b' '));
    digits.parse().ok().filter(|status| is_status && (100..=599).contains(status))
}

fn read_field(head: &mut Head, name: &str, value: &str) -> Result<(), Malformed> {
    if name.eq_ignore_ascii_case("location") {
        head.location = Some(value.to_owned());
    } else if name.eq_ignore_ascii_case("transfer-encoding") {
        // Chunked wins over a length (RFC 9112 section 6.3).
        if value.to_ascii_lowercase().ends_with("chunked") {
            head.framing = Framing::Chunked;
        }
    } else if name.eq_ignore_ascii_case("content-length") && head.framing != Framing::Chunked {
        head.framing = Framing::Length(value.parse().map_err(|_| Malformed)?);
    }
    Ok(())
}

/// Takes the body out of the bytes that follow a head, up to a limit.
#[derive(Debug)]
pub struct Body {
    state: State,
    limit: usize,
    /// The body so far.
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fixed(u64),
    UntilClose,
    ChunkSize { so_far: u64, digits: u8, in_extension: bool },
    Chunk(u64),
    ChunkEnd,
    Done,
}

const CHUNK_START: State = State::ChunkSize { so_far: 0, digits: 0, in_extension: false };

impl Body {
    /// Starts a body.
    pub fn new(framing: Framing, limit: usize) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Fixed(length),
            Framing::Chunked => CHUNK_START,
            Framing::Close => State::UntilClose,
        };
        Body { state, limit, bytes: Vec::new() }
    }

    /// Tells whether nothing more is wanted: the body ended or the limit is reached.
    pub fn is_done(&self) -> bool {
        self.state == State::Done || self.bytes.len() >= self.limit
    }

    /// Tells whether a closed connection is the right end here.
    pub fn may_close(&self) -> bool {
        self.is_done() || self.state == State::UntilClose
    }

    /// Takes what came next.
    ///
    /// # Errors
    /// Chunk sizes that are none.
    pub fn feed(&mut self, mut input: &[u8]) -> Result<(), Malformed> {
        while !input.is_empty() && !self.is_done() {
            input = match self.state {
                State::Fixed(left) => self.copy(input, left, |left| if left == 0 { State::Done } else { State::Fixed(left) }),
                State::Chunk(left) => self.copy(input, left, |left| if left == 0 { State::ChunkEnd } else { State::Chunk(left) }),
                State::UntilClose => self.copy(input, u64::MAX, |_| State::UntilClose),
                State::ChunkEnd => {
                    if input[0] == b'\n' {
                        self.state = CHUNK_START;
                    } else if input[0] != b'\r' {
                        return Err(Malformed);
                    }
                    &input[1..]
                }
                State::ChunkSize { so_far, digits, in_extension } => {
                    self.state = chunk_size(so_far, digits, in_extension, input[0])?;
                    &input[1..]
                }
                State::Done => &[],
            };
        }
        Ok(())
    }

    fn copy<'a>(&mut self, input: &'a [u8], left: u64, next: impl Fn(u64) -> State) -> &'a [u8] {
        let room = self.limit - self.bytes.len();
        let count = input.len().min(room).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.bytes.extend_from_slice(&input[..count]);
        self.state = next(left - count as u64);
        &input[count..]
    }
}

fn chunk_size(so_far: u64, digits: u8, in_extension: bool, byte: u8) -> Result<State, Malformed> {
    match byte {
        b'\n' if digits == 0 => Err(Malformed),
        // The trailer after the last chunk says nothing a probe wants.
        b'\n' if so_far == 0 => Ok(State::Done),
        b'\n' => Ok(State::Chunk(so_far)),
        b'\r' => Ok(State::ChunkSize { so_far, digits, in_extension }),
        b';' | b' ' | b'\t' => Ok(State::ChunkSize { so_far, digits, in_extension: true }),
        _ if in_extension => Ok(State::ChunkSize { so_far, digits, in_extension }),
        // Fifteen digits are more than any body and less than an overflow.
        _ if digits >= 15 => Err(Malformed),
        _ => {
            let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
            Ok(State::ChunkSize { so_far: so_far * 16 + u64::from(digit), digits: digits + 1, in_extension })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        4;name=x\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\n\r\n";

    fn read(answer: &[u8], limit: usize, step: usize) -> (Head, Body) {
        let head = head(answer).unwrap().unwrap();
        let mut body = Body::new(head.framing, limit);
        for piece in answer[head.length..].chunks(step) {
            body.feed(piece).unwrap();
        }
        (head, body)
    }

    #[test]
    fn a_chunked_body_is_the_same_in_any_pieces() {
        for step in 1..40 {
            let (head, body) = read(CHUNKED, 1024, step);
            assert_eq!((head.status, head.framing), (200, Framing::Chunked));
            assert_eq!(body.bytes, b"Wikipedia in \r\n\r\nchunks.");
            assert!(body.is_done());
        }
    }

    #[test]
    fn the_limit_ends_a_body() {
        let (_, body) = read(CHUNKED, 7, 64);
        assert_eq!(body.bytes, b"Wikiped");
        assert!(body.is_done());
        let (_, endless) = read(b"HTTP/1.0 200 OK\r\n\r\nabcdef", 4, 1);
        assert_eq!(endless.bytes, b"abcd");
    }

    #[test]
    fn redirects_and_empty_answers_are_read() {
        let moved = head(b"HTTP/1.1 302 Found\r\nLOCATION:  /login?x=1\r\nContent-Length: 5\r\n\r\n").unwrap().unwrap();
        assert_eq!(moved.location.as_deref(), Some("/login?x=1"));
        assert_eq!(moved.framing, Framing::Length(5));
        let nothing = head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert!(Body::new(nothing.framing, 10).is_done());
    }

    #[test]
    fn a_cut_body_is_not_done() {
        let (_, body) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 100, 100);
        assert!(!body.is_done() && !body.may_close());
    }

    #[test]
    fn other_protocols_are_malformed_at_their_first_bytes() {
        for bytes in
            [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\x16\x03\x01", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 999 X\r\n\r\n"]
        {
            assert_eq!(head(bytes), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(head(b"HTT"), Ok(None));
        let endless: Vec<u8> = b"HTTP/1.1 200 OK\r\nX: ".iter().copied().chain(std::iter::repeat_n(b'a', HEAD_BYTES)).collect();
        assert_eq!(head(&endless), Err(Malformed));
    }

    #[test]
    fn chunk_sizes_that_are_none_are_malformed() {
        for bytes in [&b"xyz\r\n"[..], b"\r\n", b"ffffffffffffffff\r\n", b"1\r\nab"] {
            assert_eq!(Body::new(Framing::Chunked, 100).feed(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), flip in 0usize..90, to in any::<u8>()) {
            let _ = head(&bytes);
            let mut body = Body::new(Framing::Chunked, 50);
            let _ = body.feed(&bytes);
            prop_assert!(body.bytes.len() <= 50);
            let mut bent = CHUNKED.to_vec();
            bent[flip] = to;
            if let Ok(Some(head)) = head(&bent) {
                let _ = Body::new(head.framing, 10).feed(&bent[head.length..]);
            }
        }
    }
}
