//! Who hears of what, and by which channels: `oncall.yaml` as typed and as meant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use rusta_wire::UnixMs;
use serde::Deserialize;

use super::case::{Case, Told};
use super::desk::{Call, Kind};
use super::message::{Letter, Message, ToldAs};
use super::rotation::Rotation;
use crate::config::{Mistake, Mistakes, from_yaml, parse_duration};
use crate::persian::{JalaliDate, Lang, Moment};
use crate::rules::{Calendars, Severity};

/// Calls an hour one person gets at most: two a shift are taken well, six an hour are the end of attention.
const DEFAULT_CAP: usize = 6;

/// People, turns, routes and channels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Setup {
    /// Address of the pages, put before the paths in messages.
    pub page_url: String,
    /// Minutes of the day at which the shift's digest is sent.
    pub digests: Vec<u16>,
    /// Channels by name.
    pub channels: Vec<ChannelUse>,
    /// People by name.
    pub people: BTreeMap<String, Person>,
    /// Rotations.
    pub rotations: Vec<Rotation>,
    /// Routes.
    pub routes: Vec<Route>,
    /// The dead-man's switch: an address told every minute that all is well here.
    pub deadman: Option<(String, Duration)>,
}

/// Somebody who can be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The language to write in.
    pub lang: Lang,
    /// By channel name.
    pub addresses: BTreeMap<String, String>,
    /// Calls an hour at most.
    pub cap: usize,
    /// Minutes of the day without anything less than a page.
    pub quiet: Option<(u16, u16)>,
}

/// Who is called in which order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// For pages.
    pub page: Vec<Step>,
    /// For tickets.
    pub ticket: Vec<Step>,
    /// For the shift's digest.
    pub digest: Vec<Step>,
}

/// One escalation step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// How long after the case opened, if nobody acknowledged.
    pub after: Duration,
    /// Whom.
    pub to: Vec<Recipient>,
    /// By which channels, in order: one that fails hands over to the next.
    pub channels: Vec<String>,
}

/// Whom a step names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// Whoever is on call.
    OnCall(String),
    /// One person.
    Person(String),
    /// A machine behind a channel: Alertmanager, a webhook.
    System(String),
}

/// A channel as configured.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelUse {
    /// Its name.
    pub name: String,
    /// The preset it follows (`configs/channels/NAME.yaml`), or one of `alertmanager`, `webhook`, `smtp`, `spool`.
    pub preset: String,
    /// Overrides the preset's address.
    pub url: Option<String>,
    /// Where secrets come from.
    pub secrets: BTreeMap<String, Secret>,
    /// Values for the preset's placeholders.
    pub options: BTreeMap<String, String>,
    /// Parts a text message may take.
    pub most_parts: Option<usize>,
}

/// Where a secret comes from, `{ file: PATH }` or `{ env: NAME }`; never from the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecretFields")]
pub enum Secret {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SecretFields {
    file: Option<PathBuf>,
    env: Option<String>,
}

impl TryFrom<SecretFields> for Secret {
    type Error = &'static str;

    fn try_from(fields: SecretFields) -> Result<Self, Self::Error> {
        match (fields.file, fields.env) {
            (Some(path), None) => Ok(Secret::File(path)),
            (None, Some(name)) => Ok(Secret::Env(name)),
            _ => Err("a secret comes from one of `file` and `env`"),
        }
    }
}

impl Setup {
    /// Returns the steps of a route for a severity.
    pub fn steps(&self, route: &str, severity: Severity) -> &[Step] {
        let route = self.routes.iter().find(|known| known.name == route).or(self.routes.first());
        route.map_or(&[], |route| match severity {
            Severity::Page => &route.page,
            Severity::Ticket => &route.ticket,
            Severity::Digest => &route.digest,
        })
    }

