//! Alertmanager API v2: labels identify, annotations tell. Grouping is done before it, so each case is one alert.

use std::time::Duration;

use rusta_wire::UnixMs;
use serde_json::{Value, json};

use super::{ChannelError, Parcel, Sent, Settings, post};
use crate::notify::desk::Kind;
use crate::notify::message::Letter;
use crate::notify::text::{Rendered, render};
use crate::persian::Moment;

/// An Alertmanager.
pub struct Alertmanager {
    client: reqwest::Client,
    url: String,
}

impl Alertmanager {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, ChannelError> {
        let url = format!("{}/api/v2/alerts", settings.url()?.trim_end_matches('/'));
        Ok(Alertmanager { client: settings.client(Duration::from_secs(10))?, url })
    }

    pub(super) async fn send(&self, parcel: &Parcel<'_>) -> Sent {
        self.post(vec![alert(parcel.letter, parcel.text)]).await
    }

    /// Sends letters that still hold once more, in one request: an alert not repeated resolves by itself.
    pub async fn repeat(&self, letters: &[Letter], page_url: &str) -> Sent {
        self.post(letters.iter().map(|letter| alert(letter, &render(letter, page_url))).collect()).await
    }

    async fn post(&self, alerts: Vec<Value>) -> Sent {
        match post(self.client.post(&self.url).header("content-type", "application/json").body(Value::from(alerts).to_string())).await {
            Ok(answer) => answer.failure().unwrap_or(Sent::Delivered),
            Err(sent) => sent,
        }
    }
}

/// Label names are ASCII: Alertmanager refuses Persian names with 400, while values pass intact.
fn alert(letter: &Letter, text: &Rendered) -> Value {
    let since = letter.about.iter().map(|message| message.since).min().unwrap_or(letter.at);
    let mut alert = json!({
        "labels": {
            "alertname": "rusta",
            "case": letter.key,
            "severity": letter.severity.as_str(),
            "root": letter.about.first().map_or("", |message| message.root.0.as_str()),
        },
        "annotations": { "summary": text.subject, "description": text.long },
        "startsAt": rfc3339(since),
    });
    if matches!(letter.kind, Kind::Resolve | Kind::SummaryResolve) {
        alert["endsAt"] = Value::from(rfc3339(letter.at));
    }
    alert
}

fn rfc3339(at: i64) -> String {
    Moment::at(UnixMs(at)).rfc3339()
}
