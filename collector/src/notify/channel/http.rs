//! One templated HTTP channel for every SMS gateway and messenger.
//!
//! Placeholders: `{to}` `{text}` `{subject}` `{id}` `{severity}` `{secret.NAME}` `{option.NAME}`. In JSON they are filled
//! inside strings, so a text with quotes stays a text.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::preset::Preset;
use super::{Answer, ChannelError, Parcel, Sent, Settings, post};
use crate::notify::sms;

/// A slow gateway still answers within this; giving up earlier makes the answer unknown.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway described by a preset.
pub struct HttpChannel {
    client: reqwest::Client,
    preset: Preset,
    url: String,
    constants: BTreeMap<String, String>,
    most_parts: usize,
    sent: Mutex<Vec<Instant>>,
}

impl HttpChannel {
    pub(super) fn new(settings: &Settings<'_>, preset: &Preset) -> Result<Self, ChannelError> {
        let mut constants = BTreeMap::new();
        for name in settings.used.secrets.keys() {
            constants.insert(format!("secret.{name}"), settings.secret(name)?.unwrap_or_default());
        }
        for (name, value) in &settings.used.options {
            constants.insert(format!("option.{name}"), value.clone());
        }
        let patience = settings.option("timeout_s").and_then(|seconds| seconds.parse().ok()).map_or(PATIENCE, Duration::from_secs);
        let url = settings.used.url.clone().unwrap_or_else(|| preset.url.clone());
        let channel = HttpChannel {
            client: settings.client(patience)?,
            preset: preset.clone(),
            url,
            constants,
            most_parts: settings.used.most_parts.unwrap_or(3),
            sent: Mutex::default(),
        };
        match channel.unfilled() {
            Some(name) => Err(settings.incomplete(&format!("its preset needs {name}"))),
            None => Ok(channel),
        }
    }

    pub(super) fn recognises_repeats(&self) -> bool {
        self.preset.recognises_repeats
    }

    pub(super) async fn send(&self, parcel: &Parcel<'_>) -> Sent {
        if let Some(wait) = self.wait_for_a_turn() {
            return Sent::Later("the channel's own rate limit".to_owned(), Some(wait));
        }
        let values = self.values(parcel);
        match post(self.request(&values)).await {
            Ok(answer) => self.judge(&answer),
            Err(sent) => sent,
        }
    }

    /// Finds a secret or option the preset needs and nobody gave.
    fn unfilled(&self) -> Option<String> {
        let json = self.preset.json.as_ref().map(Value::to_string);
        let texts = [Some(&self.url), json.as_ref(), self.preset.raw.as_ref()].into_iter().flatten();
        let texts = texts.chain(self.preset.headers.values()).chain(self.preset.form.values());
        let names = texts.flat_map(|text| placeholders(text)).filter(|name| name.starts_with("secret.") || name.starts_with("option."));
        names.into_iter().find(|name| !self.constants.contains_key(*name)).map(str::to_owned)
    }

    fn values(&self, parcel: &Parcel<'_>) -> BTreeMap<String, String> {
        let mut values = self.constants.clone();
        values.insert("to".to_owned(), self.numbers(parcel.address));
        values.insert("text".to_owned(), self.text(parcel));
        values.insert("subject".to_owned(), parcel.text.subject.clone());
        values.insert("id".to_owned(), number_of(parcel.id));
        values.insert("severity".to_owned(), parcel.letter.severity.to_string());
        values
    }

    fn text(&self, parcel: &Parcel<'_>) -> String {
        match (self.preset.sms, self.preset.most_chars) {
            (true, _) => sms::fit(&parcel.text.short, self.most_parts),
            (false, Some(most)) if parcel.text.long.chars().count() > most => {
                parcel.text.long.chars().take(most.saturating_sub(1)).chain(['…']).collect()
            }
            (false, _) => parcel.text.long.clone(),
        }
    }

    fn numbers(&self, address: &str) -> String {
        let Some(join) = &self.preset.join else { return number(&self.preset.number, address) };
        address.split(',').map(|one| number(&self.preset.number, one)).collect::<Vec<_>>().join(join)
    }

