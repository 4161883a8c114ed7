//! The ladder as a technician reads it on a phone: a coloured table, Persian or English, or JSON.

use std::collections::BTreeMap;

use rusta_wire::{Network, Outcome, ProbeKind, Rung, Verdict};
use serde::{Serialize, Serializer};

use super::shown::shown;
use super::{State, judge, lowest_broken};
use crate::schedule::Standing;
use crate::usage::Language;

/// The result of one target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetLine {
    /// Its name.
    pub name: String,
    /// Its rung.
    #[serde(serialize_with = "word")]
    pub rung: Rung,
    /// The method.
    #[serde(serialize_with = "word")]
    pub probe: ProbeKind,
    /// What was probed.
    pub address: String,
    /// What came of it.
    #[serde(serialize_with = "word")]
    pub outcome: Outcome,
    /// What was measured, by metric name.
    pub values: BTreeMap<&'static str, i64>,
    /// A device's parts: its interfaces, its radio, the hops of a path.
    pub parts: Vec<PartLine>,
}

/// One part of a target.
#[derive(Debug, Clone, Serialize)]
pub struct PartLine {
    /// Its name within the target.
    pub name: String,
    /// What came of reading it.
    #[serde(serialize_with = "word")]
    pub outcome: Outcome,
    /// What was measured, by metric name.
    pub values: BTreeMap<&'static str, i64>,
}

/// The ladder of one link.
#[derive(Debug, Serialize)]
struct LinkReport {
    name: String,
    #[serde(serialize_with = "word")]
    network: Network,
    broken_rung: Option<&'static str>,
    cause: Option<&'static str>,
    rungs: Vec<RungReport>,
}

#[derive(Debug, Serialize)]
struct RungReport {
    #[serde(serialize_with = "word")]
    rung: Rung,
    state: State,
    targets: Vec<TargetLine>,
}

/// The ladders of all links.
#[derive(Debug, Serialize)]
pub struct Report {
    holds: bool,
    links: Vec<LinkReport>,
}

fn word<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Report {
    /// Puts results in order: links as configured, rungs from the lowest.
    pub fn new(links: Vec<(String, Network, Vec<TargetLine>)>) -> Report {
        let links: Vec<LinkReport> = links.into_iter().map(|(name, network, lines)| LinkReport::new(name, network, lines)).collect();
        let holds = links.iter().all(|l| l.rungs.iter().all(|r| r.state == State::Holds));
        Report { holds, links }
    }

    /// Tells whether every rung of every link holds.
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// Writes the table.
    pub fn table(&self, language: Language, colour: bool) -> String {
        let mut out = String::new();
        for link in &self.links {
            link.write(&mut out, language, colour);
        }
        out
    }
}

impl LinkReport {
    fn new(name: String, network: Network, lines: Vec<TargetLine>) -> LinkReport {
        let standings: Vec<(Rung, Standing)> = lines.iter().map(|l| (l.rung, standing(l.outcome))).collect();
        let broken = lowest_broken(&standings);
        let rung = |(rung, state)| RungReport { rung, state, targets: lines.iter().filter(|l| l.rung == rung).cloned().collect() };
        LinkReport {
            name,
            network,
            broken_rung: broken.map(Rung::as_str),
            cause: broken.map(Rung::cause_code),
            rungs: judge(&standings).into_iter().map(rung).collect(),
        }
    }

    fn write(&self, out: &mut String, language: Language, colour: bool) {
        let paint = |code: &str, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() };
        out.push_str(&paint("1", &format!("{} ({})\n", ltr(&self.name, language), network_name(self.network, language))));
        for rung in &self.rungs {
            let (code, mark) = match rung.state {
                State::Holds => ("32", "✓"),
                State::Silent => ("33", "~"),
                State::Broken => ("31", "✗"),
                State::Unknown => ("90", "?"),
            };
            out.push_str(&paint(code, &format!(" {mark} {} {}\n", rung.rung.cause_code(), rung_name(rung.rung, language))));
            for line in &rung.targets {
                out.push_str(&line.text(language));
            }
        }
        let verdict = match (self.rungs.iter().find(|r| r.state == State::Broken), language) {
            (Some(broken), Language::En) => paint("31", &format!("lowest broken rung: {}\n", rung_name(broken.rung, language))),
            (Some(broken), Language::Fa) => paint("31", &format!("پایین‌ترین پلهٔ خراب: {}\n", rung_name(broken.rung, language))),
            (None, Language::En) => "no rung is broken\n".to_string(),
            (None, Language::Fa) => "هیچ پله‌ای خراب نیست\n".to_string(),
        };
        out.push_str(&verdict);
    }
}

