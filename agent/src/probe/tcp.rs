//! TCP connect: is the port open, and how far away is it.

use rusta_wire::Metric;
use serde::Deserialize;

use super::round::{Round, Values};
use super::stream::Phases;
use super::{Measurement, Place};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to connect: `10.2.0.1:443`.
    pub address: Place,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// TCP connect.
#[derive(Debug)]
pub struct Tcp {
    address: Place,
    port: u16,
}

impl Tcp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        let address = config.address;
        let port = address.port.ok_or_else(|| format!("`address` {address} needs a port: `{address}:443`"))?;
        Ok(Tcp { address, port })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::ResolveUs, Metric::ConnectUs]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        364
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut phases = Phases::default();
        let connected = round.dial(&self.address.host, self.port, &mut phases).await.map(drop);
        let mut values = Values::default();
        phases.into_values(&mut values);
        values.end(connected)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{measure, probe, refusal};
    use rusta_wire::{Metric, Outcome};

    #[tokio::test]
    async fn an_open_port_is_ok_and_a_closed_one_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = probe(&format!("tcp: {{ address: '{}' }}", listener.local_addr().unwrap()));
        let open = measure(&tcp).await;
        assert_eq!(open.outcome, Outcome::Ok);
        assert!(open.value(Metric::ConnectUs).unwrap() > 0);
        assert_eq!(open.value(Metric::ResolveUs), None, "an address needs no resolving");
        assert!(open.bytes >= 300);
        drop(listener);
        let closed = measure(&tcp).await;
        assert_eq!((closed.outcome, closed.values.len()), (Outcome::Refused, 0));
    }

    #[test]
    fn a_port_is_required() {
        assert!(refusal("tcp: { address: 10.2.0.1 }").contains("needs a port"));
    }
}