    fn request(&self, values: &BTreeMap<String, String>) -> reqwest::RequestBuilder {
        let url = fill(&self.url, values);
        let mut request = if self.preset.method == "GET" { self.client.get(url) } else { self.client.post(url) };
        for (name, value) in &self.preset.headers {
            request = request.header(name, fill(value, values));
        }
        if let Some(json) = &self.preset.json {
            return request.header("content-type", "application/json").body(fill_json(json, values).to_string());
        }
        if let Some(raw) = &self.preset.raw {
            return request.body(fill(raw, values));
        }
        if self.preset.form.is_empty() {
            return request;
        }
        let fields = self.preset.form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(&fill(value, values))));
        request.header("content-type", "application/x-www-form-urlencoded").body(fields.collect::<Vec<_>>().join("&"))
    }

    /// A gateway may say 200 and mean no: the body decides.
    fn judge(&self, answer: &Answer) -> Sent {
        if let Some(failure) = answer.failure() {
            return failure;
        }
        let Some(success) = &self.preset.success else { return Sent::Delivered };
        let body: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        let found = match body.pointer(&success.pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let said = format!("the gateway said {}", answer.body.chars().take(120).collect::<String>());
        if success.values.contains(&found) {
            Sent::Delivered
        } else if self.preset.later.contains(&found) {
            Sent::Later(said, None)
        } else {
            Sent::Refused(said)
        }
    }

    fn wait_for_a_turn(&self) -> Option<Duration> {
        const MINUTE: Duration = Duration::from_secs(60);
        let most = usize::try_from(self.preset.per_minute?).ok()?;
        let mut sent = self.sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sent.retain(|at| at.elapsed() < MINUTE);
        if sent.len() < most {
            sent.push(Instant::now());
            return None;
        }
        sent.first().map(|first| MINUTE.saturating_sub(first.elapsed()))
    }
}

/// Writes an Iranian number as a gateway wants it; anything else stays as it is.
fn number(form: &str, address: &str) -> String {
    let digits = address.trim().trim_start_matches('+').trim_start_matches("00");
    let national = digits.strip_prefix("98").or(digits.strip_prefix('0')).filter(|rest| rest.len() == 10 && rest.starts_with('9'));
    match (form, national) {
        ("local", Some(rest)) => format!("0{rest}"),
        ("international", Some(rest)) => format!("98{rest}"),
        ("plus", Some(rest)) => format!("+98{rest}"),
        _ => address.trim().to_owned(),
    }
}

/// Gateways that know local ids want numbers: the id's hash, in the 53 bits JSON can carry.
fn number_of(id: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash = Sha256::digest(id.as_bytes());
    let number = hash.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    (number >> 11).to_string()
}

fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

fn fill(template: &str, values: &BTreeMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').and_then(|(name, rest)| Some((values.get(name)?, rest))) {
            Some((value, behind)) => {
                filled.push_str(value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

fn fill_json(template: &Value, values: &BTreeMap<String, String>) -> Value {
    match template {
        Value::String(text) => Value::String(fill(text, values)),
        Value::Array(items) => items.iter().map(|item| fill_json(item, values)).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(name, value)| (name.clone(), fill_json(value, values))).collect()),
        other => other.clone(),
    }
}

/// Percent-encodes a form value (WHATWG URL, application/x-www-form-urlencoded).
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_form_a_gateway_wants() {
        for written in ["09121234567", "+989121234567", "989121234567", "00989121234567"] {
            assert_eq!(number("local", written), "09121234567");
            assert_eq!(number("international", written), "989121234567");
            assert_eq!(number("plus", written), "+989121234567");
        }
        assert_eq!(number("local", "-100123456"), "-100123456", "a chat id is no number");
    }

    #[test]
    fn values_never_become_placeholders_themselves() {
        let values = BTreeMap::from([("text".to_owned(), "a {to} b".to_owned()), ("to".to_owned(), "x".to_owned())]);
        assert_eq!(fill("{text} {unknown} {", &values), "a {to} b {unknown} {");
        assert_eq!(encode("سلام &=+"), "%D8%B3%D9%84%D8%A7%D9%85%20%26%3D%2B");
    }
}
