//! A letter in words: short for phones, long for mail and pages, in Persian and English.
//!
//! The short form puts one fact on a line, so that a left-to-right run never mixes with Persian in one line.

use rusta_wire::UnixMs;

use super::desk::Kind;
use super::message::{Letter, Message};
use crate::persian::{Lang, Moment, integer};
use crate::rules::Severity;

/// Sites named in full in a long text; the page has the rest.
const MOST_NAMED: usize = 3000;

/// A letter in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// A few short lines, for a text message.
    pub short: String,
    /// Everything, as plain text.
    pub long: String,
    /// Everything, as HTML with its direction.
    pub html: String,
    /// The address of its page; empty where nobody said under which address pages are.
    pub page: String,
}

/// Writes a letter in the language of its reader.
pub fn render(letter: &Letter, page_url: &str) -> Rendered {
    let lang = if letter.fa { Lang::Fa } else { Lang::En };
    let subject = subject(letter, lang);
    let short = short(letter, &subject, page_url, lang);
    let long = long(letter, &subject, page_url, lang);
    let html = html(&subject, &long, lang);
    let path = letter.about.first().map_or("", |message| message.path.as_str());
    let page = if page_url.is_empty() { String::new() } else { format!("{page_url}{path}") };
    Rendered { subject, short, long, html, page }
}

fn subject(letter: &Letter, lang: Lang) -> String {
    let count = integer(i64::try_from(letter.about.len()).unwrap_or(i64::MAX), lang);
    match (letter.kind, letter.about.first()) {
        (Kind::Digest, _) => lang.pick("خلاصه شیفت", "Shift digest").to_owned() + ": " + &count,
        (Kind::Summary, _) if letter.about.iter().all(|message| message.silent) => {
            format!("{}: {count}", lang.pick("چند مورد بدون گزارش هم‌زمان", "Several went silent at once"))
        }
        (Kind::Summary, _) => format!("{}: {count}", lang.pick("چند قطعی هم‌زمان", "Several outages at once")),
        (Kind::SummaryResolve, _) => format!("{}: {count}", lang.pick("برطرف شدند", "Resolved")),
        (_, None) => String::new(),
        (kind, Some(message)) => {
            let mark = match (kind, letter.severity) {
                (Kind::Resolve, _) => lang.pick("برطرف شد", "RESOLVED"),
                (Kind::Escalate, _) => lang.pick("بی‌پاسخ مانده", "UNANSWERED"),
                (_, Severity::Page) => lang.pick("بحرانی", "CRITICAL"),
                (_, Severity::Ticket) => lang.pick("مهم", "MAJOR"),
                (_, Severity::Digest) => lang.pick("جزئی", "MINOR"),
            };
            format!("{mark}: {}", headline(message, lang))
        }
    }
}

/// Returns what failed and what that means, in one line.
fn headline(message: &Message, lang: Lang) -> String {
    let root = lang.name(&message.root.0, &message.root.1);
    match message.titles.first() {
        // The title names what the rule is for; of what nobody has measured it must not say that it failed.
        Some(_) if message.silent => format!("{}{root}", lang.pick("بدون گزارش، وضعیت نامشخص، ", "No reports, state unknown, ")),
        Some((fa, en)) => format!("{}، {root}", lang.pick(fa, en)).replace('،', lang.pick("،", ",")),
        None => root.to_owned(),
    }
}

fn short(letter: &Letter, subject: &str, page_url: &str, lang: Lang) -> String {
    let mut lines = vec![subject.to_owned()];
    if let [message] = letter.about.as_slice() {
        lines.extend(facts(message, letter, lang));
        lines.push(format!("{page_url}{}", message.path));
    } else {
        let roots = letter.about.iter().map(|message| lang.name(&message.root.0, &message.root.1));
        lines.push(roots.collect::<Vec<_>>().join(lang.pick("، ", ", ")));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// One fact on a line.
fn facts(message: &Message, letter: &Letter, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    let since = Moment::at(message.since());
    lines.push(format!("{} {}", lang.pick("از", "since"), since.clock(lang)));
    if letter.kind == Kind::Resolve {
        lines.push(format!("{} {}", lang.pick("تا", "until"), Moment::at(UnixMs(letter.at)).clock(lang)));
    }
    if message.sites.len() > 1 {
        let count = integer(i64::try_from(message.sites.len()).unwrap_or(i64::MAX), lang);
        let villages = integer(i64::try_from(message.villages).unwrap_or(i64::MAX), lang);
        lines.push(match lang {
            Lang::Fa => format!("{count} سایت، {villages} روستا"),
            Lang::En => format!("{count} sites, {villages} villages"),
        });
    }
    let place = lang.name(&message.place.0, &message.place.1);
    if !place.is_empty() {
        lines.push(format!("{} {place}", lang.pick("شهرستان", "county")));
    }
    if let Some((code, confidence)) = &message.cause {
        lines.push(format!("{code} {confidence}%"));
    }
    lines
}

fn long(letter: &Letter, subject: &str, page_url: &str, lang: Lang) -> String {
    let mut lines = vec![subject.to_owned()];
    let mut named = 0;
    for message in &letter.about {
        lines.push(String::new());
        lines.push(headline(message, lang));
        lines.extend(facts(message, letter, lang));
        for (fa, en) in message.titles.iter().skip(1).filter(|_| !message.silent) {
            lines.push(format!("+ {}", lang.pick(fa, en)));
        }
        for site in message.sites.iter().take(MOST_NAMED.saturating_sub(named)) {
            lines.push(format!("- {} ({})", lang.name(&site.name_fa, &site.name_en), site.code));
        }
        named += message.sites.len();
        lines.push(format!("{page_url}{}", message.path));
    }
    lines.join("\n")
}

fn html(subject: &str, long: &str, lang: Lang) -> String {
    let body = long.lines().map(escape).map(|line| format!("<p dir=\"auto\">{line}</p>\n")).collect::<String>();
    format!(
        "<!doctype html>\n<html lang=\"{}\" dir=\"{}\"><head><meta charset=\"utf-8\"><title>{}</title></head><body>\n{body}</body></html>\n",
        lang.code(),
        lang.direction(),
        escape(subject)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
