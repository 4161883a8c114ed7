//! What the program says on stderr while it runs: one line an event, level, sentence, fields.
//!
//! No colour and no time: init systems add their own. Spans are not followed, because nothing here waits inside another
//! thing for long; so this is all of a `tracing` subscriber the agent needs. What libraries say of each round of a device that
//! refuses is not for people either: the agent itself says once what a target has come to.
//!
//! ```text
//!  INFO connected to collector url=https://collector.example:8443 link="gov"
//! ```

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Sends the program's diagnostics to stderr from here on.
pub fn to_stderr() {
    // Only a second call fails, and then the first one holds.
    let _ = tracing::subscriber::set_global_default(Stderr);
}

struct Stderr;

impl Subscriber for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO && metadata.target().starts_with("rusta_")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // stderr may be a pipe whose reader is gone: no reason to stop measuring.
        let _ = std::io::stderr().write_all(line(event).as_bytes());
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

fn line(event: &Event<'_>) -> String {
    let mut line = Line { text: format!("{:>5}", event.metadata().level().as_str()) };
    event.record(&mut line);
    line.text.push('\n');
    line.text
}

struct Line {
    text: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A string cannot refuse what is written to it.
        let _ = match field.name() {
            "message" => write!(self.text, " {value:?}"),
            name => write!(self.text, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Keeps the lines instead of printing them.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            Stderr.enabled(metadata)
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            Stderr.new_span(span)
        }
        fn record(&self, _span: &Id, _values: &Record<'_>) {}
        fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(line(event));
        }
        fn enter(&self, _span: &Id) {}
        fn exit(&self, _span: &Id) {}
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let kept = Kept::default();
        tracing::subscriber::with_default(kept.clone(), || {
            let url = "https://collector.example";
            tracing::info!(%url, link = "gov", batches = 3, "connected");
            tracing::error!(reason = "two\nlines", "refused");
            tracing::debug!("not for people");
            tracing::error!(target: "async_snmp::client", "authentication failed");
        });
        let lines = kept.0.lock().unwrap();
        assert_eq!(
            *lines,
            [" INFO connected url=https://collector.example link=\"gov\" batches=3\n", "ERROR refused reason=\"two\\nlines\"\n"]
        );
    }
}
