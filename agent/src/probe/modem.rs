//! The modem of this router, through whichever reader it offers.
//!
//! One modem stands on four rungs of the ladder: it is there, its SIM is good, it has found a network, it has a bearer.
//! `require` says which of them this target proves; the facts are the same for all.

use std::path::Path;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::process::Command;
use super::round::{Round, Values};
use super::serial::Port;
use super::stream::Phases;
use super::{Host, Measurement, Place};
use crate::modem::sim as state;
use crate::modem::{Facts, METRICS, at, hilink, mmcli, registration, ubus, uqmi};
use crate::packet::http::{Body, head};
use crate::sim;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the modem is read.
    pub reader: Reader,
    /// `uqmi`: its control device; `at`: its serial port; `mmcli`: its number; `ubus`: the interface's name.
    #[serde(default)]
    pub device: Option<String>,
    /// `hilink`: its web address.
    #[serde(default)]
    pub address: Option<Place>,
    /// What must hold for the round to be right.
    #[serde(default)]
    pub require: Require,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        self.device.iter().filter(|device| device.starts_with('/')).cloned().collect()
    }
}

/// The readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// OpenWrt's QMI tool.
    Uqmi,
    /// ModemManager's tool.
    Mmcli,
    /// AT commands on a serial port.
    At,
    /// Huawei's sticks with an address of their own.
    Hilink,
    /// OpenWrt's bus: the bearer only.
    Ubus,
}

/// What a target proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// The modem answers.
    #[default]
    Modem,
    /// Its SIM is ready and the network does not refuse it.
    Sim,
    /// It is registered.
    Radio,
    /// It has an address.
    Bearer,
}

/// A modem tool says little; a tool that says more is another tool.
const OUTPUT_BYTES: usize = 64 * 1024;

/// A modem.
#[derive(Debug)]
pub struct Modem {
    config: Config,
    device: String,
    address: Place,
}

