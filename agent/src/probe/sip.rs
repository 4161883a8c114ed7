//! SIP OPTIONS over UDP or TCP: does the exchange of the 137 line answer.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::round::{Round, Values, random};
use super::{Measurement, Place};
use crate::packet::sip::{Answer, Request, answer};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server; port 5060 when left out.
    pub address: Place,
    /// `udp` or `tcp`.
    #[serde(default)]
    pub transport: Transport,
    /// Statuses that count as right.
    #[serde(default = "only_ok")]
    pub status: Vec<u16>,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What carries the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// A connection.
    Tcp,
}

fn only_ok() -> Vec<u16> {
    vec![200]
}

/// Longest answer read over TCP; an OPTIONS answer is about 1 KiB.
const ANSWER_BYTES: usize = 16 * 1024;

/// SIP OPTIONS.
#[derive(Debug)]
pub struct Sip {
    config: Config,
}

impl Sip {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        if config.status.is_empty() {
            return Err("`status` is empty, so no answer could be right".into());
        }
        Ok(Sip { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::RttUsMin, Metric::SipStatus]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        if self.config.transport == Transport::Udp { 1_000 } else { 1_500 }
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut values = Values::default();
        let asked = self.ask(round, &mut values).await;
        values.end(asked)
    }

    async fn ask(&self, round: &Round<'_>, values: &mut Values) -> Result<(), Outcome> {
        let Config { address, transport, status: right } = &self.config;
        let server = SocketAddr::new(round.resolve(&address.host).await?.address, address.port_or(5060));
        let (took, status) = match transport {
            Transport::Udp => self.ask_udp(round, server).await?,
            Transport::Tcp => self.ask_tcp(round, server).await?,
        };
        values.set_time(Metric::RttUsMin, took);
        values.set(Metric::SipStatus, status);
        if right.contains(&status) { Ok(()) } else { Err(Outcome::Unexpected) }
    }

    fn request(&self, local: SocketAddr, transport: &str, nonce: u64) -> String {
        Request { server: &self.config.address.to_string(), local, transport, nonce }.encode()
    }

    async fn ask_udp(&self, round: &Round<'_>, server: SocketAddr) -> Result<(Duration, u16), Outcome> {
        let exchange = round.udp(server).await?;
        let nonce = random();
        let sent_at = exchange.send(self.request(exchange.local_address()?, "UDP", nonce).as_bytes()).await?;
        loop {
            let (message, received_at) = exchange.receive().await?;
            match answer(&message, nonce) {
                Answer::Final(status) => return Ok((received_at - sent_at, status)),
                Answer::NotYet => {}
                Answer::Malformed => return Err(Outcome::Malformed),
            }
        }
    }

    async fn ask_tcp(&self, round: &Round<'_>, server: SocketAddr) -> Result<(Duration, u16), Outcome> {
        let mut stream = round.connect(server).await?;
        let socket_fault = |e: std::io::Error| round.way.outcome_of(&e);
        let nonce = random();
        let request = self.request(stream.local_address().map_err(socket_fault)?, "TCP", nonce);
        let sent = round.lap();
        round.by_deadline(stream.write_all(request.as_bytes())).await?.map_err(socket_fault)?;
        let mut received = Vec::new();
        loop {
            // Answers to OPTIONS without a body end with their empty line; a body of one would be read as another message.
            while let Some(end) = received.windows(4).position(|w| w == b"\r\n\r\n") {
                match answer(&received[..end + 4], nonce) {
                    Answer::Final(status) => return Ok((round.took(sent), status)),
                    Answer::NotYet => drop(received.drain(..end + 4)),
                    Answer::Malformed => return Err(Outcome::Malformed),
                }
            }
            if received.len() > ANSWER_BYTES || round.by_deadline(stream.read_buf(&mut received)).await?.map_err(socket_fault)? == 0 {
                return Err(Outcome::Malformed);
            }
        }
    }
}

#[cfg(test)]
#[path = "sip_tests.rs"]
mod tests;
