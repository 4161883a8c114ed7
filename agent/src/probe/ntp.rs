//! NTP query: the offset of a server against our clock.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::round::{Round, Values, random};
use super::{Measurement, Place};
use crate::packet::ntp::{answer, offset_us, query};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server; port 123 when left out.
    pub address: Place,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// NTP query.
#[derive(Debug)]
pub struct Ntp {
    config: Config,
}

impl Ntp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Ntp { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::NtpOffsetUs, Metric::NtpStratum, Metric::RttUsMin]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        152
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
        let address = &self.config.address;
        let server = SocketAddr::new(round.resolve(&address.host).await?.address, address.port_or(123));
        let exchange = round.udp(server).await?;
        let nonce = random();
        let sent_us = (round.prober.settings.system_us)();
        let sent_at = exchange.send(&query(nonce)).await?;
        let (read, took) = loop {
            let (packet, received_at) = exchange.receive().await?;
            if let Some(read) = answer(&packet, nonce).map_err(|_| Outcome::Malformed)? {
                break (read, received_at - sent_at);
            }
        };
        values.set(Metric::NtpStratum, read.stratum);
        if read.stratum == 0 {
            return Err(Outcome::Refused);
        }
        let in_server = Duration::from_micros(read.sent_us.saturating_sub(read.received_us).max(0).unsigned_abs());
        values.set_time(Metric::RttUsMin, took.saturating_sub(in_server));
        // A server without a source of time (stratum 16 or its leap alarm) answers, but not with the time.
        if read.is_unsynchronised || read.stratum > 15 {
            return Err(Outcome::Unexpected);
        }
        let took_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        values.set(Metric::NtpOffsetUs, offset_us(&read, sent_us, sent_us + took_us));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusta_wire::{Metric, Outcome};

    use super::super::tests_support::*;
    use crate::socket::Way;

    fn chrony(dir: &std::path::Path, rest: &str) -> Daemon {
        let config = format!(
            "port 123\nallow all\nbindaddress 127.0.0.1\ncmdport 0\nbindcmdaddress /\npidfile {0}/pid\ndriftfile {0}/drift\n{rest}\n",
            dir.display()
        );
        std::fs::write(dir.join("chrony.conf"), config).unwrap();
        // -x: it must not set the clock of the machine that tests it.
        Daemon::start("chronyd", &["-x", "-n", "-u", "root", "-f", &dir.join("chrony.conf").display().to_string()])
    }

    fn until_answered() -> super::Measurement {
        block_on(async {
            let target = probe("ntp: { address: 127.0.0.1 }");
            for _ in 0..50 {
                let measured = prober().measure(&target, &Way::default(), Duration::from_millis(300)).await;
                if measured.value(Metric::NtpStratum).is_some() {
                    return measured;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!("chronyd never answered");
        })
    }

    #[test]
    fn chrony_on_this_machine_has_our_time() {
        in_own_network(|| {
            let dir = tempfile::tempdir().unwrap();
            let _chrony = chrony(dir.path(), "local stratum 3");
            let measured = until_answered();
            assert_eq!((measured.outcome, measured.value(Metric::NtpStratum)), (Outcome::Ok, Some(3)));
            let offset_us = measured.value(Metric::NtpOffsetUs).unwrap();
            assert!(offset_us.abs() < 100_000, "{offset_us}");
            assert_eq!(measured.bytes, 152);
        });
    }

    #[test]
    fn a_server_without_the_time_is_unexpected() {
        in_own_network(|| {
            let dir = tempfile::tempdir().unwrap();
            let _chrony = chrony(dir.path(), "");
            let measured = until_answered();
            assert!(matches!(measured.outcome, Outcome::Unexpected | Outcome::Refused), "{measured:?}");
            assert_eq!(measured.value(Metric::NtpOffsetUs), None);
        });
    }
}
