//! ICMP echo: loss and round-trip times of a few packets.
//!
//! A round spreads its packets over the first half of its time, so one burst of interference does not take them all, and
//! waits for each of them until its end. It ends early when every packet is accounted for.

use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;
use tokio::time::Instant;

use super::echo::{EchoRound, News, send_fault};
use super::round::{Round, Values};
use super::{Host, Measurement};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whom to ping.
    pub address: Host,
    /// Packets per round, 1 to 100.
    #[serde(default = "three")]
    pub count: u16,
    /// Bytes of payload after the ICMP header; left out: 56, which makes the 84-byte packet that `ping` sends, and none on a
    /// metered link.
    #[serde(default)]
    pub size: Option<u16>,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

fn three() -> u16 {
    3
}

const USUAL_SIZE: u16 = 56;

/// What a socket's 2 KiB read keeps whole, and what no path fragments on an Ethernet.
const LARGEST_SIZE: u16 = 1_400;

/// Packets of one round are this far apart, or closer if the round is short.
const SPACING: Duration = Duration::from_millis(200);

/// ICMP echo.
#[derive(Debug)]
pub struct Icmp {
    config: Config,
    size: u16,
}

impl Icmp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        if !(1..=100).contains(&config.count) {
            return Err(format!("`count` is {}, it must be between 1 and 100", config.count));
        }
        let size = config.size.unwrap_or(USUAL_SIZE);
        if size > LARGEST_SIZE {
            return Err(format!("`size` is {size}, it must be at most {LARGEST_SIZE}"));
        }
        Ok(Icmp { config, size })
    }

    /// Sends no payload unless a size was asked for.
    pub(super) fn lighten(&mut self) {
        self.size = self.config.size.unwrap_or(0);
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![Metric::Sent, Metric::Received, Metric::Duplicates, Metric::RttUsMin];
        if self.config.count > 1 {
            metrics.extend([Metric::RttUsP50, Metric::RttUsP90, Metric::RttUsMax, Metric::PdvUsP95, Metric::IpdvUsMean]);
        }
        metrics
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        u64::from(self.config.count) * 2 * (28 + u64::from(self.size))
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut tally = Tally::default();
        let fault = self.exchange(round, &mut tally).await.err();
        let outcome = match (tally.received(), fault) {
            (1.., _) => Outcome::Ok,
            (0, Some(outcome)) => outcome,
            (0, None) if tally.packets.iter().any(|p| p.is_undeliverable) => Outcome::Unreachable,
            (0, None) => Outcome::Timeout,
        };
        let mut values = Values::default();
        tally.into_values(&mut values);
        values.into_measurement(outcome)
    }

    async fn exchange(&self, round: &Round<'_>, tally: &mut Tally) -> Result<(), Outcome> {
        let target = round.resolve(&self.config.address).await?.address;
        let echoes = &round.prober.echoes;
        let echo = echoes.socket(round.way, target, &round.prober.settings.system_us).map_err(|fault| round.outcome_of(fault))?;
        let size = usize::from(self.size);
        let mut packets = echo.round(target, self.config.count, size);
        let packet_bytes = if target.is_ipv4() { 28 } else { 48 } + size;
        let started = Instant::now();
        let spacing = SPACING.min(round.deadline.saturating_duration_since(started) / (2 * u32::from(self.config.count)));
        for index in 0..self.config.count {
            if index > 0 {
                let moment = packets.rest_until(started + spacing * index.into()).await;
                round.lose_since(moment);
            }
            // A round that stood still ends with what was sent in its time.
            if round.is_over() {
                break;
            }
            match round.by_deadline(packets.send()).await? {
                Ok(sent_at) => tally.packets.push(Fate { sent_at, replied_at: None, is_undeliverable: false }),
                Err(error) => {
                    echoes.forget(round.way, target);
                    return Err(send_fault(round.way, &error));
                }
            }
            round.moved(packet_bytes);
        }
        tally.listen_until(&mut packets, round.deadline).await;
        round.moved((tally.received() + tally.duplicates) * packet_bytes);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Fate {
    sent_at: Instant,
    replied_at: Option<Instant>,
    is_undeliverable: bool,
}

/// What became of the packets so far.
#[derive(Debug, Default)]
struct Tally {
    packets: Vec<Fate>,
    duplicates: usize,
}

impl Tally {
    fn received(&self) -> usize {
        self.packets.iter().filter(|p| p.replied_at.is_some()).count()
    }

    /// Takes in news until a moment, or until every packet's fate is known.
    async fn listen_until(&mut self, packets: &mut EchoRound, until: Instant) {
        while !self.packets.iter().all(|p| p.replied_at.is_some() || p.is_undeliverable) {
            let Ok((place, news)) = tokio::time::timeout_at(until, packets.news()).await else { break };
            self.take(place, news, until);
        }
        // What came in time may lie unread.
        packets.hear();
        while let Some((place, news)) = packets.news_at_hand() {
            self.take(place, news, until);
        }
    }

    fn take(&mut self, place: usize, news: News, until: Instant) {
        let Some(fate) = self.packets.get_mut(place) else { return };
        match news {
            News::Undeliverable => fate.is_undeliverable = true,
            News::Reply(at) if at > until => {}
            News::Reply(at) if fate.replied_at.is_none() => fate.replied_at = Some(at),
            News::Reply(_) => self.duplicates += 1,
        }
    }

    fn into_values(self, values: &mut Values) {
        if self.packets.is_empty() {
            return;
        }
        values.set(Metric::Sent, self.packets.len());
        values.set(Metric::Received, self.received());
        values.set(Metric::Duplicates, self.duplicates);
        let rtts_us: Vec<Option<i64>> = self.packets.iter().map(|p| Some(micros(p.replied_at? - p.sent_at))).collect();
        delays(&rtts_us, values);
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Derives the delay metrics from round-trip times in the order of sending; `None` is a lost packet.
fn delays(rtts_us: &[Option<i64>], values: &mut Values) {
    let mut sorted: Vec<i64> = rtts_us.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let (Some(min), Some(max)) = (sorted.first().copied(), sorted.last().copied()) else { return };
    values.set(Metric::RttUsMin, min);
    if rtts_us.len() == 1 {
        return;
    }
    values.set(Metric::RttUsP50, nearest_rank(&sorted, 50));
    values.set(Metric::RttUsP90, nearest_rank(&sorted, 90));
    values.set(Metric::RttUsMax, max);
    if sorted.len() > 1 {
        values.set(Metric::PdvUsP95, nearest_rank(&sorted, 95) - min);
    }
    // RFC 3393 pairs consecutive packets; one lost packet breaks two pairs.
    let steps: Vec<i64> = rtts_us.windows(2).filter_map(|w| Some((w[1]? - w[0]?).abs())).collect();
    if !steps.is_empty() {
        values.set(Metric::IpdvUsMean, steps.iter().sum::<i64>() / steps.len() as i64);
    }
}

/// The smallest value with at least `percent` of all at or below it. `sorted` is not empty.
fn nearest_rank(sorted: &[i64], percent: usize) -> i64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

#[cfg(test)]
#[path = "icmp_tests.rs"]
mod tests;