impl Modem {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        let device = match (&config.device, config.reader) {
            (Some(device), _) if device.starts_with('-') || device.contains(char::is_whitespace) => {
                return Err(format!("`device` {device:?} is not a name"));
            }
            (Some(device), _) => device.clone(),
            (None, Reader::Mmcli) => "any".to_owned(),
            (None, Reader::Hilink) => String::new(),
            (None, Reader::Uqmi | Reader::At) => return Err("`device` is needed, such as /dev/cdc-wdm0 or /dev/ttyUSB2".into()),
            (None, Reader::Ubus) => return Err("`device` is needed: the interface's name, such as wwan".into()),
        };
        // What Huawei ships its sticks with.
        let address = config.address.clone().unwrap_or(Place { host: Host::Address([192, 168, 8, 1].into()), port: None });
        Ok(Modem { config, device, address })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![Metric::ModemPresent];
        if self.config.reader == Reader::Ubus {
            metrics.push(Metric::BearerUp)
        } else {
            metrics.extend(METRICS)
        }
        metrics
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        if self.config.reader == Reader::Hilink { self.address.to_string() } else { self.device.clone() }
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut facts = Facts::default();
        let read = match self.config.reader {
            Reader::Uqmi => self.run(round, uqmi::COMMANDS.map(|command| self.uqmi(command)), uqmi::read, &mut facts).await,
            Reader::Mmcli => self.read_mmcli(round, &mut facts).await,
            Reader::Ubus => self.run(round, [self.ubus()], ubus::read, &mut facts).await,
            Reader::At => self.read_at(round, &mut facts).await,
            Reader::Hilink => self.read_hilink(round, &mut facts).await,
        };
        let outcome = match read {
            // What was learnt before a command failed stands.
            Ok(()) | Err(Outcome::Timeout) if !facts.is_empty() => self.judge(&facts),
            Ok(()) => Outcome::Unexpected,
            Err(outcome) => outcome,
        };
        if matches!(read, Ok(()) | Err(Outcome::Timeout)) {
            self.note_sim(&mut facts);
        }
        let mut values = Values::default();
        if outcome.verdict() != rusta_wire::Verdict::NoEvidence {
            values.set(Metric::ModemPresent, i64::from(!facts.is_empty()));
        }
        values.0.extend(facts.into_values());
        // A stick's own cable is not the metered line, so nothing is counted against the plan.
        values.into_measurement(outcome)
    }

    /// Notes which card is in it. A reader that was cut short may not have come to that, and then the one before stands.
    fn note_sim(&self, facts: &mut Facts) {
        let card = facts.iccid.as_ref().map(sim::card_of);
        facts.note_some(Metric::SimId, card.map(|card| i64::from(card.0)));
        if card.is_some() || facts.get(Metric::SimState) == Some(state::ABSENT) {
            let (apn, interfaces) = (facts.apn.take(), std::mem::take(&mut facts.interfaces));
            sim::found(&self.device, sim::Found { card, apn, interfaces, place: sim::place_of(&self.device) });
        }
    }

    fn uqmi(&self, command: &str) -> Vec<String> {
        // A second for each command: a hung modem must not eat the round.
        ["uqmi", "-s", "-t", "1000", "-d", &self.device, command].map(Into::into).to_vec()
    }

    fn mmcli(&self, command: &[&str]) -> Vec<String> {
        ["mmcli", "-m", &self.device].iter().chain(command).map(|&word| word.into()).collect()
    }

    fn ubus(&self) -> Vec<String> {
        vec!["ubus".into(), "-t".into(), "2".into(), "call".into(), format!("network.interface.{}", self.device), "status".into()]
    }

    async fn run<const N: usize>(
        &self,
        round: &Round<'_>,
        commands: [Vec<String>; N],
        read: fn(&str, &mut Facts),
        facts: &mut Facts,
    ) -> Result<(), Outcome> {
        for words in commands {
            read(&self.say(round, &words).await?, facts);
        }
        Ok(())
    }

    async fn read_mmcli(&self, round: &Round<'_>, facts: &mut Facts) -> Result<(), Outcome> {
        for command in mmcli::COMMANDS {
            let output = self.say(round, &self.mmcli(command)).await?;
            mmcli::read(&output, facts);
            if let Some(path) = mmcli::sim_path(&output) {
                let words = ["mmcli", "-i", &path, "-J"].map(Into::into);
                mmcli::read(&self.say(round, &words).await?, facts);
            }
            if mmcli::wants_setup(&output) {
                self.say(round, &self.mmcli(mmcli::SIGNAL_SETUP)).await?;
                mmcli::read(&self.say(round, &self.mmcli(command)).await?, facts);
            }
        }
        Ok(())
    }

    async fn say(&self, round: &Round<'_>, words: &[String]) -> Result<String, Outcome> {
        Ok(Command { words, output_bytes: OUTPUT_BYTES, as_nobody: false }.run(round).await?.output)
    }

    async fn read_at(&self, round: &Round<'_>, facts: &mut Facts) -> Result<(), Outcome> {
        let mut port = Port::open(Path::new(&self.device))?;
        port.command(round, "ATE0").await?;
        for command in at::COMMANDS {
            at::read(&port.command(round, command).await?, facts);
        }
        Ok(())
    }

    async fn read_hilink(&self, round: &Round<'_>, facts: &mut Facts) -> Result<(), Outcome> {
        let document = self.get(round, hilink::SESSION, "").await?;
        let headers =
            hilink::session(&document).map(|(cookie, token)| format!("Cookie: {cookie}\r\n__RequestVerificationToken: {token}\r\n"));
        for path in hilink::PATHS {
            hilink::read(&self.get(round, path, headers.as_deref().unwrap_or_default()).await?, facts);
        }
        Ok(())
    }

    async fn get(&self, round: &Round<'_>, path: &str, headers: &str) -> Result<String, Outcome> {
        let fault = |e: std::io::Error| round.way.outcome_of(&e);
        let mut stream = round.dial(&self.address.host, self.address.port_or(80), &mut Phases::default()).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n", self.address.host);
        round.by_deadline(stream.write_all(request.as_bytes())).await?.map_err(fault)?;
        let mut received = Vec::new();
        let head = loop {
            if let Some(head) = head(&received).map_err(|_| Outcome::Malformed)? {
                break head;
            }
            if round.by_deadline(stream.read_buf(&mut received)).await?.map_err(fault)? == 0 {
                return Err(Outcome::Malformed);
            }
        };
        let mut body = Body::new(head.framing, OUTPUT_BYTES);
        let mut piece = received.split_off(head.length);
        loop {
            body.feed(&piece).map_err(|_| Outcome::Malformed)?;
            piece.clear();
            if body.is_done() || round.by_deadline(stream.read_buf(&mut piece)).await?.map_err(fault)? == 0 {
                return Ok(String::from_utf8_lossy(&body.bytes).into_owned());
            }
        }
    }

    fn judge(&self, facts: &Facts) -> Outcome {
        let registered = facts.get(Metric::Registration);
        let holds = match self.config.require {
            Require::Modem => true,
            Require::Sim => facts.get(Metric::SimState).is_none_or(|s| s == state::READY) && registered != Some(registration::DENIED),
            Require::Radio => matches!(registered, Some(registration::HOME | registration::ROAMING)),
            Require::Bearer => facts.get(Metric::BearerUp) == Some(1),
        };
        if holds { Outcome::Ok } else { Outcome::Unexpected }
    }
}

#[cfg(test)]
#[path = "modem_tests.rs"]
pub(super) mod tests;
