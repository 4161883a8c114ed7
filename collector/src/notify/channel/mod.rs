//! Channels: the ways a letter leaves. A channel makes one attempt and says what came of it; delivery decides the rest.
//!
//! The hard case is the attempt nobody answered: the gateway may have sent the message. Only a channel that recognises a
//! repeated id may try again then; any other hands over to the next channel, because nobody is called twice for a timeout.

mod alertmanager;
mod http;
mod preset;
mod smtp;
mod spool;
mod webhook;

use std::path::Path;
use std::time::Duration;

use super::message::Letter;
use super::setup::{ChannelUse, Secret};
use super::text::Rendered;
use crate::errors::root_of;

pub use alertmanager::Alertmanager;
#[cfg(test)]
pub(super) use alertmanager::alert_of as alertmanager_alert;
pub use http::HttpChannel;
pub use preset::{Preset, parse_preset, presets};
pub use smtp::SmtpChannel;
pub use spool::SpoolChannel;
pub use webhook::Webhook;

/// Channel kinds that need no preset.
pub const BUILT_IN: [&str; 4] = ["alertmanager", "webhook", "smtp", "spool"];

/// One letter for one address.
#[derive(Debug, Clone)]
pub struct Parcel<'a> {
    /// The outbox id: the same letter always has the same.
    pub id: &'a str,
    /// The address on this channel.
    pub address: &'a str,
    /// The facts.
    pub letter: &'a Letter,
    /// The words.
    pub text: &'a Rendered,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The channel took it.
    Delivered,
    /// It did not, and may later.
    Later(String, Option<Duration>),
    /// It never will.
    Refused(String),
    /// Nobody knows whether it did.
    Uncertain(String),
}

/// Why a channel cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The configuration does not say enough.
    #[error("channel `{0}`: {1}")]
    Incomplete(String, String),
    /// A secret could not be read.
    #[error("channel `{0}`: secret `{1}`: {2}")]
    Secret(String, String, String),
    /// The HTTP client could not be made.
    #[error("channel `{0}`")]
    Client(String, #[source] reqwest::Error),
}

/// A channel ready to send.
pub enum Channel {
    /// Prometheus Alertmanager, API v2.
    Alertmanager(Alertmanager),
    /// PagerDuty Events v2 and what speaks it.
    Webhook(Webhook),
    /// Any HTTP gateway described by a preset.
    Http(Box<HttpChannel>),
    /// Mail.
    Smtp(Box<SmtpChannel>),
    /// The spool folder of a GSM modem's daemon.
    Spool(SpoolChannel),
}

impl Channel {
    /// Builds a channel from its configuration and the presets there are.
    ///
    /// # Errors
    /// A missing option, an unreadable secret, an unknown preset.
    pub fn build(used: &ChannelUse, presets: &[Preset]) -> Result<Channel, ChannelError> {
        let settings = Settings { used };
        match used.preset.as_str() {
            "alertmanager" => Alertmanager::new(&settings).map(Channel::Alertmanager),
            "webhook" => Webhook::new(&settings).map(Channel::Webhook),
            "smtp" => SmtpChannel::new(&settings).map(|smtp| Channel::Smtp(Box::new(smtp))),
            "spool" => SpoolChannel::new(&settings).map(Channel::Spool),
            name => {
                let preset = presets.iter().find(|preset| preset.name == name);
                let preset = preset.ok_or_else(|| settings.incomplete(&format!("there is no preset `{name}`")))?;
                HttpChannel::new(&settings, preset).map(|http| Channel::Http(Box::new(http)))
            }
        }
    }

    /// Makes one attempt.
    pub async fn send(&self, parcel: &Parcel<'_>) -> Sent {
        match self {
            Channel::Alertmanager(channel) => channel.send(parcel).await,
            Channel::Webhook(channel) => channel.send(parcel).await,
            Channel::Http(channel) => channel.send(parcel).await,
            Channel::Smtp(channel) => channel.send(parcel).await,
            Channel::Spool(channel) => channel.send(parcel),
        }
    }

