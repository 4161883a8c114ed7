//! What a command says on standard output. The standard library's own macros panic when it cannot be written.

use std::io::{self, ErrorKind, Write};

use crate::usage::Failure;

/// Says a text, which ends with its line. A reader that has seen enough (`| head`) is no fault: the command goes on to the
/// end that its work deserves.
///
/// # Errors
/// Standard output cannot keep it, as on a full disk.
pub fn say(text: &str) -> Result<(), Failure> {
    say_to(&mut io::stdout().lock(), text)
}

fn say_to(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Failed(format!("standard output: {error}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_fault_and_a_full_device_is() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert!(say_to(&mut writer, "a ladder\n").is_ok());
        let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let said = say_to(&mut full, "a ladder\n").unwrap_err().to_string();
        assert!(said.starts_with("standard output: No space left"), "{said}");
    }
}