impl TargetLine {
    fn text(&self, language: Language) -> String {
        let time =
            ["rtt_us_p50", "rtt_us_min", "connect_us", "query_us", "first_byte_us"].iter().find_map(|metric| self.values.get(*metric));
        let time = time.map(|us| format!("{:.1} ms", *us as f64 / 1000.0)).unwrap_or_default();
        let place = ltr(&format!("{} {}", self.name, self.address), language);
        let mut text = format!("     {place}  {}  {}\n", outcome_name(self.outcome, language), ltr(&time, language));
        text.push_str(&values_text(&self.values, language));
        for part in &self.parts {
            text.push_str(&format!("       {}  {}\n", ltr(&part.name, language), outcome_name(part.outcome, language)));
            text.push_str(&values_text(&part.values, language));
        }
        text
    }
}

/// Says everything measured, in lines that fit the screen of a phone.
fn values_text(values: &BTreeMap<&'static str, i64>, language: Language) -> String {
    const VALUES_A_LINE: usize = 4;
    let all: Vec<String> = values.iter().map(|(name, value)| shown(name, *value)).collect();
    all.chunks(VALUES_A_LINE).map(|line| format!("         {}\n", ltr(&line.join("  "), language))).collect()
}

fn standing(outcome: Outcome) -> Standing {
    match outcome.verdict() {
        Verdict::Success => Standing::Holds,
        Verdict::Failure => Standing::Broken,
        Verdict::NoEvidence => Standing::Unknown,
    }
}

/// Isolates a left-to-right run in Persian text.
fn ltr(text: &str, language: Language) -> String {
    match language {
        Language::Fa if !text.is_empty() => format!("\u{2068}{text}\u{2069}"),
        _ => text.to_string(),
    }
}

fn network_name(network: Network, language: Language) -> &'static str {
    match (language, network) {
        (Language::En, network) => network.as_str(),
        (Language::Fa, Network::Gov) => "شبکه دولت",
        (Language::Fa, Network::Apn) => "شبکه APN روستایی",
        (Language::Fa, Network::Nin) => "شبکه ملی اطلاعات",
        (Language::Fa, Network::Internet) => "اینترنت بین‌الملل",
        (Language::Fa, Network::Unknown(_)) => "ناشناخته",
    }
}

fn rung_name(rung: Rung, language: Language) -> &'static str {
    let (fa, en) = match rung {
        Rung::Collector => ("گردآورنده", "collector"),
        Rung::Power => ("برق", "power"),
        Rung::Device => ("مسیریاب یا عامل پایش", "router or agent"),
        Rung::Modem => ("مودم", "modem"),
        Rung::Sim => ("سیم‌کارت یا بسته داده", "SIM or data plan"),
        Rung::Radio => ("آنتن و دکل", "radio and mast"),
        Rung::Bearer => ("اتصال APN", "bearer and APN"),
        Rung::Gateway => ("درگاه APN یا تونل", "APN gateway or tunnel"),
        Rung::Pop => ("PoP شهرستان", "county PoP or last mile"),
        Rung::Core => ("هسته استان", "provincial core"),
        Rung::Nin => ("شبکه ملی اطلاعات", "national information network"),
        Rung::International => ("اینترنت بین‌الملل", "international internet"),
        Rung::Naming => ("نام دامنه و گواهی", "names and certificates"),
        Rung::Service => ("خدمت", "service"),
        Rung::Unknown(_) => ("ناشناخته", "unknown"),
    };
    if language == Language::Fa { fa } else { en }
}

