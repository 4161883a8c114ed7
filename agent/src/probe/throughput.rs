//! A rare, budgeted download and upload, only when the line is idle.
//!
//! The test takes the whole line for some seconds, so it first watches the line's own counters. When somebody else is using
//! it, the round is recorded as *not run*, never as slow. The bytes are capped by the settings; the data plan decides
//! whether a round is due at all, from [`Throughput::estimated_bytes`].

use std::path::PathBuf;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout_at};

use super::Measurement;
use super::host::counts_of;
use super::http::Url;
use super::round::{Round, Values, random};
use super::stream::Phases;
use super::trust::{Seen, Trust};
use crate::packet::http::{Head, head};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to download.
    pub url: String,
    /// Where to send an upload; left out: no upload.
    #[serde(default)]
    pub upload_url: Option<String>,
    /// Most bytes to move each way.
    #[serde(default = "five_megabytes")]
    pub bytes: u64,
    /// The line counts as idle below this rate, in bits per second.
    #[serde(default = "usual_idle")]
    pub idle_bps: u64,
    /// A file of PEM certificates to trust instead of the public roots.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        self.ca.iter().map(|path| path.display().to_string()).collect()
    }
}

/// Long enough to leave TCP slow start on LTE, short enough for a weekly test on a SIM (`domain.md`: 22 MB a month).
fn five_megabytes() -> u64 {
    5_000_000
}

/// A tenth of a slow 3G line: background chatter passes, a video call does not.
fn usual_idle() -> u64 {
    100_000
}

/// How long the line is watched before a test.
const WATCH: Duration = Duration::from_secs(1);
/// Below this a rate is the shape of TCP's start, not the line's.
const LEAST_BYTES: u64 = 64 * 1024;
/// A record of TLS, and a fair piece for a router's memory.
const PIECE_BYTES: usize = 16 * 1024;

/// Throughput test.
#[derive(Debug)]
pub struct Throughput {
    config: Config,
    download: Url,
    upload: Option<Url>,
    trust: Option<Trust>,
}

