//! A managed device as our readers see it: objects to get and columns to walk.

use std::fmt;
use std::future::Future;
use std::str::FromStr;

use rusta_wire::Outcome;
use serde::Deserialize;

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ObjectId(pub std::borrow::Cow<'static, [u32]>);

impl ObjectId {
    /// `sysUpTime.0`.
    pub const UPTIME: ObjectId = ObjectId(std::borrow::Cow::Borrowed(&[1, 3, 6, 1, 2, 1, 1, 3, 0]));

    pub const fn fixed(arcs: &'static [u32]) -> Self {
        ObjectId(std::borrow::Cow::Borrowed(arcs))
    }

    /// Names the object `arcs` below this one.
    pub fn child(&self, arcs: &[u32]) -> Self {
        ObjectId([&self.0, arcs].concat().into())
    }

    /// Returns what stands below `root`.
    pub fn below(&self, root: &ObjectId) -> Option<&[u32]> {
        self.0.strip_prefix(&*root.0)
    }

    /// Tells whether one of the two holds the other.
    pub fn touches(&self, other: &ObjectId) -> bool {
        self.below(other).is_some() || other.below(self).is_some()
    }
}

impl FromStr for ObjectId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let arcs: Option<Vec<u32>> = text.split('.').map(|arc| arc.parse().ok()).collect();
        match arcs {
            // No standard object is shorter, and RFC 2578 section 3.5 allows 128 arcs.
            Some(arcs) if (4..=128).contains(&arcs.len()) && arcs[0] == 1 => Ok(ObjectId(arcs.into())),
            _ => Err(format!("`{text}` is not an object identifier such as 1.3.6.1.2.1.1.3.0")),
        }
    }
}

impl TryFrom<String> for ObjectId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arcs: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&arcs.join("."))
    }
}

/// The value of an object. "No such object" is the absence of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Datum {
    /// Any number but a 64-bit counter.
    Integer(i64),
    /// A 64-bit counter.
    Counter64(u64),
    /// An octet string.
    Text(Vec<u8>),
    /// The name of an object.
    Object(ObjectId),
}

impl Datum {
    pub fn integer(&self) -> Option<i64> {
        match self {
            Datum::Integer(value) => Some(*value),
            Datum::Counter64(value) => i64::try_from(*value).ok(),
            Datum::Text(_) | Datum::Object(_) => None,
        }
    }

    pub fn text(&self) -> Option<String> {
        match self {
            Datum::Text(bytes) => Some(String::from_utf8_lossy(bytes).trim_matches(['\0', ' ', '\r', '\n']).to_owned()),
            _ => None,
        }
    }
}

/// An object and its value.
pub(super) type Binding = (ObjectId, Datum);

/// How a column is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stride {
    /// Many rows at once.
    Bulk,
    /// One object at a time, so that nothing past the column is ever fetched.
    Single,
}

/// Asks a device.
pub(super) trait Manager: Sync {
    /// Gets objects; those the device lacks are left out.
    fn get(&self, objects: &[ObjectId]) -> impl Future<Output = Result<Vec<Binding>, Outcome>> + Send;

    /// Walks a subtree, up to the limit of a walk.
    fn walk(&self, root: &ObjectId, stride: Stride) -> impl Future<Output = Result<Vec<Binding>, Outcome>> + Send;
}
