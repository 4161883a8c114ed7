//! Traceroute and path MTU over one flow, and the black hole between them.
//!
//! A trace asks one hop after the other with the same flow identity, so all answers are of one path. The path MTU is found
//! by sending packets that may not be fragmented. A router that cannot pass one must say so (RFC 1191); where large packets
//! vanish without a word, while small ones pass, the path has a black hole (RFC 2923): pages hang half way, and only this
//! probe sees why.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;
use tokio::time::Instant;

use super::flow::{Fate, Flow};
use super::round::{Round, Values};
use super::{Host, Measurement, Part};
use crate::interfaces::interfaces;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the path leads.
    pub address: Host,
    /// The UDP port that is asked where the kernel grants no echo socket.
    #[serde(default = "traceroute_port")]
    pub port: u16,
    /// Farthest hop to ask, 1 to 64.
    #[serde(default = "usual_hops")]
    pub max_hops: u8,
    /// Measures the path MTU too.
    #[serde(default = "yes")]
    pub mtu: bool,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The first port of the classic traceroute range; nothing listens there.
fn traceroute_port() -> u16 {
    33434
}

/// A village in Iran is 10 to 20 hops from anywhere in it.
fn usual_hops() -> u8 {
    30
}

fn yes() -> bool {
    true
}

/// The size of a trace's packets: as `ping` sends them.
const TRACE_BYTES: usize = 84;
/// Every IPv4 path carries this (RFC 791 asks for 576 at the ends), every IPv6 path 1,280.
const SURE_BYTES_V4: usize = 576;
const SURE_BYTES_V6: usize = 1_280;
/// After so many silent hops in a row the rest of the path is silent too, or there is none.
const SILENT_HOPS: u8 = 4;
/// The longest wait for one packet; satellite hops take 600 ms.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// A large packet is sent this often before its silence counts as a black hole and not as a loss.
const TRIES: u8 = 3;
/// A router that names a size and then does not keep to it would keep us for ever.
const STEPS: u8 = 24;

/// Traceroute and path MTU.
#[derive(Debug)]
pub struct Path {
    config: Config,
}

#[derive(Debug, Default)]
struct Trace {
    hops: Vec<Part>,
    last: Option<(u8, IpAddr)>,
    took: Option<Duration>,
    refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mtu {
    bytes: usize,
    is_black_hole: bool,
}

impl Path {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        if !(1..=64).contains(&config.max_hops) {
            return Err(format!("`max_hops` is {}, it must be between 1 and 64", config.max_hops));
        }
        Ok(Path { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::Hops, Metric::LastHop, Metric::RttUsMin, Metric::PathMtu, Metric::MtuBlackHole]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        vec![Metric::LastHop, Metric::RttUsMin]
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        // A dozen hops, and a dozen large packets with their answers.
        12 * 2 * TRACE_BYTES as u64 + if self.config.mtu { 12 * 2 * 1_000 } else { 0 }
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut trace = Trace::default();
        let mut mtu = None;
        let walked = self.walk(round, &mut trace, &mut mtu).await;
        let outcome = match (&trace, walked) {
            (_, Err(outcome)) => outcome,
            (Trace { took: Some(_), .. }, Ok(())) => Outcome::Ok,
            (Trace { refused: true, .. }, Ok(())) => Outcome::Unreachable,
            _ => Outcome::Timeout,
        };
        let mut values = Values::default();
        values.set_some(Metric::Hops, trace.last.map(|(hop, _)| hop));
        values.set_some(Metric::LastHop, trace.last.and_then(|(_, router)| as_number(router)));
        values.set_some(Metric::RttUsMin, trace.took.map(|t| t.as_micros()));
        values.set_some(Metric::PathMtu, mtu.map(|m| m.bytes));
        values.set_some(Metric::MtuBlackHole, mtu.map(|m| u8::from(m.is_black_hole)));
        Measurement { parts: trace.hops, ..values.into_measurement(outcome) }
    }

    async fn walk(&self, round: &Round<'_>, trace: &mut Trace, mtu: &mut Option<Mtu>) -> Result<(), Outcome> {
        let target = round.resolve(&self.config.address).await?.address;
        let mut flow = Flow::open(round, target, self.config.port).await?;
        // Half of the time is for the hops, half for the sizes.
        let now = Instant::now();
        let half = now + round.deadline.saturating_duration_since(now) / if self.config.mtu { 2 } else { 1 };
        self.trace(&mut flow, target, half, trace).await?;
        if self.config.mtu && trace.took.is_some() {
            *mtu = self.find_mtu(&mut flow, round, target).await?;
        }
        Ok(())
    }

