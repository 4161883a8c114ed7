//! Networks, such as a token may be used from or a proxy speaks from: an address and how many of its bits count (RFC 4632, RFC 4291 section 2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network such as `10.20.0.0/16`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address lies in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        // A shift by all bits, of a network that is everything, leaves nothing to compare.
        let differ = match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(self.bits)).unwrap_or(0) != 0,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(self.bits)).unwrap_or(0) != 0,
            _ => true,
        };
        !differ
    }

    /// Reads networks with blanks or commas between them.
    ///
    /// # Errors
    /// The word that is none.
    pub fn list(text: &str) -> Result<Vec<Network>, String> {
        text.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty()).map(str::parse).collect()
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("`{word}` is no network such as 10.20.0.0/16");
        let (address, bits) = word.split_once('/').map_or((word, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits <= most { Ok(Network { address, bits }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let holds = |network: &str, address: &str| network.parse::<Network>().unwrap().holds(address.parse().unwrap());
        assert!(holds("10.20.0.0/16", "10.20.255.1") && holds("10.20.0.0/16", "::ffff:10.20.0.9"));
        assert!(!holds("10.20.0.0/16", "10.21.0.0") && !holds("10.20.0.0/16", "2001:db8::1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && holds("::/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::1"));
        for wrong in ["10.0.0.0/33", "10.0.0/8", "::/129", "x", "10.0.0.0/-1", "/8", "10.0.0.1/"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