fn outcome_name(outcome: Outcome, language: Language) -> &'static str {
    let (fa, en) = match outcome {
        Outcome::Ok => ("برقرار", "ok"),
        Outcome::Timeout => ("بی‌پاسخ", "no answer"),
        Outcome::Refused => ("رد شد", "refused"),
        Outcome::Unreachable => ("دور از دسترس", "unreachable"),
        Outcome::ResolveFailed => ("نام پیدا نشد", "name not found"),
        Outcome::TlsFailed => ("گواهی یا رمزنگاری نادرست", "tls failed"),
        Outcome::ClockFault => ("ساعت نادرست", "clock is wrong"),
        Outcome::Unexpected => ("پاسخ غیرمنتظره", "unexpected answer"),
        Outcome::Malformed => ("پاسخ ناخوانا", "unreadable answer"),
        Outcome::LinkGone => ("لینک نیست", "link is not there"),
        Outcome::NotPermitted => ("اجازه نیست", "not permitted"),
        Outcome::NotRun => ("اجرا نشد", "not run"),
        Outcome::SystemError => ("خطای سیستم", "system error"),
        Outcome::Unknown(_) => ("ناشناخته", "unknown"),
    };
    if language == Language::Fa { fa } else { en }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let line = |name: &str, rung, outcome, values| TargetLine {
            name: name.into(),
            rung,
            probe: ProbeKind::Icmp,
            address: "10.1.0.1".into(),
            outcome,
            values,
            parts: Vec::new(),
        };
        let lines = vec![
            line("gateway", Rung::Gateway, Outcome::Ok, BTreeMap::from([("rtt_us_p50", 12_340)])),
            line("county", Rung::Pop, Outcome::Timeout, BTreeMap::new()),
        ];
        Report::new(vec![("apn0".into(), Network::Apn, lines)])
    }

    #[test]
    fn the_table_names_the_broken_rung_in_both_languages() {
        let english = report().table(Language::En, false);
        assert!(english.contains("✗ POP county PoP") && english.contains("12.3 ms"), "{english}");
        assert!(english.ends_with("lowest broken rung: county PoP or last mile\n"));
        let persian = report().table(Language::Fa, true);
        assert!(persian.contains("PoP شهرستان") && persian.contains("\u{2068}gateway 10.1.0.1\u{2069}") && persian.contains("\x1b[31m"));
        assert!(!report().holds());
    }

    #[test]
    fn a_technician_sees_everything_measured_and_every_part() {
        let lte = PartLine { name: "lte1".into(), outcome: Outcome::Ok, values: BTreeMap::from([("rsrp_dbm", -98), ("sinr_cb", 124)]) };
        let line = TargetLine {
            name: "router".into(),
            rung: Rung::Radio,
            probe: ProbeKind::Snmp,
            address: "10.1.0.2".into(),
            outcome: Outcome::Ok,
            values: BTreeMap::from([("uptime_s", 60)]),
            parts: vec![lte],
        };
        let report = Report::new(vec![("apn0".into(), Network::Apn, vec![line])]);
        let english = report.table(Language::En, false);
        assert!(english.contains("uptime 60 s") && english.contains("lte1  ok\n         rsrp -98 dBm  sinr 12.4 dB\n"), "{english}");
        assert!(report.table(Language::Fa, false).contains("\u{2068}rsrp -98 dBm  sinr 12.4 dB\u{2069}"));
        let json = serde_json::to_value(report).unwrap();
        let part = &json["links"][0]["rungs"][0]["targets"][0]["parts"][0];
        assert_eq!(
            (part["name"].as_str(), part["outcome"].as_str(), part["values"]["rsrp_dbm"].as_i64()),
            (Some("lte1"), Some("ok"), Some(-98))
        );
    }

    #[test]
    fn json_has_the_stable_words() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["links"][0]["broken_rung"], "pop");
        assert_eq!(json["links"][0]["cause"], "POP");
        assert_eq!(json["links"][0]["rungs"][0]["state"], "holds");
        assert_eq!(json["links"][0]["rungs"][1]["targets"][0]["outcome"], "timeout");
    }
}
