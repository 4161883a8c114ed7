//! What a command says on standard output.
//!
//! A reader that has seen enough (`| head`) ends the command, as it ends any other; any other fault of standard output is a
//! failure. The standard library's own macros panic at both.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Prints a line; see [`line()`].
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Writes a line, or ends the process: with success if the reader is gone, with failure if the line cannot be kept.
pub fn line(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            // Standard error may be as full as standard output; the exit code says it in any case.
            let _ = writeln!(io::stderr(), "standard output: {error}");
            std::process::exit(1);
        }
    }
}