    /// Tells whether the channel recognises a repeated letter, so that an unanswered attempt may be made again.
    pub fn recognises_repeats(&self) -> bool {
        match self {
            Channel::Alertmanager(_) | Channel::Webhook(_) | Channel::Spool(_) => true,
            Channel::Smtp(_) => false,
            Channel::Http(channel) => channel.recognises_repeats(),
        }
    }
}

/// What a channel's constructor reads.
pub(super) struct Settings<'a> {
    pub(super) used: &'a ChannelUse,
}

impl Settings<'_> {
    pub(super) fn url(&self) -> Result<String, ChannelError> {
        self.used.url.clone().ok_or_else(|| self.incomplete("give its url"))
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.used.options.get(name).map(String::as_str)
    }

    pub(super) fn needed(&self, name: &str) -> Result<&str, ChannelError> {
        self.option(name).ok_or_else(|| self.incomplete(&format!("give options.{name}")))
    }

    pub(super) fn secret(&self, name: &str) -> Result<Option<String>, ChannelError> {
        let Some(source) = self.used.secrets.get(name) else { return Ok(None) };
        read_secret(source).map(Some).map_err(|why| ChannelError::Secret(self.used.name.clone(), name.to_owned(), why))
    }

    pub(super) fn client(&self, timeout: Duration) -> Result<reqwest::Client, ChannelError> {
        // Whoever comes first installs it for the process; all of us use ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |error| ChannelError::Client(self.used.name.clone(), error);
        let mut builder = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
        if let Some(proxy) = self.option("proxy") {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(wrong)?);
        }
        builder.build().map_err(wrong)
    }

    pub(super) fn incomplete(&self, what: &str) -> ChannelError {
        ChannelError::Incomplete(self.used.name.clone(), what.to_owned())
    }
}

/// Reads a secret; the error names its place and nothing of what is there.
fn read_secret(source: &Secret) -> Result<String, String> {
    match source {
        Secret::File(path) => read_first_line(path).map_err(|error| format!("{}: {error}", path.display())),
        Secret::Env(name) => std::env::var(name).map_err(|_| format!("set the environment variable {name} to it")),
    }
}

fn read_first_line(path: &Path) -> std::io::Result<String> {
    Ok(std::fs::read_to_string(path)?.lines().next().unwrap_or_default().trim().to_owned())
}

/// Reads what an HTTP attempt came to, up to its answer.
pub(super) async fn post(request: reqwest::RequestBuilder) -> Result<Answer, Sent> {
    let response = request.send().await.map_err(|error| failed(&error))?;
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let body = bounded(response).await.map_err(|error| failed(&error))?;
    Ok(Answer { status, retry_after, body })
}

/// An HTTP answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

impl Answer {
    /// Says what a status alone means; `None` for success.
    pub(super) fn failure(&self) -> Option<Sent> {
        let said = format!("HTTP {}: {}", self.status, self.body.chars().take(120).collect::<String>());
        match self.status {
            200..=299 => None,
            // Another machine gave up waiting: the gateway behind it may have done its work.
            504 => Some(Sent::Uncertain(said)),
            408 | 425 | 429 | 500..=599 => Some(Sent::Later(said, self.retry_after)),
            _ => Some(Sent::Refused(said)),
        }
    }
}

/// Errors never carry the address: it may hold a secret.
fn failed(error: &reqwest::Error) -> Sent {
    if error.is_connect() {
        Sent::Later(format!("no connection: {}", root_of(error)), None)
    } else if error.is_timeout() {
        Sent::Uncertain("no answer in time".to_owned())
    } else if error.is_builder() {
        Sent::Refused("the request cannot be built".to_owned())
    } else {
        Sent::Uncertain("the connection broke".to_owned())
    }
}

/// An answer longer than this is not read further: no gateway says more.
const LARGEST_ANSWER: usize = 64 * 1024;

async fn bounded(mut response: reqwest::Response) -> Result<String, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > LARGEST_ANSWER {
            body.truncate(LARGEST_ANSWER);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}
