//! A USSD request through the modem: balance and data left, as the operator tells them.
//!
//! A code can buy something. So the probe runs only where `allow_cost: true` stands beside it, and a code with a menu choice
//! in it is the configuration's to answer for.

use std::path::PathBuf;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::Measurement;
use super::round::{Round, Values};
use super::serial::Port;
use crate::modem::at::{balance_kib, ussd};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The modem's AT port.
    pub device: PathBuf,
    /// The code to send: `*555*1#`.
    pub code: String,
    /// Must be true: a code can cost money.
    #[serde(default)]
    pub allow_cost: bool,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        vec![self.device.display().to_string()]
    }
}

/// USSD request.
#[derive(Debug)]
pub struct Ussd {
    config: Config,
}

impl Ussd {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        let is_code = |code: &str| {
            code.starts_with(['*', '#']) && code.ends_with('#') && code.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'*' | b'#'))
        };
        if !is_code(&config.code) {
            return Err(format!("`code` {:?} is not a code such as \"*555*1#\"", config.code));
        }
        if !config.allow_cost {
            return Err("a USSD code can cost money; write `allow_cost: true` beside it if it may".into());
        }
        Ok(Ussd { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::UssdBalanceKib]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        self.config.code.clone()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut values = Values::default();
        let asked = self.ask(round, &mut values).await;
        values.end(asked)
    }

    async fn ask(&self, round: &Round<'_>, values: &mut Values) -> Result<(), Outcome> {
        let mut port = Port::open(&self.config.device)?;
        port.command(round, "ATE0").await?;
        // 15: the code is in the default alphabet (TS 23.038). The network's text comes some seconds after the OK.
        let command = format!("AT+CUSD=1,\"{}\",15", self.config.code);
        let is_enough =
            |answer: &str| answer.contains("ERROR") || answer.split_once("+CUSD:").is_some_and(|(_, rest)| rest.contains(['\r', '\n']));
        let answer = port.ask(round, &command, is_enough).await;
        // Ends a menu that still waits for a choice; without an open session the modem only says ERROR.
        let _ = port.command(round, "AT+CUSD=2").await;
        let text = ussd(&answer?).ok_or(Outcome::Refused)?;
        let kib = balance_kib(&text).ok_or(Outcome::Unexpected)?;
        values.set(Metric::UssdBalanceKib, kib);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusta_wire::{Metric, Outcome};

    use super::super::modem::tests::modem_at;
    use super::super::tests_support::*;
    use crate::socket::Way;

    async fn ask(answers: &'static [(&'static str, &'static str)]) -> (super::Measurement, Vec<String>) {
        let (port, modem) = modem_at(answers);
        let target = probe(&format!("ussd: {{ device: {port}, code: '*555*1#', allow_cost: true }}"));
        let measured = prober().measure(&target, &Way::default(), Duration::from_millis(700)).await;
        (measured, modem.join().unwrap())
    }

    #[tokio::test]
    async fn the_operators_text_becomes_kibibytes_and_the_menu_is_closed() {
        let (measured, heard) = ask(&[
            ("ATE0", "\r\nOK\r\n"),
            ("AT+CUSD=1", "\r\nOK\r\n\r\n+CUSD: 1,\"Baste: 1.5 GB baghi mande\",15\r\n"),
            ("AT+CUSD=2", "\r\nOK\r\n"),
        ])
        .await;
        assert_eq!((measured.outcome, measured.value(Metric::UssdBalanceKib)), (Outcome::Ok, Some(1_572_864)));
        assert_eq!(heard, ["ATE0", "AT+CUSD=1,\"*555*1#\",15", "AT+CUSD=2"]);
    }

    #[tokio::test]
    async fn other_texts_refusals_and_silence() {
        let (other, _) = ask(&[("ATE0", "\r\nOK\r\n"), ("AT+CUSD=1", "\r\n+CUSD: 0,\"Service unavailable\",15\r\n")]).await;
        assert_eq!(other.outcome, Outcome::Unexpected);
        let (refused, _) = ask(&[("ATE0", "\r\nOK\r\n"), ("AT+CUSD=1", "\r\n+CME ERROR: 30\r\n")]).await;
        assert_eq!(refused.outcome, Outcome::Refused);
        let (silent, _) = ask(&[("ATE0", "\r\nOK\r\n"), ("AT+CUSD=1", "\r\nOK\r\n")]).await;
        assert_eq!((silent.outcome, silent.values.len()), (Outcome::Timeout, 0));
    }

    #[test]
    fn money_is_never_spent_by_accident() {
        assert!(refusal("ussd: { device: /dev/ttyUSB2, code: '*555*1#' }").contains("allow_cost"));
        assert!(refusal("ussd: { device: /dev/ttyUSB2, code: 'AT+CFUN=0', allow_cost: true }").contains("is not a code"));
    }
}
