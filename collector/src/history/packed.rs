//! The spans of a day as bytes.

use prost::Message;
use rusta_wire::{Rung, UnixMs};

use super::outage::{Bounds, Proofs};
use super::span::Span;
use super::timeline::{LinkDay, SiteDay};
use super::village::VillageDay;
use crate::engine::{Cause, LinkState, SiteState, VillagePolicy, VillageState};

/// A state with a stable number.
pub(super) trait Numbered: Copy + 'static {
    fn all() -> &'static [Self];
    fn number(self) -> i64;
}

macro_rules! numbered {
    ($($state:ty)+) => {$(
        impl Numbered for $state {
            fn all() -> &'static [Self] {
                Self::ALL
            }
            fn number(self) -> i64 {
                self as i64
            }
        }
    )+};
}
numbered!(LinkState SiteState VillageState);

#[derive(Clone, PartialEq, Message)]
struct DayMessage {
    /// Start, then for each span: seconds, state, rung + 1 or 0, confidence.
    #[prost(sint64, repeated, tag = "1")]
    whole: Vec<i64>,
    #[prost(sint64, repeated, tag = "2")]
    nin: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    links: Vec<LinkMessage>,
    /// What was measured under late-announced work: for each stretch start, then as above.
    #[prost(sint64, repeated, tag = "4")]
    short_notice: Vec<i64>,
}

/// A link of a site, or a policy of a village.
#[derive(Clone, PartialEq, Message)]
struct LinkMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(sint64, repeated, tag = "2")]
    spans: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    evidence: Vec<EvidenceMessage>,
    #[prost(sint64, repeated, tag = "4")]
    short_notice: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct EvidenceMessage {
    #[prost(int64, tag = "1")]
    from_s: i64,
    #[prost(string, repeated, tag = "2")]
    proofs: Vec<String>,
    /// Of a power cut, Unix milliseconds: between what its start lies, then its end.
    #[prost(sint64, repeated, tag = "3")]
    bounds_ms: Vec<i64>,
}

/// Packs a site's day.
pub(super) fn pack_site(day: &SiteDay) -> Vec<u8> {
    let evidence = |link: &LinkDay| {
        let bounds = |of: Bounds| [of.started.0, of.started.1, of.ended.0, of.ended.1].map(|at| at.0).to_vec();
        let one = |(from, proofs): (&UnixMs, &Proofs)| EvidenceMessage {
            from_s: from.seconds(),
            proofs: proofs.named.clone(),
            bounds_ms: proofs.bounds.map(bounds).unwrap_or_default(),
        };
        link.evidence.iter().map(one).collect()
    };
    let link = |link: &LinkDay| LinkMessage {
        name: link.name.clone(),
        spans: pack(&link.spans),
        evidence: evidence(link),
        short_notice: pack_apart(&link.short_notice),
    };
    let nin = day.nin.as_deref().map(pack).unwrap_or_default();
    let short_notice = pack_apart(&day.short_notice);
    DayMessage { whole: pack(&day.spans), nin, links: day.links.iter().map(link).collect(), short_notice }.encode_to_vec()
}

/// Packs a village's day.
pub(super) fn pack_village(day: &VillageDay) -> Vec<u8> {
    let of_policy = |(policy, spans): &(VillagePolicy, Vec<Span<VillageState>>)| LinkMessage {
        name: policy.as_str().to_owned(),
        spans: pack(spans),
        ..LinkMessage::default()
    };
    let (whole, nin) = (pack(&day.spans), day.nin.as_deref().map(pack).unwrap_or_default());
    DayMessage { whole, nin, links: day.by_policy.iter().map(of_policy).collect(), short_notice: Vec::new() }.encode_to_vec()
}

/// Reads the spans of a site's day; what its rounds measured stays empty, that has tables of its own.
pub(super) fn unpack_site(bytes: &[u8]) -> Option<SiteDay> {
    let message = DayMessage::decode(bytes).ok()?;
    let link = |link: LinkMessage| {
        Some(LinkDay {
            spans: unpack(&link.spans)?,
            evidence: link.evidence.into_iter().map(|one| (UnixMs::from_seconds(one.from_s), proofs(one.proofs, &one.bounds_ms))).collect(),
            short_notice: unpack_apart(&link.short_notice)?,
            name: link.name,
            slots: Default::default(),
            plan: None,
        })
    };
    Some(SiteDay {
        links: message.links.into_iter().map(link).collect::<Option<_>>()?,
        spans: unpack(&message.whole)?,
        nin: if message.nin.is_empty() { None } else { Some(unpack(&message.nin)?) },
        short_notice: unpack_apart(&message.short_notice)?,
        service_slots: Default::default(),
    })
}

fn proofs(named: Vec<String>, bounds_ms: &[i64]) -> Proofs {
    let bounds = match bounds_ms {
        [a, b, c, d] => Some(Bounds { started: (UnixMs(*a), UnixMs(*b)), ended: (UnixMs(*c), UnixMs(*d)) }),
        _ => None,
    };
    Proofs { named, bounds }
}

/// Reads a village's day.
pub(super) fn unpack_village(bytes: &[u8]) -> Option<VillageDay> {
    let message = DayMessage::decode(bytes).ok()?;
    let nin = if message.nin.is_empty() { None } else { Some(unpack(&message.nin)?) };
    let of_policy = |link: LinkMessage| Some((link.name.parse().ok()?, unpack(&link.spans)?));
    let by_policy = message.links.into_iter().map(of_policy).collect::<Option<_>>()?;
    Some(VillageDay { spans: unpack(&message.whole)?, nin, by_policy })
}

/// Packs spans that do not touch: each with its own start.
fn pack_apart<S: Numbered>(spans: &[Span<S>]) -> Vec<i64> {
    spans.iter().flat_map(|span| pack(std::slice::from_ref(span))).collect()
}

fn unpack_apart<S: Numbered>(numbers: &[i64]) -> Option<Vec<Span<S>>> {
    let spans: Option<Vec<Vec<Span<S>>>> = numbers.chunks(5).map(unpack).collect();
    Some(spans?.concat())
}

fn pack<S: Numbered>(spans: &[Span<S>]) -> Vec<i64> {
    let start = spans.first().map(|span| span.from.seconds());
    let one = |span: &Span<S>| {
        let (rung, confidence) = span.cause.map_or((0, 0), |cause| (i64::from(cause.rung.code()) + 1, i64::from(cause.confidence)));
        [span.until.seconds() - span.from.seconds(), span.state.number(), rung, confidence]
    };
    start.into_iter().chain(spans.iter().flat_map(one)).collect()
}

fn unpack<S: Numbered>(numbers: &[i64]) -> Option<Vec<Span<S>>> {
    let Some((start, rest)) = numbers.split_first() else { return Some(Vec::new()) };
    let mut from = *start;
    rest.chunks(4)
        .map(|four| {
            let [seconds, state, rung, confidence] = four else { return None };
            let until = from.checked_add(*seconds)?;
            let state = *S::all().get(usize::try_from(*state).ok()?)?;
            let rung = u32::try_from(*rung).ok().and_then(|rung| rung.checked_sub(1)).and_then(Rung::from_code);
            let cause = rung.and_then(|rung| Some(Cause { rung, confidence: u8::try_from(*confidence).ok()? }));
            let span = Span { from: UnixMs::from_seconds(from), until: UnixMs::from_seconds(until), state, cause };
            from = until;
            Some(span)
        })
        .collect()
}
