//! HTTP/2 (RFC 9113) as the uplink speaks it: one request after another on one connection, and every byte counted.
//!
//! ```text
//! frame    length u24 | type u8 | flags u8 | stream u32 | payload
//! at first preface, SETTINGS, WINDOW_UPDATE, and the first request, in one piece
//! request  HEADERS DATA, in one piece          -->
//!                                              <--  HEADERS DATA (with padding, in any pieces, 1xx in front, trailers behind)
//! ```
//! Bytes go in and out; nothing here opens a socket or waits. An own codec and not a library, because a report is paid for by
//! the byte, and because a general client (streams side by side, push, priorities) takes a tenth of the router's flash.

use std::time::Duration;

use super::Malformed;
pub use super::hpack::Kind;
use super::hpack::{self, Encoder, Name, Whole};

/// Longest frame payload, as both sides have it while neither says otherwise (SETTINGS_MAX_FRAME_SIZE).
const FRAME_BYTES: usize = 16_384;

/// Longest header block of an answer.
const HEAD_BYTES: usize = 16 * 1024;

/// Largest answer body read: an assignment of a county node. Each stream's window, so that none ever needs more.
pub const ANSWER_BYTES: usize = 1024 * 1024;

/// A window until somebody says otherwise.
const WINDOW: i64 = 65_535;

/// Largest window and largest stream number.
const MOST: u32 = (1 << 31) - 1;

/// Answers to the peer's own frames that may wait to be sent: one that asks without end, and does not read, is left.
const ANSWERS_OWED: u32 = 1_000;

/// A body as long as this is announced by its length: a server plans its memory by it. A shorter one is there with its head.
const ANNOUNCED_BODY: usize = 1_400;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// An HTTP status (RFC 9110 section 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// 200
    pub const OK: Status = Status(200);
    /// 201
    pub const CREATED: Status = Status(201);
    /// 401
    pub const UNAUTHORIZED: Status = Status(401);
    /// 403
    pub const FORBIDDEN: Status = Status(403);
    /// 409
    pub const CONFLICT: Status = Status(409);
    /// 413
    pub const TOO_LARGE: Status = Status(413);
    /// 429
    pub const TOO_MANY_REQUESTS: Status = Status(429);
    /// 503
    pub const SERVICE_UNAVAILABLE: Status = Status(503);

    /// Tells whether the fault is ours.
    pub fn is_client_error(self) -> bool {
        (400..500).contains(&self.0)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.0)
    }
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    /// The path, as in `/v1/batches`.
    pub path: &'a str,
    /// What to bring, and its type; `None` to get something.
    pub body: Option<(&'a str, Vec<u8>)>,
    /// Fields that are said this once.
    pub once: &'a [(&'static str, String)],
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The body, at most [`ANSWER_BYTES`].
    pub body: Vec<u8>,
    /// `retry-after`, unless it is a date.
    pub retry_after: Option<Duration>,
    /// What the body is said to be, if anything is said.
    pub kind: Option<Kind>,
}

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// The peer breaks the protocol.
    #[error("not HTTP/2: {0}")]
    Protocol(&'static str),
    /// The peer gave the request up, with this code (RFC 9113 section 7).
    #[error("request reset with code {0}")]
    Reset(u32),
    /// The peer leaves and will not answer.
    #[error("server says goodbye with code {0}")]
    Goodbye(u32),
    /// The body is longer than [`ANSWER_BYTES`].
    #[error("answer is too long")]
    TooLong,
    /// The numbers of streams have run out.
    #[error("connection is used up")]
    UsedUp,
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Fault::Protocol("header block")
    }
}

/// The request under way.
#[derive(Debug)]
struct Exchange {
    stream: u32,
    /// What of the body the windows did not let out yet.
    unsent: Vec<u8>,
    window: i64,
    head: Option<hpack::Fields>,
    body: Vec<u8>,
    is_over: bool,
}

