//! Virtual agents: they enrol, keep one mTLS connection and speak the wire as real agents do, but measure nothing, so
//! that one process can be a province.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::{Certificate, Client, Identity};
use rusta_wire::{
    AgentId, Answer, Batch, BatchId, BootId, Clock, ClockSource, Frame, FrameKind, Metric, MonoMs, Network, Outcome, ProbeKind, Reason,
    Rung, Sample, Sequence, Series, SeriesIndex, SeriesTable, UnixMs,
};
use serde_json::{Value, json};

/// One agent of a fleet.
#[derive(Debug)]
pub struct VirtualAgent {
    client: Client,
    url: String,
    table: SeriesTable,
    boot: BootId,
    sequence: u64,
    /// Who the collector says it is.
    pub id: AgentId,
    /// The site it speaks for.
    pub site: String,
}

/// Why an upload was not acknowledged.
#[derive(Debug)]
pub enum Refused {
    /// The collector could not be reached or went away: the batch may or may not be stored.
    Unreachable(String),
    /// The collector said no.
    Status(u16, Answer),
}

/// The series every virtual agent measures: one ping target and one TCP target of `link`.
pub fn village_table(link: &str, network: Network) -> SeriesTable {
    let series = |target: &str, rung, probe, metrics: &[Metric]| Series {
        link: link.into(),
        network,
        target: target.into(),
        towards: String::new(),
        rung,
        probe,
        interval_s: 60,
        metrics: metrics.to_vec(),
    };
    let icmp = [Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsP90, Metric::RttUsMax];
    SeriesTable {
        series: vec![
            series("gateway", Rung::Gateway, ProbeKind::Icmp, &icmp),
            series("core", Rung::Core, ProbeKind::Tcp, &[Metric::ConnectUs]),
        ],
    }
}

/// A round of both targets of [`village_table`] at `at`, answered or not.
pub fn round(at: MonoMs, answered: bool) -> [Sample; 2] {
    let (outcome, ping, connect) = if answered {
        (Outcome::Ok, [Some(5), Some(5), Some(40_000), Some(42_000), Some(50_000), Some(60_000)], Some(41_000))
    } else {
        (Outcome::Timeout, [Some(5), Some(0), None, None, None, None], None)
    };
    [
        Sample { series: SeriesIndex(0), at, outcome, values: ping.to_vec() },
        Sample { series: SeriesIndex(1), at, outcome, values: vec![connect] },
    ]
}

fn client(ca_pem: &str, identity: Option<Identity>) -> Client {
    // Only the first call of a process installs it; the others find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .tls_certs_only([Certificate::from_pem(ca_pem.as_bytes()).unwrap()])
        .timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(1);
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    builder.build().unwrap()
}

impl VirtualAgent {
    /// Enrols at the collector at `url` with a one-time token.
    ///
    /// # Errors
    /// Status and text of a refusal.
    pub async fn enroll(url: &str, token: &str, ca_pem: &str, table: SeriesTable, boot: BootId) -> Result<VirtualAgent, (u16, String)> {
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
        let request = client(ca_pem, None).post(format!("{url}/v1/enroll")).json(&json!({ "token": token, "csr_pem": csr }));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        if status != 200 {
            return Err((status, text));
        }
        let answer: Value = serde_json::from_str(&text).unwrap();
        let field = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_string();
        let identity = Identity::from_pem(format!("{}{}", field("certificate_pem"), key.serialize_pem()).as_bytes()).unwrap();
        Ok(VirtualAgent {
            client: client(ca_pem, Some(identity)),
            url: url.into(),
            table,
            boot,
            sequence: 0,
            id: field("agent").parse().unwrap(),
            site: field("site"),
        })
    }

    /// Closes a batch with the next sequence number.
    pub fn batch(&mut self, from: MonoMs, until: MonoMs, unix: UnixMs, samples: Vec<Sample>) -> Batch {
        let sequence = Sequence(self.sequence);
        self.sequence += 1;
        Batch {
            id: BatchId { agent: self.id, boot: self.boot, sequence },
            covers: 1,
            from,
            until,
            clock: Clock { unix, source: ClockSource::Synchronised, uncertainty_ms: 20 },
            reason: Reason::Interval,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: self.table.id(),
            samples,
        }
    }

    /// Begins another life of the agent: a new boot, sequence numbers from 0.
    pub fn reboot(&mut self, boot: BootId) {
        self.boot = boot;
        self.sequence = 0;
    }

    /// Sends batches; when the collector misses the table, sends it in front of them.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn send(&self, batches: &[Batch]) -> Result<Answer, Refused> {
        match self.post(self.body(batches, false)).await {
            Err(Refused::Status(409, answer)) if !answer.missing_tables.is_empty() => self.post(self.body(batches, true)).await,
            other => other,
        }
    }

    fn body(&self, batches: &[Batch], with_table: bool) -> Vec<u8> {
        let mut body = Vec::new();
        if with_table {
            Frame::new(FrameKind::Table, self.table.encode()).unwrap().write(&mut body);
        }
        for batch in batches {
            Frame::new(FrameKind::Batch, batch.encode(&self.table).unwrap()).unwrap().write(&mut body);
        }
        body
    }

    /// Sends a body of any bytes, well-formed or not.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn post(&self, body: Vec<u8>) -> Result<Answer, Refused> {
        let unreachable = |e: reqwest::Error| Refused::Unreachable(format!("{e:?}"));
        let response = self.client.post(format!("{}/v1/batches", self.url)).body(body).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let answer = Answer::decode(&bytes).map_err(|e| Refused::Unreachable(format!("status {status} without an answer: {e}")))?;
        if status == 200 { Ok(answer) } else { Err(Refused::Status(status, answer)) }
    }
}