impl Throughput {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        if !(LEAST_BYTES..=100_000_000).contains(&config.bytes) {
            return Err(format!("`bytes` is {}, it must be between {LEAST_BYTES} and 100000000", config.bytes));
        }
        let upload = config.upload_url.as_deref().map(Url::parse).transpose()?;
        let download = Url::parse(&config.url)?;
        let is_plain = !download.is_tls && upload.as_ref().is_none_or(|upload| !upload.is_tls);
        let trust = Trust::for_url(is_plain, config.ca.as_deref())?;
        Ok(Throughput { download, upload, trust, config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![Metric::DownloadBps, Metric::TestBytes];
        metrics.extend(self.upload.as_ref().map(|_| Metric::UploadBps));
        metrics
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        // Headers and acknowledgements take six percent of full segments; a handshake of TLS some kilobytes.
        let each_way = self.config.bytes + self.config.bytes * 6 / 100 + 6_000;
        if self.upload.is_some() { 2 * each_way } else { each_way }
    }

    pub(super) fn address(&self) -> String {
        self.config.url.clone()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut values = Values::default();
        let mut moved = 0;
        let tested = self.test(round, &mut values, &mut moved).await;
        if moved > 0 {
            values.set(Metric::TestBytes, moved);
        }
        values.end(tested)
    }

    async fn test(&self, round: &Round<'_>, values: &mut Values, moved: &mut u64) -> Result<(), Outcome> {
        if !round.way.is_there() {
            return Err(Outcome::LinkGone);
        }
        if !self.line_is_idle(round).await {
            return Err(Outcome::NotRun);
        }
        let now = Instant::now();
        let left = round.deadline.saturating_duration_since(now);
        let half = now + if self.upload.is_some() { left / 2 } else { left };
        let run = self.run(round, &self.download, None, half).await?;
        *moved += run.bytes;
        values.set_some(Metric::DownloadBps, run.bps());
        if let Some(url) = &self.upload {
            let run = self.run(round, url, Some(self.config.bytes), round.deadline).await?;
            *moved += run.bytes;
            values.set_some(Metric::UploadBps, run.bps());
        }
        if round.has_lost_its_time() {
            // The line waited for this program, so its rate is not known.
            values.0.clear();
            return Err(Outcome::NotRun);
        }
        if values.0.is_empty() { Err(Outcome::Timeout) } else { Ok(()) }
    }

    /// Watches the link's counters for a moment. A way without an interface of its own is judged by all of them together.
    async fn line_is_idle(&self, round: &Round<'_>) -> bool {
        let interface = round.way.interface_name();
        let before = octets(interface.as_deref());
        sleep(WATCH).await;
        let moved = octets(interface.as_deref()).saturating_sub(before);
        moved.saturating_mul(8) / WATCH.as_secs() <= self.config.idle_bps
    }

    async fn run(&self, round: &Round<'_>, url: &Url, upload: Option<u64>, until: Instant) -> Result<Run, Outcome> {
        let mut phases = Phases::default();
        let stream = round.dial(&url.host, url.port, &mut phases).await?;
        if url.is_tls {
            let trust = self.trust.as_ref().ok_or(Outcome::SystemError)?;
            let stream = round.handshake(stream, trust, &url.host, &mut phases, &mut Seen::default()).await?;
            self.transfer(round, url, stream, upload, until).await
        } else {
            self.transfer(round, url, stream, upload, until).await
        }
    }

    async fn transfer(
        &self,
        round: &Round<'_>,
        url: &Url,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        upload: Option<u64>,
        until: Instant,
    ) -> Result<Run, Outcome> {
        let fault = |e: std::io::Error| round.way.outcome_of(&e);
        let (mut reading, mut writing) = tokio::io::split(stream);
        let (method, length) = match upload {
            Some(bytes) => ("POST", format!("Content-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n")),
            // What a server sends beyond the limit is moved and paid for as well, so it is asked for no more.
            None => ("GET", format!("Range: bytes=0-{}\r\n", self.config.bytes.saturating_sub(1))),
        };
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: identity\r\n{length}Connection: close\r\n\r\n",
            url.path, url.authority
        );
        round.by_deadline(writing.write_all(request.as_bytes())).await?.map_err(fault)?;
        let started = Instant::now();
        let mut run = Run { bytes: 0, took: Duration::ZERO };
        if let Some(bytes) = upload {
            let sent = timeout_at(until, send(&mut writing, bytes, &mut run.bytes)).await;
            if let Ok(sent) = sent {
                sent.map_err(fault)?;
                // The last bytes have arrived when the server answers, not when the kernel has taken them.
                let (head, _) = round.by_deadline(read_head(&mut reading)).await??;
                run.took = started.elapsed();
                return if (200..300).contains(&head.status) { Ok(run) } else { Err(Outcome::Unexpected) };
            }
            run.took = started.elapsed();
            return Ok(run);
        }
        let (head, early) = round.by_deadline(read_head(&mut reading)).await??;
        if !matches!(head.status, 200 | 206) {
            return Err(Outcome::Unexpected);
        }
        let started = Instant::now();
        run.bytes = early;
        // Running out of time ends a slow line's test with what it did; it is not a fault of the line.
        let _ = timeout_at(until, receive(&mut reading, self.config.bytes, &mut run.bytes)).await;
        run.took = started.elapsed();
        Ok(run)
    }
}

#[derive(Debug, Clone, Copy)]
struct Run {
    bytes: u64,
    took: Duration,
}

