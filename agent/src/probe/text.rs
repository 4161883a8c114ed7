//! The small texts of a probe's configuration that name a place: `10.1.0.1`, `portal.example`, `[fd00::1]:443`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

/// A machine, by address or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Host {
    /// An address; nothing is resolved.
    Address(IpAddr),
    /// A name, resolved over the link's own way on every round.
    Name(String),
}

/// A machine and, where the text gives one, a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Place {
    /// The machine.
    pub host: Host,
    /// The port; `None` leaves it to the protocol.
    pub port: Option<u16>,
}

impl Place {
    /// Returns the port, or the protocol's own.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Host::Address(address));
        }
        if is_name(text) {
            Ok(Host::Name(text.to_ascii_lowercase()))
        } else {
            Err(format!("`{text}` is neither an address nor a host name"))
        }
    }
}

/// RFC 1123 host names, with the underscore that service names use.
fn is_name(text: &str) -> bool {
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
    };
    // Four numbers that did not parse are a mistyped address, not a name.
    let looks_numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    !looks_numeric && text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label_fits)
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port_of = |port: &str| match port.parse::<u16>() {
            Ok(port) if port != 0 => Ok(port),
            _ => Err(format!("`{port}` in `{text}` is not a port between 1 and 65535")),
        };
        match text.rsplit_once(':') {
            // A bare IPv6 address has colons and no port.
            _ if text.parse::<IpAddr>().is_ok() => Ok(Place { host: text.parse()?, port: None }),
            Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.starts_with('[') && host.ends_with(']')) => {
                Ok(Place { host: host.parse()?, port: Some(port_of(port)?) })
            }
            _ => Ok(Place { host: text.parse()?, port: None }),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Address(IpAddr::V6(address)), Some(port)) => write!(f, "[{address}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
            (host, None) => host.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_and_print_alike() {
        for text in ["10.1.0.1", "10.1.0.1:443", "fd00::1", "[fd00::1]:443", "portal.example", "portal.example:8443", "_sip._udp.example"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistyped_places_are_refused() {
        for text in ["", "10.1.0", "10.1.0.256", "portal..example", "a b", "host:0", "host:65536", "host:", ":80", "-a.example", "[fd00::1"]
        {
            assert!(text.parse::<Place>().is_err(), "{text:?} was accepted");
        }
    }
}