/// One connection, from our side.
#[derive(Debug)]
pub struct Client {
    authority: String,
    encoder: Encoder,
    out: Vec<u8>,
    input: Vec<u8>,
    exchange: Option<Exchange>,
    next_stream: u32,
    /// What may be sent on the connection, and at the start of a stream.
    window: i64,
    initial_window: i64,
    /// Body bytes taken that the connection's window was not given back yet.
    taken: u32,
    /// Answers to the peer's frames among what is to be sent.
    owed: u32,
    /// A header block under way: its first frame's flags, and its bytes so far.
    block: Option<(u8, Vec<u8>)>,
    is_leaving: bool,
}

impl Client {
    /// Begins a connection to `authority`, as in `collector.example:8443`.
    pub fn new(authority: String) -> Client {
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let answer = u32::try_from(ANSWER_BYTES).unwrap_or(MOST);
        let settings = [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, answer)];
        let payload: Vec<u8> = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        frame(&mut out, SETTINGS, 0, 0, &payload);
        frame(&mut out, WINDOW_UPDATE, 0, 0, &answer.to_be_bytes());
        Client {
            authority,
            encoder: Encoder::default(),
            out,
            input: Vec::new(),
            exchange: None,
            next_stream: 1,
            window: WINDOW,
            initial_window: WINDOW,
            taken: 0,
            owed: 0,
            block: None,
            is_leaving: false,
        }
    }

    /// Tells whether another request may be made.
    pub fn is_open(&self) -> bool {
        !self.is_leaving && self.next_stream <= MOST && self.exchange.is_none()
    }

    /// Makes a request.
    ///
    /// # Errors
    /// [`Fault::UsedUp`] when [`Client::is_open`] says so.
    pub fn request(&mut self, request: Request<'_>) -> Result<(), Fault> {
        if !self.is_open() {
            return Err(Fault::UsedUp);
        }
        let (stream, mut head) = (self.next_stream, Vec::new());
        self.next_stream += 2;
        self.encoder.begin(&mut head);
        self.encoder.whole(&mut head, if request.body.is_some() { Whole::Post } else { Whole::Get });
        self.encoder.whole(&mut head, Whole::Https);
        self.encoder.kept(&mut head, Name::Authority, &self.authority);
        self.encoder.kept(&mut head, Name::Path, request.path);
        let mut unsent = Vec::new();
        if let Some((kind, body)) = request.body {
            self.encoder.kept(&mut head, Name::ContentType, kind);
            if body.len() >= ANNOUNCED_BODY {
                self.encoder.once(&mut head, Name::ContentLength, &body.len().to_string());
            }
            unsent = body;
        }
        for (name, value) in request.once {
            let name = if *name == "user-agent" { Name::UserAgent } else { Name::Other(name) };
            self.encoder.once(&mut head, name, value);
        }
        let end = if unsent.is_empty() { END_STREAM } else { 0 };
        // Our few fields fit a frame: the longest is an authority, a host name of at most 253 letters.
        frame(&mut self.out, HEADERS, END_HEADERS | end, stream, &head);
        self.exchange = Some(Exchange { stream, unsent, window: self.initial_window, head: None, body: Vec::new(), is_over: false });
        self.send_body();
        Ok(())
    }

    /// Returns what is to be sent.
    pub fn to_send(&self) -> &[u8] {
        &self.out
    }

    /// Notes that the first bytes of [`Client::to_send`] are sent.
    pub fn sent(&mut self, count: usize) {
        self.out.drain(..count.min(self.out.len()));
        if self.out.is_empty() {
            self.owed = 0;
        }
    }

    /// Takes the answer, once it is whole.
    pub fn take_response(&mut self) -> Option<Response> {
        let exchange = self.exchange.take_if(|exchange| exchange.is_over)?;
        // The answer came before the request was out: the peer wants no more of it, and the rest would be in the way.
        self.is_leaving |= !exchange.unsent.is_empty();
        let fields = exchange.head.unwrap_or_default();
        let status = Status(fields.status.unwrap_or_default());
        Some(Response { status, body: exchange.body, retry_after: fields.retry_after_s.map(Duration::from_secs), kind: fields.kind })
    }

    /// Takes in what came.
    ///
    /// # Errors
    /// See [`Fault`]; the connection is then of no more use.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some((header, behind)) = rest.split_first_chunk::<9>() {
            let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *header;
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            if length > FRAME_BYTES {
                return Err(Fault::Protocol("a frame over the limit"));
            }
            let Some((payload, next)) = behind.split_at_checked(length) else { break };
            self.take_frame(kind, flags, u32::from_be_bytes([s0, s1, s2, s3]) & MOST, payload)?;
            rest = next;
        }
        self.input = rest.to_vec();
        self.send_body();
        Ok(())
    }

    fn take_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Fault> {
        if self.block.is_some() && (kind != CONTINUATION || !self.is_current(stream)) {
            return Err(Fault::Protocol("a header block broken off"));
        }
        match kind {
            DATA => self.take_data(flags, stream, payload),
            HEADERS => {
                self.expect_current(stream)?;
                let mut payload = without_padding(flags, payload)?;
                if flags & PRIORITY != 0 {
                    payload = payload.get(5..).ok_or(Fault::Protocol("priority"))?;
                }
                self.take_block(flags, payload.to_vec())
            }
            CONTINUATION => {
                let (first, mut block) = self.block.take().ok_or(Fault::Protocol("a continuation of nothing"))?;
                if block.len() + payload.len() > HEAD_BYTES {
                    return Err(Fault::Protocol("a header block over the limit"));
                }
                block.extend_from_slice(payload);
                self.take_block(first & !END_HEADERS | flags & END_HEADERS, block)
            }
            RST_STREAM if self.is_current(stream) => Err(Fault::Reset(number(payload)?)),
            SETTINGS => self.take_settings(flags, stream, payload),
            PUSH_PROMISE => Err(Fault::Protocol("a push, which was forbidden")),
            PING => self.take_ping(flags, stream, payload),
            GOAWAY => {
                self.is_leaving = true;
                let last = number(payload.get(..4).unwrap_or_default())? & MOST;
                let code = number(payload.get(4..8).unwrap_or_default())?;
                let is_lost = self.exchange.as_ref().is_some_and(|exchange| exchange.stream > last);
                if is_lost { Err(Fault::Goodbye(code)) } else { Ok(()) }
            }
            WINDOW_UPDATE => self.take_window(stream, number(payload)? & MOST),
            // PRIORITY, a reset of what is over, and what later standards bring.
            _ => Ok(()),
        }
    }

    fn is_current(&self, stream: u32) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.stream == stream && !exchange.is_over)
    }

    fn expect_current(&mut self, stream: u32) -> Result<&mut Exchange, Fault> {
        let current = self.exchange.as_mut().filter(|exchange| exchange.stream == stream && !exchange.is_over);
        current.ok_or(Fault::Protocol("a frame for no request"))
    }

    fn take_data(&mut self, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Fault> {
        let exchange = self.expect_current(stream)?;
        if exchange.head.is_none() {
            return Err(Fault::Protocol("a body without a head"));
        }
        let data = without_padding(flags, payload)?;
        if exchange.body.len() + data.len() > ANSWER_BYTES {
            return Err(Fault::TooLong);
        }
        exchange.body.extend_from_slice(data);
        exchange.is_over = flags & END_STREAM != 0;
        self.taken += payload.len() as u32;
        // Half of what the connection was given at first, so that it never runs dry, and seldom costs a frame.
        if self.taken as usize >= ANSWER_BYTES / 2 {
            let taken = std::mem::take(&mut self.taken);
            self.answer(WINDOW_UPDATE, 0, &taken.to_be_bytes())?;
        }
        Ok(())
    }

    fn take_block(&mut self, flags: u8, block: Vec<u8>) -> Result<(), Fault> {
        if flags & END_HEADERS == 0 {
            self.block = Some((flags, block));
            return Ok(());
        }
        let fields = hpack::read(&block)?;
        let Some(exchange) = &mut self.exchange else { return Ok(()) };
        let is_end = flags & END_STREAM != 0;
        match (fields.status, exchange.head.is_some()) {
            (Some(100..=199), false) if !is_end => {}
            (Some(200..=599), false) => exchange.head = Some(fields),
            (None, true) if is_end => {}
            _ => return Err(Fault::Protocol("a head out of place")),
        }
        exchange.is_over = is_end;
        Ok(())
    }

    fn take_settings(&mut self, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Fault> {
        if stream != 0 || !payload.len().is_multiple_of(6) || (flags & ACK != 0 && !payload.is_empty()) {
            return Err(Fault::Protocol("settings"));
        }
        if flags & ACK != 0 {
            return Ok(());
        }
        for setting in payload.chunks_exact(6) {
            let value = number(&setting[2..])?;
            match u16::from_be_bytes([setting[0], setting[1]]) {
                HEADER_TABLE_SIZE => self.encoder.resize(value),
                INITIAL_WINDOW_SIZE if value > MOST => return Err(Fault::Protocol("a window over the limit")),
                INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.initial_window;
                    self.initial_window = i64::from(value);
                    if let Some(exchange) = &mut self.exchange {
                        exchange.window += change;
                    }
                }
                MAX_FRAME_SIZE if !(FRAME_BYTES..1 << 24).contains(&(value as usize)) => {
                    return Err(Fault::Protocol("a frame size out of range"));
                }
                _ => {}
            }
        }
        self.answer(SETTINGS, ACK, &[])
    }

    fn take_ping(&mut self, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Fault> {
        if stream != 0 || payload.len() != 8 {
            return Err(Fault::Protocol("ping"));
        }
        if flags & ACK != 0 { Ok(()) } else { self.answer(PING, ACK, payload) }
    }

    fn take_window(&mut self, stream: u32, more: u32) -> Result<(), Fault> {
        let is_current = self.is_current(stream);
        let window = match &mut self.exchange {
            _ if stream == 0 => &mut self.window,
            Some(exchange) if is_current => &mut exchange.window,
            // For a stream that is over.
            _ => return Ok(()),
        };
        *window += i64::from(more);
        if more == 0 || *window > i64::from(MOST) { Err(Fault::Protocol("a window over the limit")) } else { Ok(()) }
    }

    /// Queues a frame on stream 0.
    fn answer(&mut self, kind: u8, flags: u8, payload: &[u8]) -> Result<(), Fault> {
        self.owed += 1;
        if self.owed > ANSWERS_OWED {
            return Err(Fault::Protocol("more questions than answers"));
        }
        frame(&mut self.out, kind, flags, 0, payload);
        Ok(())
    }

    /// Queues as much of the body as the windows allow.
    fn send_body(&mut self) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| !exchange.is_over) else { return };
        while !exchange.unsent.is_empty() {
            let room = usize::try_from(exchange.window.min(self.window)).unwrap_or(0);
            let count = exchange.unsent.len().min(room).min(FRAME_BYTES);
            if count == 0 {
                return;
            }
            let rest = exchange.unsent.split_off(count);
            let end = if rest.is_empty() { END_STREAM } else { 0 };
            frame(&mut self.out, DATA, end, exchange.stream, &exchange.unsent);
            exchange.unsent = rest;
            exchange.window -= count as i64;
            self.window -= count as i64;
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // Nobody passes more than a frame holds.
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

fn without_padding(flags: u8, payload: &[u8]) -> Result<&[u8], Fault> {
    if flags & PADDED == 0 {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(Fault::Protocol("padding"))?;
    let length = rest.len().checked_sub(usize::from(*padding)).ok_or(Fault::Protocol("padding"))?;
    Ok(&rest[..length])
}

fn number(payload: &[u8]) -> Result<u32, Fault> {
    payload.try_into().map(u32::from_be_bytes).map_err(|_| Fault::Protocol("a frame of the wrong length"))
}

#[cfg(test)]
#[path = "http2_tests.rs"]
mod tests;