impl Run {
    fn bps(&self) -> Option<u64> {
        let is_enough = self.bytes >= LEAST_BYTES && self.took > Duration::ZERO;
        is_enough.then(|| (u128::from(self.bytes) * 8_000_000 / self.took.as_micros().max(1)) as u64)
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Head, u64), Outcome> {
    let mut received = Vec::new();
    loop {
        if let Some(head) = head(&received).map_err(|_| Outcome::Malformed)? {
            let early = (received.len() - head.length) as u64;
            return Ok((head, early));
        }
        match stream.read_buf(&mut received).await {
            Ok(0) | Err(_) => return Err(Outcome::Malformed),
            Ok(_) => {}
        }
    }
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), limit: u64, bytes: &mut u64) {
    let mut piece = vec![0; PIECE_BYTES];
    while *bytes < limit {
        let room = usize::try_from(limit - *bytes).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        match stream.read(&mut piece[..room]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => *bytes += count as u64,
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), limit: u64, bytes: &mut u64) -> std::io::Result<()> {
    // Noise, because a compressing link would carry zeros for nothing (xorshift64).
    let mut state = random() | 1;
    let mut piece = vec![0; PIECE_BYTES];
    for word in piece.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    while *bytes < limit {
        let room = usize::try_from(limit - *bytes).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        *bytes += stream.write(&piece[..room]).await? as u64;
    }
    stream.flush().await
}

fn octets(interface: Option<&str>) -> u64 {
    let file = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let names: Vec<&str> = match interface {
        Some(name) => vec![name],
        None => file.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).filter(|name| *name != "lo").collect(),
    };
    names.iter().filter_map(|name| counts_of(&file, name)).map(|counts| counts[0].saturating_add(counts[8])).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusta_wire::{Metric, Outcome};

    use super::super::tests_support::*;
    use crate::socket::Way;

    /// Two million bytes to fetch and a place to send to.
    fn server() -> (Nginx, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("blob"), vec![7; 2_000_000]).unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let locations = format!(
            "location = /blob {{ root {0}; }} location = /sink {{ proxy_request_buffering on; proxy_pass $scheme://$server_addr:$server_port/taken; }}
             location = /taken {{ return 204; }} proxy_ssl_verify off;",
            dir.path().display()
        );
        (Nginx::serving(&Papers::valid_days(10, 10), &locations), dir)
    }

    #[test]
    fn both_ways_are_measured_within_their_bytes() {
        in_own_network(|| {
            let (nginx, _dir) = server();
            let at = nginx.plain;
            let target = probe(&format!("throughput: {{ url: 'http://{at}/blob', upload_url: 'http://{at}/sink', bytes: 1000000 }}"));
            let measured = block_on(prober().measure(&target, &Way::default(), Duration::from_secs(8)));
            assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
            assert_eq!(measured.value(Metric::TestBytes), Some(2_000_000));
            assert!(measured.value(Metric::DownloadBps).unwrap() > 1_000_000);
            assert!(measured.value(Metric::UploadBps).unwrap() > 1_000_000);
            assert!(measured.bytes <= target.estimated_bytes(), "{} of {}", measured.bytes, target.estimated_bytes());
        });
    }

    #[test]
    fn a_busy_line_is_not_run_and_never_slow() {
        in_own_network(|| {
            let _neighbour = Neighbour::cabled("v0", "10.95.1.2/24", "r0", "10.95.1.1/24");
            let (nginx, _dir) = server();
            let target = probe(&format!("throughput: {{ url: 'http://{}/blob' }}", nginx.plain));
            block_on(async {
                let (prober, way) = (prober(), Way::default());
                let others = probe("icmp: { address: 10.95.1.1, count: 100, size: 1400 }");
                let traffic = prober.measure(&others, &way, Duration::from_secs(3));
                let test = prober.measure(&target, &way, Duration::from_secs(5));
                let (_, measured) = tokio::join!(traffic, test);
                assert_eq!((measured.outcome, measured.values.len(), measured.bytes), (Outcome::NotRun, 0, 0));
            });
        });
    }

    #[test]
    fn a_missing_file_or_server_has_no_rate() {
        in_own_network(|| {
            let (nginx, _dir) = server();
            let missing = probe(&format!("throughput: {{ url: 'http://{}/nosuch' }}", nginx.plain));
            let measured = block_on(prober().measure(&missing, &Way::default(), Duration::from_secs(3)));
            assert_eq!((measured.outcome, measured.value(Metric::DownloadBps)), (Outcome::Unexpected, None));
            let nobody = probe(&format!("throughput: {{ url: 'http://{}/blob' }}", free_port()));
            assert_eq!(block_on(prober().measure(&nobody, &Way::default(), Duration::from_secs(3))).outcome, Outcome::Refused);
        });
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        assert!(refusal("throughput: { url: 'http://a.ir/x', bytes: 1000 }").contains("between"));
        assert!(refusal("throughput: { url: 'http://a.ir/x', upload_url: 'ftp://a.ir/' }").contains("http://"));
    }
}