    /// Finds whom a step means at a moment, each once.
    pub(super) fn recipients(&self, step: &Step, at: UnixMs, calendars: &Calendars) -> Vec<String> {
        let mut found = BTreeSet::new();
        for recipient in &step.to {
            found.extend(match recipient {
                Recipient::Person(name) | Recipient::System(name) => Some(name.clone()),
                Recipient::OnCall(rotation) => {
                    let rotation = self.rotations.iter().find(|known| known.name == *rotation);
                    rotation.and_then(|rotation| rotation.on_call(at, |day| calendars.holidays.contains(&day))).map(str::to_owned)
                }
            });
        }
        found.into_iter().collect()
    }

    /// Returns the channels by which a recipient can be reached, in the order of the step.
    pub(super) fn channels_for(&self, recipient: &str, step: &[String]) -> Vec<String> {
        match self.people.get(recipient) {
            None => vec![recipient.to_owned()],
            Some(person) => step.iter().filter(|channel| person.addresses.contains_key(*channel)).cloned().collect(),
        }
    }

    /// Tells whether calls to a recipient are counted: people's are, machines' are not.
    pub(super) fn is_capped(&self, recipient: &str) -> bool {
        self.people.contains_key(recipient)
    }

    pub(super) fn cap(&self, recipient: &str) -> usize {
        self.people.get(recipient).map_or(usize::MAX, |person| person.cap)
    }

    pub(super) fn is_quiet(&self, recipient: &str, at: UnixMs) -> bool {
        let Some((from, until)) = self.people.get(recipient).and_then(|person| person.quiet) else { return false };
        let minute = minute_of(at);
        if from < until { from <= minute && minute < until } else { minute >= from || minute < until }
    }

    /// Returns the newest digest time that has come.
    pub(super) fn digest_due(&self, now: UnixMs) -> Option<UnixMs> {
        let minute = minute_of(now);
        let last = self.digests.iter().filter(|at| **at <= minute).max().or(self.digests.iter().max())?;
        let back = if *last <= minute { minute - last } else { 1440 - last + minute };
        let this_minute = UnixMs(now.0.div_euclid(60_000) * 60_000);
        Some(this_minute - Duration::from_secs(u64::from(back) * 60))
    }

    /// Tells whether a digest time is the first of its week, which begins on Saturday.
    pub(super) fn begins_week(&self, digest: UnixMs) -> bool {
        Moment::at(digest).date.weekday() == 0 && self.digests.iter().min() == Some(&minute_of(digest))
    }

    pub(super) fn call(&self, id: String, to: &str, kind: Kind, case: &Case, about: Vec<Message>, now: UnixMs) -> Call {
        let mut call = self.plain_call(id, to, kind, case.severity, about, now);
        call.letter.key = case.key.to_string();
        call.letter.told_as =
            case.told.get(to).map(|told| ToldAs { severity: told.severity, root: told.root.clone(), marks: told.marks.clone() });
        call.channels = self.channels_on(to, &case.route, case.severity);
        call
    }

    /// Writes the end of a case to somebody who was told of it.
    pub(super) fn end_of(&self, case: &Case, to: &str, told: &Told, now: UnixMs) -> Call {
        let id = format!("{}@{}:resolve:{to}", case.key, case.opened_at);
        let mut call = self.call(id, to, Kind::Resolve, case, vec![case.message.clone()], now);
        call.letter.severity = told.severity;
        call
    }

    pub(super) fn plain_call(&self, id: String, to: &str, kind: Kind, severity: Severity, about: Vec<Message>, now: UnixMs) -> Call {
        let fa = self.people.get(to).is_none_or(|person| person.lang == Lang::Fa);
        let route = self.routes.first().map_or("", |route| route.name.as_str());
        let channels = self.channels_on(to, route, severity);
        let letter = Letter { kind, severity, about, key: id.clone(), at: now.0, fa, told_as: None };
        Call { id, to: to.to_owned(), channels, letter }
    }

