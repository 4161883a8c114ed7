//! A value of the wire's vocabularies as JSON carries it: its word.

use std::fmt::Display;

use serde::{Serialize, Serializer};

/// Serialises as the value's own word, such as `apn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word<T>(pub T);

impl<T: Display> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
