//! Pure codecs: bytes to facts and back. Nothing here opens a socket, waits, or reads a clock, and no input panics.
