//! Pure codecs: bytes to facts and back. Nothing here opens a socket, waits, or reads a clock, and no input panics.

pub mod certificate;
pub mod dns;
pub mod echo;
pub mod hpack;
pub mod http;
pub mod http2;
pub mod ntp;
pub mod reader;
pub mod sip;

pub use reader::Malformed;
