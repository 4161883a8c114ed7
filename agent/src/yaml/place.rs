//! From a path in the configuration to its line and column.
//!
//! The YAML parser tells places only in its errors, so the text is walked along the path with a reader that fails on purpose
//! when it has arrived.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Step;

/// Finds the line and column of a path by walking the text along it, stopping with an error at its end: the parser puts
/// the place into every error.
pub(super) fn locate(text: &str, path: &[Step], at_key: bool) -> (usize, usize) {
    // An owner's place is better than none, when the parser cannot follow to the end (merge keys, aliases).
    (0..=path.len())
        .rev()
        .find_map(|length| {
            let walk = Walk { path: &path[..length], at_key: at_key && length == path.len() };
            let error = walk.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
            error.to_string().contains(ARRIVED).then(|| error.location().map(|at| (at.line(), at.column())))?
        })
        .unwrap_or((1, 1))
}

/// What the walk says when it has arrived. The parser puts the path in front and the place behind.
const ARRIVED: &str = "\u{1}here";

struct Walk<'a> {
    path: &'a [Step],
    at_key: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn scalar<E: de::Error>(&self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom(ARRIVED)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a way to the mistake")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), rest)) = self.path.split_first() else { return self.scalar() };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Walk { path: rest, at_key: self.at_key })?;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.path.split_first() else { return self.scalar() };
        let stop = self.at_key && rest.is_empty();
        while let Some(matched) = map.next_key_seed(KeyAt { wanted, stop })? {
            if matched {
                return map.next_value_seed(Walk { path: rest, at_key: self.at_key });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

struct KeyAt<'a> {
    wanted: &'a str,
    stop: bool,
}

impl<'de> DeserializeSeed<'de> for KeyAt<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyAt<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.stop => Err(E::custom(ARRIVED)),
            same => Ok(same),
        }
    }
}
