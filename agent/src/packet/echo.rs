//! ICMP echo requests with a checksum that stays the same, so that every packet of a trace takes the same path.
//!
//! Routers that share load pick a path by the first bytes after the IP header, and for ICMP these hold the checksum. The
//! sequence number changes with each packet; two bytes of payload take the change back (Augustin et al., "Paris
//! traceroute", IMC 2006).

use std::net::IpAddr;

/// Bytes of an ICMP header.
pub const HEADER_BYTES: usize = 8;
/// The smallest packet that has room for the balance.
pub const SMALLEST: usize = HEADER_BYTES + 2;

const REQUEST_V4: u8 = 8;
const REQUEST_V6: u8 = 128;
const REPLY_V4: u8 = 0;
const REPLY_V6: u8 = 129;

/// Writes an echo request of `length` bytes, header included.
pub fn balanced_request(is_v4: bool, identifier: u16, sequence: u16, length: usize) -> Vec<u8> {
    let mut packet = vec![0; length.max(SMALLEST)];
    packet[0] = if is_v4 { REQUEST_V4 } else { REQUEST_V6 };
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..10].copy_from_slice(&(!sequence).to_be_bytes());
    if is_v4 {
        let sum = pnet::util::checksum(&packet, 1);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// Reads an echo reply's sequence number; `None` for anything else.
pub fn reply_sequence(icmp: &[u8]) -> Option<u16> {
    let is_reply = matches!(icmp.first(), Some(&REPLY_V4 | &REPLY_V6)) && icmp.len() >= HEADER_BYTES;
    is_reply.then(|| u16::from_be_bytes([icmp[6], icmp[7]]))
}

/// What an ICMP packet says about an echo request.
#[derive(Debug, PartialEq, Eq)]
pub struct Echoed {
    /// Whom the request went to.
    pub target: IpAddr,
    /// Its identifier.
    pub identifier: u16,
    /// Its sequence number.
    pub sequence: u16,
    /// Whether the target answered; else the network says that it cannot be reached.
    pub is_reply: bool,
}

/// Reads what `from` sent: a reply, or an error that quotes the request (RFC 792, RFC 4443). `with_header` says whether the
/// IPv4 header is part of the packet. `None` for everything else.
pub fn echoed(packet: &[u8], with_header: bool, from: IpAddr) -> Option<Echoed> {
    let icmp = if with_header && from.is_ipv4() { packet.get(v4_header_bytes(packet)?..)? } else { packet };
    let said = |target: IpAddr, echo: &[u8], is_reply: bool| {
        let word = |at: usize| Some(u16::from_be_bytes(echo.get(at..at + 2)?.try_into().ok()?));
        Some(Echoed { target, identifier: word(4)?, sequence: word(6)?, is_reply })
    };
    match (*icmp.first()?, from) {
        (REPLY_V4, IpAddr::V4(_)) | (REPLY_V6, IpAddr::V6(_)) => said(from, icmp, true),
        (REQUEST_V4, IpAddr::V4(_)) => None,
        (_, IpAddr::V4(_)) => {
            let quoted = icmp.get(HEADER_BYTES..)?;
            let target: [u8; 4] = quoted.get(16..20)?.try_into().ok()?;
            said(target.into(), quoted.get(v4_header_bytes(quoted)?..)?, false)
        }
        (kind, IpAddr::V6(_)) => {
            let quoted = icmp.get(HEADER_BYTES..).filter(|quoted| kind <= LAST_ERROR_V6 && quoted.get(6) == Some(&ICMP_V6))?;
            let target: [u8; 16] = quoted.get(24..40)?.try_into().ok()?;
            said(target.into(), quoted.get(V6_HEADER_BYTES..)?, false)
        }
    }
}

const LAST_ERROR_V6: u8 = 127;
const ICMP_V6: u8 = 58;
const V6_HEADER_BYTES: usize = 40;

fn v4_header_bytes(packet: &[u8]) -> Option<usize> {
    packet.first().map(|first| usize::from(first & 15) * 4).filter(|bytes| *bytes >= 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_right_and_the_same_for_every_sequence() {
        let first = balanced_request(true, 0x1234, 1, 60);
        for sequence in [0, 2, 255, 256, 0x7fff, 0xffff] {
            let packet = balanced_request(true, 0x1234, sequence, 60);
            assert_eq!(packet[2..4], first[2..4], "sequence {sequence}");
            let icmp = pnet::packet::icmp::IcmpPacket::new(&packet).unwrap();
            assert_eq!(pnet::packet::icmp::checksum(&icmp), icmp.get_checksum());
        }
        assert_eq!(balanced_request(true, 0, 0, 0).len(), SMALLEST);
    }

    #[test]
    fn only_replies_are_replies() {
        assert_eq!(reply_sequence(&[0, 0, 0, 0, 1, 2, 3, 4]), Some(0x0304));
        assert_eq!(reply_sequence(&[8, 0, 0, 0, 1, 2, 3, 4]), None);
        assert_eq!(reply_sequence(&[0, 0, 0]), None);
    }
}
