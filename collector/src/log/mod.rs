//! The durable log: every accepted batch once, in the order received, as the frame bytes that arrived.
//!
//! Readers follow it with a [`Position`] of their own; nothing is ever changed in it, only whole days are unlinked.

mod record;

pub use record::{Position, Stored};