    async fn trace(&self, flow: &mut Flow<'_>, target: IpAddr, until: Instant, trace: &mut Trace) -> Result<(), Outcome> {
        let mut silent = 0;
        for hop in 1..=self.config.max_hops {
            if Instant::now() >= until {
                break;
            }
            let (router, took) = match flow.send(TRACE_BYTES, hop, patience(until, 4)).await? {
                Fate::Arrived { took } => (target, took),
                Fate::Expired { router, took } => (router, took),
                Fate::Refused { router } => {
                    trace.refused = true;
                    trace.last = Some((hop, router));
                    break;
                }
                Fate::Silence | Fate::TooLarge { .. } if silent + 1 >= SILENT_HOPS => break,
                Fate::Silence | Fate::TooLarge { .. } => {
                    silent += 1;
                    continue;
                }
            };
            silent = 0;
            trace.last = Some((hop, router));
            let mut values = Values::default();
            values.set_some(Metric::LastHop, as_number(router));
            values.set_time(Metric::RttUsMin, took);
            trace.hops.push(Part { name: format!("hop{hop:02}"), outcome: Outcome::Ok, values: values.0 });
            if router == target {
                trace.took = Some(took);
                break;
            }
        }
        Ok(())
    }

    /// Finds the largest packet that arrives. `None` when not even the surest size does, or time runs out.
    async fn find_mtu(&self, flow: &mut Flow<'_>, round: &Round<'_>, target: IpAddr) -> Result<Option<Mtu>, Outcome> {
        let mut passes = if target.is_ipv4() { SURE_BYTES_V4 } else { SURE_BYTES_V6 };
        let mut fails = first_mtu(round, target).await.max(passes) + 1;
        let (mut size, mut is_black_hole, mut sure_passed) = (fails - 1, false, false);
        for _ in 0..STEPS {
            match self.try_size(flow, round, size).await? {
                Fate::Arrived { .. } => {
                    passes = size;
                    sure_passed = true;
                }
                Fate::TooLarge { fits: Some(fits) } if (passes..size).contains(&(fits as usize)) => {
                    fails = size;
                    size = fits as usize;
                    continue;
                }
                Fate::TooLarge { .. } => fails = size,
                Fate::Silence if size <= passes => return Ok(None),
                Fate::Silence => {
                    fails = size;
                    is_black_hole = true;
                }
                _ => return Ok(None),
            }
            if passes + 1 >= fails {
                break;
            }
            // The sizes tunnels really have come first, then halves.
            size = if !sure_passed { passes } else { usual_below(passes, fails).unwrap_or(passes + (fails - passes) / 2) };
        }
        Ok((passes + 1 >= fails && sure_passed).then_some(Mtu { bytes: passes, is_black_hole }))
    }

    async fn try_size(&self, flow: &mut Flow<'_>, round: &Round<'_>, size: usize) -> Result<Fate, Outcome> {
        for _ in 0..TRIES {
            if Instant::now() >= round.deadline {
                return Err(Outcome::Timeout);
            }
            match flow.send(size, u8::MAX, patience(round.deadline, 16)).await? {
                Fate::Silence => {}
                fate => return Ok(fate),
            }
        }
        Ok(Fate::Silence)
    }
}

/// Waits at most a share of what is left, so that one silent hop does not eat the round.
fn patience(until: Instant, share: u32) -> Instant {
    let now = Instant::now();
    now + PATIENCE.min(until.saturating_duration_since(now) / share)
}

/// Ethernet, PPPoE, GTP over IPv4, WireGuard, L2TP over IPsec, IPv6's least: the sizes lines and tunnels really have.
const USUAL: [usize; 6] = [1_500, 1_492, 1_464, 1_420, 1_400, 1_280];

fn usual_below(passes: usize, fails: usize) -> Option<usize> {
    // Just above a size that passed tells at once whether it is the limit.
    if USUAL.contains(&passes) && passes + 1 < fails {
        return Some(passes + 1);
    }
    USUAL.into_iter().find(|size| *size > passes && *size < fails)
}

fn as_number(router: IpAddr) -> Option<u32> {
    match router {
        IpAddr::V4(router) => Some(router.into()),
        IpAddr::V6(_) => None,
    }
}

/// The MTU of the interface the flow leaves by: nothing larger can be sent at all.
async fn first_mtu(round: &Round<'_>, target: IpAddr) -> usize {
    let local = match round.way.connect_udp(SocketAddr::new(target, 9)).await {
        Ok(socket) => socket.local_addr().map(|a| a.ip()).ok(),
        Err(_) => None,
    };
    let all = interfaces();
    let leaves = all.iter().find(|i| i.ips.iter().any(|net| Some(net.ip()) == local));
    let mtu = leaves.and_then(|i| std::fs::read_to_string(format!("/sys/class/net/{}/mtu", i.name)).ok()?.trim().parse().ok());
    mtu.map_or(USUAL[0], |mtu: usize| mtu.min(USUAL[0]))
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
