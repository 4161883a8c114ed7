//! A webhook in the shape of PagerDuty's Events API v2; the address is the user's.

use std::time::Duration;

use rusta_wire::UnixMs;
use serde_json::json;

use super::{ChannelError, Parcel, Sent, Settings, post};
use crate::notify::desk::Kind;
use crate::persian::Moment;
use crate::rules::Severity;

/// PagerDuty cuts a summary at 1,024 characters with an error.
const LONGEST_SUMMARY: usize = 1024;

/// A webhook.
pub struct Webhook {
    client: reqwest::Client,
    url: String,
    routing_key: String,
    source: String,
}

impl Webhook {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, ChannelError> {
        Ok(Webhook {
            client: settings.client(Duration::from_secs(10))?,
            url: settings.url()?,
            routing_key: settings.secret("routing_key")?.unwrap_or_default(),
            source: settings.option("source").unwrap_or("rusta").to_owned(),
        })
    }

    pub(super) async fn send(&self, parcel: &Parcel<'_>) -> Sent {
        let letter = parcel.letter;
        let action = match letter.kind {
            Kind::Resolve | Kind::SummaryResolve => "resolve",
            Kind::Fire | Kind::Escalate | Kind::Summary | Kind::Digest => "trigger",
        };
        let message = letter.about.first().cloned().unwrap_or_default();
        let body = json!({
            "routing_key": self.routing_key,
            "event_action": action,
            "dedup_key": letter.key,
            "payload": {
                "summary": parcel.text.subject.chars().take(LONGEST_SUMMARY).collect::<String>(),
                "source": self.source,
                "severity": severity(letter.severity),
                "timestamp": Moment::at(UnixMs(letter.at)).rfc3339(),
                "component": message.root.1,
                "group": message.place.1,
                "class": message.cause.as_ref().map_or("", |(code, _)| code.as_str()),
                "custom_details": {
                    "id": parcel.id,
                    "kind": letter.kind,
                    "text": parcel.text.long,
                    "since": Moment::at(UnixMs(message.since)).rfc3339(),
                    "sites": message.sites,
                    "villages": message.villages,
                    "path": message.path,
                },
            },
        });
        match post(self.client.post(&self.url).header("content-type", "application/json").body(body.to_string())).await {
            Ok(answer) => answer.failure().unwrap_or(Sent::Delivered),
            Err(sent) => sent,
        }
    }
}

/// The shape knows four severities; ours are three.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Page => "critical",
        Severity::Ticket => "error",
        Severity::Digest => "info",
    }
}