    /// Lists every channel a route could use for a recipient: a resolve may go by any of them.
    fn channels_on(&self, to: &str, route: &str, severity: Severity) -> Vec<String> {
        if !self.people.contains_key(to) {
            return vec![to.to_owned()];
        }
        let mut channels = Vec::new();
        for step in self.steps(route, severity).iter().chain(self.steps(route, Severity::Page)) {
            for channel in self.channels_for(to, &step.channels) {
                if !channels.contains(&channel) {
                    channels.push(channel);
                }
            }
        }
        channels
    }
}

fn minute_of(at: UnixMs) -> u16 {
    let moment = Moment::at(at);
    u16::from(moment.hour.unsigned_abs()) * 60 + u16::from(moment.minute.unsigned_abs())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedSetup {
    page_url: String,
    digests: Vec<String>,
    channels: Vec<ChannelUse>,
    people: Vec<TypedPerson>,
    rotations: Vec<TypedRotation>,
    routes: Vec<TypedRoute>,
    deadman: Option<TypedDeadman>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedPerson {
    name: String,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    addresses: BTreeMap<String, String>,
    cap_per_hour: Option<usize>,
    quiet: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedRotation {
    name: String,
    people: Vec<String>,
    starts: String,
    #[serde(default)]
    weeks: Option<u16>,
    handover: Option<String>,
    #[serde(default)]
    on_holidays: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedRoute {
    name: String,
    page: Vec<TypedStep>,
    ticket: Vec<TypedStep>,
    digest: Vec<TypedStep>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedStep {
    after: Option<String>,
    on_call: Vec<String>,
    people: Vec<String>,
    systems: Vec<String>,
    channels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedDeadman {
    url: String,
    every: Option<String>,
}

/// Reads and checks `oncall.yaml`; `presets` are the channel presets there are.
///
/// # Errors
/// Every mistake, with line and column.
pub fn parse(file: &str, text: &str, presets: &[String]) -> Result<Setup, Mistakes> {
    let typed: TypedSetup = from_yaml(file, text)?;
    let mut reader = Reader { file, text, mistakes: Vec::new() };
    let setup = reader.setup(typed, presets);
    reader.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    if reader.mistakes.is_empty() { Ok(setup) } else { Err(Mistakes(reader.mistakes)) }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn setup(&mut self, typed: TypedSetup, presets: &[String]) -> Setup {
        let digests = typed.digests.iter().map(|time| self.minute("digests", time, time)).collect();
        for channel in &typed.channels {
            let built_in = super::channel::BUILT_IN.contains(&channel.preset.as_str());
            if !built_in && !presets.contains(&channel.preset) {
                let known = presets.iter().map(String::as_str).chain(super::channel::BUILT_IN).collect::<Vec<_>>().join(", ");
                self.wrong(&channel.name, "preset", format!("there is no preset `{}`; there are {known}", channel.preset));
            }
        }
        let people = typed.people.into_iter().map(|person| self.person(person, &typed.channels)).collect::<BTreeMap<_, _>>();
        let rotations = typed.rotations.into_iter().filter_map(|rotation| self.rotation(rotation, &people)).collect::<Vec<_>>();
        let routes = typed.routes.into_iter().map(|route| self.route(route, &people, &rotations, &typed.channels)).collect();
        let deadman = typed.deadman.map(|switch| {
            let every = switch.every.map_or(Duration::from_secs(60), |text| self.duration("deadman", "every", &text));
            (switch.url, every)
        });
        Setup { page_url: typed.page_url, digests, channels: typed.channels, people, rotations, routes, deadman }
    }

    fn person(&mut self, typed: TypedPerson, channels: &[ChannelUse]) -> (String, Person) {
        let lang = typed.language.as_deref().map_or(Some(Lang::Fa), Lang::from_code);
        if lang.is_none() {
            self.wrong(&typed.name, "language", "is neither fa nor en".to_owned());
        }
        for channel in typed.addresses.keys().filter(|name| !channels.iter().any(|known| known.name == **name)) {
            self.wrong(&typed.name, channel, "there is no channel of this name".to_owned());
        }
        let quiet = typed.quiet.and_then(|text| {
            let hours = crate::rules::hours(&text);
            if hours.is_none() {
                self.wrong(&typed.name, "quiet", format!("`{text}` is not hours such as 22:00-07:00"));
            }
            hours
        });
        let cap = typed.cap_per_hour.unwrap_or(DEFAULT_CAP);
        if cap < 2 {
            self.wrong(&typed.name, "cap_per_hour", "at least 2: one call and one summary".to_owned());
        }
        (typed.name, Person { lang: lang.unwrap_or_default(), addresses: typed.addresses, cap, quiet })
    }

    fn rotation(&mut self, typed: TypedRotation, people: &BTreeMap<String, Person>) -> Option<Rotation> {
        for name in typed.people.iter().chain(&typed.on_holidays).filter(|name| !people.contains_key(*name)) {
            self.wrong(&typed.name, name, "there is nobody of this name".to_owned());
        }
        let starts: Option<JalaliDate> = typed.starts.parse().ok();
        let saturday = starts.filter(|day| day.weekday() == 0);
        if saturday.is_none() {
            self.wrong(&typed.name, "starts", format!("`{}` is not a Saturday such as 1405-08-02", typed.starts));
        }
        let handover = typed.handover.map_or(8 * 60, |time| self.minute(&typed.name, "handover", &time));
        Some(Rotation {
            name: typed.name,
            people: typed.people,
            starts: saturday?,
            weeks: typed.weeks.unwrap_or(1).max(1),
            handover,
            on_holidays: typed.on_holidays,
        })
    }

    fn route(&mut self, typed: TypedRoute, people: &BTreeMap<String, Person>, rotations: &[Rotation], channels: &[ChannelUse]) -> Route {
        let name = typed.name.clone();
        let mut steps = |steps: Vec<TypedStep>| steps.into_iter().map(|step| self.step(&name, step, people, rotations, channels)).collect();
        Route { page: steps(typed.page), ticket: steps(typed.ticket), digest: steps(typed.digest), name: typed.name }
    }

    fn step(
        &mut self,
        route: &str,
        typed: TypedStep,
        people: &BTreeMap<String, Person>,
        rotations: &[Rotation],
        channels: &[ChannelUse],
    ) -> Step {
        let is_channel = |name: &String| channels.iter().any(|channel| channel.name == *name);
        for name in typed.on_call.iter().filter(|name| !rotations.iter().any(|rotation| rotation.name == **name)) {
            self.wrong(route, name, "there is no rotation of this name".to_owned());
        }
        for name in typed.people.iter().filter(|name| !people.contains_key(*name)) {
            self.wrong(route, name, "there is nobody of this name".to_owned());
        }
        for name in typed.systems.iter().chain(&typed.channels).filter(|name| !is_channel(name)) {
            self.wrong(route, name, "there is no channel of this name".to_owned());
        }
        let after = typed.after.map_or(Duration::ZERO, |text| self.duration(route, "after", &text));
        let to = typed.on_call.into_iter().map(Recipient::OnCall).chain(typed.people.into_iter().map(Recipient::Person));
        let to = to.chain(typed.systems.into_iter().map(Recipient::System)).collect();
        Step { after, to, channels: typed.channels }
    }

    fn minute(&mut self, entry: &str, key: &str, text: &str) -> u16 {
        crate::rules::hours(&format!("{text}-24:00")).map(|hours| hours.0).unwrap_or_else(|| {
            self.wrong(entry, key, format!("`{text}` is not a time of day such as 07:30"));
            0
        })
    }

    fn duration(&mut self, entry: &str, key: &str, text: &str) -> Duration {
        parse_duration(text).unwrap_or_else(|why| {
            self.wrong(entry, key, why);
            Duration::ZERO
        })
    }

    fn wrong(&mut self, entry: &str, key: &str, text: String) {
        let (line, column) = crate::rules::place(self.text, &[entry, key]);
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, column, text: format!("{entry}: {key}: {text}") });
    }
}
