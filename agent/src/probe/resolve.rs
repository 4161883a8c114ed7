//! Names to addresses, asked over the link's own way.
//!
//! The system's resolver library would send its queries by whatever route there is, so a link that is gone would look
//! alive through another one. The hosts file and literal addresses need no packet. A resolver on the loopback interface
//! (dnsmasq, systemd-resolved) forwards by whatever route *it* likes, so a bound way skips it and asks the servers behind
//! it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rusta_wire::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::Prober;
use super::round::{Round, random};
use super::text::Host;
use crate::packet::dns::{self, Answer, Record};
use crate::socket::Way;

/// Where systems keep the servers they really ask, in the order of trust: what the administrator wrote, then what OpenWrt
/// and systemd-resolved learnt from the uplinks.
const RESOLVER_FILES: [&str; 4] =
    ["/etc/resolv.conf", "/tmp/resolv.conf.d/resolv.conf.auto", "/tmp/resolv.conf.auto", "/run/systemd/resolve/resolv.conf"];

/// Most servers asked for one name; as many as the system's own resolver would.
const SERVERS: usize = 3;

/// A name's address and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolved {
    pub address: IpAddr,
    /// `None` when nothing had to be asked.
    pub took: Option<Duration>,
}

impl Prober {
    /// Finds the address of `host` over `way`; `None` when that way finds none.
    pub async fn resolve(&self, host: &Host, way: &Way, timeout: Duration) -> Option<IpAddr> {
        let round = Round::new(self, way, timeout);
        round.by_deadline(round.resolve(host)).await.ok()?.ok().map(|resolved| resolved.address)
    }
}

impl Round<'_> {
    /// Finds the address of `host`, IPv4 before IPv6.
    pub async fn resolve(&self, host: &Host) -> Result<Resolved, Outcome> {
        let name = match host {
            Host::Address(address) => return Ok(Resolved { address: *address, took: None }),
            Host::Name(name) => name.trim_end_matches('.'),
        };
        if let Some(address) = in_hosts_file(&std::fs::read_to_string("/etc/hosts").unwrap_or_default(), name) {
            return Ok(Resolved { address, took: None });
        }
        let started = Instant::now();
        let address = self.ask_for_address(name).await?;
        Ok(Resolved { address, took: Some(started.elapsed()) })
    }

    async fn ask_for_address(&self, name: &str) -> Result<IpAddr, Outcome> {
        let servers = self.resolvers();
        let mut outcome = Outcome::ResolveFailed;
        for (index, server) in servers.iter().enumerate() {
            let waiting = (self.deadline - Instant::now()) / (2 * (servers.len() - index) as u32).max(1);
            match self.ask_server(*server, name, waiting).await {
                Ok(Some(address)) => return Ok(address),
                // This server knows that there is no such name; another one would only repeat it.
                Ok(None) => return Err(Outcome::ResolveFailed),
                Err(Outcome::LinkGone) => outcome = Outcome::LinkGone,
                Err(_) => {}
            }
        }
        Err(outcome)
    }

    async fn ask_server(&self, server: SocketAddr, name: &str, waiting: Duration) -> Result<Option<IpAddr>, Outcome> {
        let families: &[Record] = match self.way.source {
            Some(IpAddr::V4(_)) => &[Record::A],
            Some(IpAddr::V6(_)) => &[Record::Aaaa],
            None => &[Record::A, Record::Aaaa],
        };
        for record in families {
            let asked = tokio::time::timeout(waiting, self.ask(server, name, *record, false));
            let answer = asked.await.map_err(|_| Outcome::Timeout)??.answer;
            match answer {
                Answer { addresses, .. } if !addresses.is_empty() => return Ok(addresses.first().copied()),
                Answer { rcode: 0, .. } => {}
                Answer { rcode: NO_SUCH_NAME, .. } => return Ok(None),
                _ => return Err(Outcome::ResolveFailed),
            }
        }
        Ok(None)
    }

    /// Asks one question of one server: over UDP, and over TCP when the answer did not fit or `tcp` says so.
    pub async fn ask(&self, server: SocketAddr, name: &str, record: Record, tcp: bool) -> Result<Asked, Outcome> {
        let query = dns::query(random() as u16, name, record).map_err(|_| Outcome::ResolveFailed)?;
        let started = Instant::now();
        if !tcp {
            let asked = self.ask_udp(server, &query).await?;
            if !asked.answer.truncated {
                return Ok(asked);
            }
        }
        let answer = self.ask_tcp(server, &query).await?;
        Ok(Asked { answer, took: started.elapsed() })
    }

    async fn ask_udp(&self, server: SocketAddr, query: &[u8]) -> Result<Asked, Outcome> {
        let exchange = self.udp(server).await?;
        let sent_at = exchange.send(query).await?;
        loop {
            let (message, received_at) = exchange.receive().await?;
            match dns::answer(&message, query) {
                Ok(Some(answer)) => return Ok(Asked { answer, took: received_at - sent_at }),
                // Late or forged: the right one may still come.
                Ok(None) => {}
                Err(_) => return Err(Outcome::Malformed),
            }
        }
    }

    async fn ask_tcp(&self, server: SocketAddr, query: &[u8]) -> Result<Answer, Outcome> {
        let mut stream = self.connect(server).await?;
        let mut framed = u16::try_from(query.len()).map_err(|_| Outcome::SystemError)?.to_be_bytes().to_vec();
        framed.extend_from_slice(query);
        let exchange = async {
            stream.write_all(&framed).await?;
            let mut message = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut message).await?;
            std::io::Result::Ok(message)
        };
        let message = self.by_deadline(exchange).await?.map_err(|e| self.way.outcome_of(&e))?;
        dns::answer(&message, query).ok().flatten().ok_or(Outcome::Malformed)
    }

    fn resolvers(&self) -> Vec<SocketAddr> {
        let configured = &self.prober.settings.resolvers;
        let mut servers = if configured.is_empty() { system_resolvers(self.way.is_bound()) } else { configured.clone() };
        servers.truncate(SERVERS);
        servers
    }
}

