//! Identities that travel: who (agent), in which life (boot), which piece (sequence), under which names (table).

use std::fmt;
use std::str::FromStr;

macro_rules! hex_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:016x}", self.0) }
        }

        impl FromStr for $name {
            type Err = String;
            /// Reads exactly sixteen hexadecimal digits.
            fn from_str(text: &str) -> Result<Self, String> {
                if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(format!("`{text}` is not sixteen hexadecimal digits"));
                }
                u64::from_str_radix(text, 16).map($name).map_err(|e| e.to_string())
            }
        }
    };
}

hex_id!(
    /// One enrolled agent. Drawn at random by the collector at enrolment and written into the certificate's common name.
    AgentId
);
hex_id!(
    /// One life of an agent's clock: the kernel's `boot_id` folded to 64 bits. Monotonic times compare only within it.
    BootId
);
hex_id!(
    /// The content hash (FNV-1a 64) of an encoded [`crate::SeriesTable`].
    TableId
);

/// A batch's place in its boot: each number once, growing. An agent that starts leaves a gap, lest it use a number again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What makes a batch the same batch: invariant 1 counts each of these once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// The agent that measured.
    pub agent: AgentId,
    /// The boot it measured in.
    pub boot: BootId,
    /// The place in that boot.
    pub sequence: Sequence,
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.agent, self.boot, self.sequence)
    }
}
