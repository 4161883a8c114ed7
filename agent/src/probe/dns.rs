//! DNS query: does this server answer, with what, and how fast.

use std::net::{IpAddr, SocketAddr};

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::round::{Round, Values};
use super::{Measurement, Place};
pub use crate::packet::dns::Record;
use crate::packet::dns::{Answer, query};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server to ask: `10.1.0.53` or `10.1.0.53:5353`.
    pub server: Place,
    /// The name to ask for.
    pub name: String,
    /// The record type: `A`, `AAAA`, `SOA`, `NS`, `PTR`, `TXT`, `SRV` or `MX`.
    #[serde(default, rename = "type")]
    pub record: Record,
    /// Addresses of which at least one must be in the answer; empty: any answer will do.
    #[serde(default)]
    pub expect: Vec<IpAddr>,
    /// Asks over TCP from the start.
    #[serde(default)]
    pub tcp: bool,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// DNS query.
#[derive(Debug)]
pub struct Dns {
    config: Config,
}

impl Dns {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        let Config { name, record, expect, .. } = &config;
        query(0, name, *record).map_err(|_| format!("`name` `{name}` is not a domain name"))?;
        if !expect.is_empty() && !matches!(record, Record::A | Record::Aaaa) {
            return Err("`expect` lists addresses, which only the types A and AAAA answer with".into());
        }
        if let Some(wrong) = expect.iter().find(|a| a.is_ipv4() != (*record == Record::A)) {
            return Err(format!("`expect` {wrong} is not of the address family of `type` {record:?}"));
        }
        Ok(Dns { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::QueryUs, Metric::DnsRcode, Metric::Answers]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        // A question, and an answer of two records, each with 28 bytes of headers.
        let udp = 2 * (28 + 18 + self.config.name.len() as u64) + 32;
        if self.config.tcp { udp + 600 } else { udp }
    }

    pub(super) fn address(&self) -> String {
        format!("{} @{}", self.config.name, self.config.server)
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut values = Values::default();
        let asked = self.ask(round, &mut values).await;
        values.end(asked)
    }

    async fn ask(&self, round: &Round<'_>, values: &mut Values) -> Result<(), Outcome> {
        let Config { server, name, record, tcp, .. } = &self.config;
        let server = SocketAddr::new(round.resolve(&server.host).await?.address, server.port_or(53));
        let asked = round.ask(server, name, *record, *tcp).await?;
        values.set_time(Metric::QueryUs, asked.took);
        values.set(Metric::DnsRcode, asked.answer.rcode);
        values.set(Metric::Answers, asked.answer.answers);
        self.judge(&asked.answer)
    }

    fn judge(&self, answer: &Answer) -> Result<(), Outcome> {
        let expect = &self.config.expect;
        if answer.rcode != 0 || answer.answers == 0 {
            Err(Outcome::ResolveFailed)
        } else if !expect.is_empty() && !answer.addresses.iter().any(|a| expect.contains(a)) {
            Err(Outcome::Unexpected)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
