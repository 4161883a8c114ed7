//! Alertmanager API v2: labels identify, annotations tell. Grouping is done before it, so each case is one alert.
//!
//! A case keeps for life what it was first told by, whatever becomes of its root; only its severity, by which people route,
//! may rise. Then the alert of the old severity ends in the request that begins the other.

use std::time::Duration;

use rusta_wire::UnixMs;
use serde_json::{Value, json};

use super::{ChannelError, Parcel, Sent, Settings, post};
use crate::config::parse_duration;
use crate::notify::desk::Kind;
use crate::notify::message::{Letter, Marks};
use crate::notify::text::{Rendered, render};
use crate::persian::Moment;
use crate::rules::Severity;

/// How often it hears again what holds; by default it forgets after five minutes (`resolve_timeout`).
const REPEAT: Duration = Duration::from_secs(60);

/// An Alertmanager.
pub struct Alertmanager {
    client: reqwest::Client,
    url: String,
    /// How often it hears again what holds: `options.repeat`.
    pub(in crate::notify) repeat_every: Duration,
    /// One request at a time: a repeated beginning must not overtake its end.
    turn: tokio::sync::Mutex<()>,
}

impl Alertmanager {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, ChannelError> {
        let url = format!("{}/api/v2/alerts", settings.url()?.trim_end_matches('/'));
        let every = settings.option("repeat").map_or(Ok(REPEAT), parse_duration);
        let repeat_every = every.map_err(|why| settings.incomplete(&format!("options.repeat: {why}")))?;
        if repeat_every < Duration::from_secs(1) {
            return Err(settings.incomplete("options.repeat is at least 1s"));
        }
        Ok(Alertmanager { client: settings.client(Duration::from_secs(10))?, url, repeat_every, turn: tokio::sync::Mutex::default() })
    }

    pub(super) async fn send(&self, parcel: &Parcel<'_>) -> Sent {
        let _turn = self.turn.lock().await;
        let letter = parcel.letter;
        let mut alerts = vec![alert_of(letter, parcel.text)];
        if let Some(before) = letter.told_as.as_ref().filter(|before| before.severity != letter.severity) {
            alerts.push(ended(alert(letter, before.severity, &before.marks, parcel.text), letter.at));
        }
        self.post(alerts).await
    }

    /// Sends letters that still hold once more, in one request: an alert not repeated resolves by itself. They are read
    /// when it is their turn, so that none of them has ended meanwhile.
    ///
    /// # Errors
    /// What `letters` says.
    pub async fn repeat<E>(&self, letters: impl FnOnce() -> Result<Vec<Letter>, E>, page_url: &str) -> Result<Sent, E> {
        let _turn = self.turn.lock().await;
        let letters = letters()?;
        if letters.is_empty() {
            return Ok(Sent::Delivered);
        }
        Ok(self.post(letters.iter().map(|letter| alert_of(letter, &render(letter, page_url))).collect()).await)
    }

    async fn post(&self, alerts: Vec<Value>) -> Sent {
        match post(self.client.post(&self.url).header("content-type", "application/json").body(Value::from(alerts).to_string())).await {
            Ok(answer) => answer.failure().unwrap_or(Sent::Delivered),
            Err(sent) => sent,
        }
    }
}

/// Returns the marks of the alert it is at this severity: those it was told with first.
fn marks_of(letter: &Letter) -> &Marks {
    static NONE: Marks = Marks { rule: String::new(), site: String::new(), region: String::new() };
    let told = letter.told_as.as_ref().filter(|told| told.severity == letter.severity).map(|told| &told.marks);
    told.or_else(|| letter.about.first().map(|message| &message.marks)).unwrap_or(&NONE)
}

/// Names an alert as Prometheus' users do: `class-b-down` is `RustaClassBDown`.
fn alertname(rule: &str, kind: Kind) -> String {
    let plain = match kind {
        Kind::Digest => "shift-digest",
        Kind::Summary | Kind::SummaryResolve => "several-at-once",
        // Told by an earlier version.
        _ if rule.is_empty() => return "rusta".to_owned(),
        _ => rule,
    };
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    "Rusta".to_owned() + &plain.split(|c: char| !c.is_ascii_alphanumeric()).map(word).collect::<String>()
}

/// Returns the alert a letter is.
pub(in crate::notify) fn alert_of(letter: &Letter, text: &Rendered) -> Value {
    alert(letter, letter.severity, marks_of(letter), text)
}

/// Label names are ASCII: Alertmanager refuses Persian names with 400, while values pass intact.
fn alert(letter: &Letter, severity: Severity, marks: &Marks, text: &Rendered) -> Value {
    let since = letter.about.iter().map(|message| message.since).min().unwrap_or(letter.at);
    let root = letter.about.first().map_or("", |message| message.root.0.as_str());
    let mut labels = json!({
        "alertname": alertname(&marks.rule, letter.kind),
        "case": letter.key,
        "severity": severity.as_str(),
        "root": letter.told_as.as_ref().map_or(root, |told| told.root.as_str()),
    });
    // An empty value is no label.
    for (name, value) in
        [("rule", &marks.rule), ("site", &marks.site), ("region", &marks.region)].into_iter().filter(|(_, v)| !v.is_empty())
    {
        labels[name] = Value::from(value.as_str());
    }
    let mut begins = json!({
        "labels": labels,
        "annotations": { "summary": text.subject, "description": text.long },
        "startsAt": rfc3339(since),
    });
    if !text.page.is_empty() {
        begins["generatorURL"] = Value::from(text.page.as_str());
    }
    match letter.kind {
        Kind::Resolve | Kind::SummaryResolve => ended(begins, letter.at),
        Kind::Fire | Kind::Escalate | Kind::Summary | Kind::Digest => begins,
    }
}

fn ended(mut alert: Value, at: i64) -> Value {
    alert["endsAt"] = Value::from(rfc3339(at));
    alert
}

fn rfc3339(at: i64) -> String {
    Moment::at(UnixMs(at)).rfc3339()
}