/// One question's answer.
pub(super) struct Asked {
    pub answer: Answer,
    pub took: Duration,
}

const NO_SUCH_NAME: u8 = 3;

fn system_resolvers(is_bound: bool) -> Vec<SocketAddr> {
    let read = |file: &&str| resolvers_in(&std::fs::read_to_string(file).unwrap_or_default(), is_bound);
    RESOLVER_FILES.iter().map(read).find(|servers| !servers.is_empty()).unwrap_or_default()
}

fn resolvers_in(file: &str, without_loopback: bool) -> Vec<SocketAddr> {
    let address = |line: &str| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok();
    file.lines().filter_map(address).filter(|a| !(without_loopback && a.is_loopback())).map(|a| SocketAddr::new(a, 53)).collect()
}

fn in_hosts_file(file: &str, name: &str) -> Option<IpAddr> {
    let entries = file.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    });
    let found: Vec<IpAddr> = entries.collect();
    found.iter().find(|a| a.is_ipv4()).or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_prefers_ipv4_and_ignores_comments() {
        let file = "::1 localhost\n127.0.0.1\tlocalhost me # portal\n10.0.0.1 Portal.example\n";
        assert_eq!(in_hosts_file(file, "localhost"), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(in_hosts_file(file, "portal.example"), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(in_hosts_file(file, "portal"), None);
    }

    #[test]
    fn a_bound_way_never_asks_a_forwarder_on_loopback() {
        let file = "search lan\nnameserver 127.0.0.53\nnameserver 10.1.0.53\n#nameserver 9.9.9.9\n";
        assert_eq!(resolvers_in(file, true), ["10.1.0.53:53".parse().unwrap()]);
        assert_eq!(resolvers_in(file, false).len(), 2);
    }
}
