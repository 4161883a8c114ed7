//! The charts of a link: round trips with their loss, radio, traffic and power, and the same numbers as tables.

use rusta_wire::{Metric, UnixMs};

use crate::persian::{Moment, Named, Window, decimal, isolate};
use crate::view::{GaugePast, GaugeSlot, LinkPast, RoundView};
use crate::web::html::Html;
use crate::web::page::Page;
use crate::web::svg::{Band, Gauge, Line, Point, Round, ceiling, gauge_chart, rtt_chart};
use crate::web::tone::Tone;

/// A chart of one or two gauges with what it says in words.
pub struct GaugeChart {
    /// What is charted.
    pub title: String,
    /// The newest values.
    pub newest: String,
    /// The drawing.
    pub chart: Html,
}

/// A chart's numbers as a table.
pub struct ChartTable {
    /// What is charted.
    pub title: String,
    /// Column titles.
    pub columns: Vec<String>,
    /// One line a slot, newest first.
    pub lines: Vec<Vec<String>>,
}

/// Lines of a table; a chart has more slots than anybody reads, so neighbours are left out evenly.
const TABLE_LINES: usize = 32;

/// How a metric is shown: unit in both languages, how many of its steps make one, decimals.
struct Shown {
    metric: Metric,
    unit: (&'static str, &'static str),
    step: f64,
    places: usize,
}

const fn shown(metric: Metric, unit: (&'static str, &'static str), step: f64, places: usize) -> Shown {
    Shown { metric, unit, step, places }
}

const RSRP: Shown = shown(Metric::RsrpDbm, ("dBm", "dBm"), 1.0, 0);
const RSRQ: Shown = shown(Metric::RsrqCb, ("dB", "dB"), 10.0, 1);
const SINR: Shown = shown(Metric::SinrCb, ("dB", "dB"), 10.0, 1);
const RECEIVED: Shown = shown(Metric::ReceiveBps, ("Mbps", "Mbps"), 1e6, 1);
const SENT: Shown = shown(Metric::TransmitBps, ("Mbps", "Mbps"), 1e6, 1);
const CHARGE: Shown = shown(Metric::UpsChargePct, ("٪", "%"), 1.0, 0);
const MAINS: Shown = shown(Metric::UpsInputDv, ("V", "V"), 10.0, 0);

/// What is shown, from where to where, the limits of its bands, and the marks on its axis.
type Banded = (&'static Shown, (f64, f64), [f64; 4], &'static [f64]);

/// Limits of the radio bands, weakest first: `domain.md`'s table for a fixed antenna in the country.
const RADIO: [Banded; 3] = [
    (&RSRP, (-125.0, -65.0), [-115.0, -105.0, -95.0, -85.0], &[-115.0, -105.0, -95.0, -85.0]),
    (&RSRQ, (-24.0, -4.0), [-20.0, -15.0, -13.0, -10.0], &[-20.0, -15.0, -10.0]),
    (&SINR, (-6.0, 30.0), [0.0, 3.0, 13.0, 20.0], &[0.0, 13.0, 20.0]),
];

/// Draws a link's round trips; `None` if nothing was measured.
pub fn round_trips(p: &Page, past: &LinkPast, window: Window) -> Option<Html> {
    let rounds: Vec<_> = past.rounds.iter().map(round).collect();
    let title = format!("{} – {}", p.w.rtt, past.link);
    (!rounds.is_empty()).then(|| rtt_chart(window, i64::from(past.slot_seconds) * 1000, &rounds, p.lang, &title))
}

fn round(round: &RoundView) -> Round {
    Round {
        at: round.at.0,
        rtt_us: round.rtt_us_min.zip(round.rtt_us_p50).zip(round.rtt_us_max).map(|((least, median), most)| (least, median, most)),
        loss: (round.sent > 0).then(|| 1.0 - round.received.min(round.sent) as f64 / round.sent as f64),
    }
}

/// Draws what the link's devices said.
pub fn gauges(p: &Page, past: &LinkPast, window: Window) -> Vec<GaugeChart> {
    let find = |shown: &Shown| past.gauges.iter().filter(|gauge| gauge.metric.0 == shown.metric).collect::<Vec<_>>();
    let mut charts: Vec<GaugeChart> = RADIO
        .iter()
        .filter_map(|(shown, scale, limits, ticks)| radio(p, window, find(shown).first()?, shown, *scale, *limits, ticks))
        .collect();
    let sent = find(&SENT);
    for received in find(&RECEIVED) {
        let sent = sent.iter().find(|sent| sent.target == received.target).copied();
        charts.extend(traffic(p, window, received, sent));
    }
    let sources: Vec<_> = past.gauges.iter().filter(|gauge| gauge.metric.0 == Metric::UpsSource).collect();
    charts.extend(
        find(&CHARGE).first().and_then(|charge| power(p, window, charge, &CHARGE, (0.0, 105.0), &[25.0, 50.0, 75.0, 100.0], &sources)),
    );
    charts.extend(find(&MAINS).first().and_then(|mains| power(p, window, mains, &MAINS, (0.0, 260.0), &[110.0, 220.0], &sources)));
    charts
}

/// Words of the radio bands, weakest first.
fn band_words(p: &Page) -> [(&'static str, Tone); 5] {
    [
        (p.lang.pick("نامناسب", "unusable"), Tone::Bad),
        (p.lang.pick("ضعیف", "weak"), Tone::Unsteady),
        (p.lang.pick("متوسط", "fair"), Tone::Weak),
        (p.lang.pick("خوب", "good"), Tone::Planned),
        (p.lang.pick("عالی", "excellent"), Tone::Good),
    ]
}

fn radio(
    p: &Page,
    window: Window,
    past: &GaugePast,
    shown: &Shown,
    scale: (f64, f64),
    limits: [f64; 4],
    ticks: &[f64],
) -> Option<GaugeChart> {
    let from = [scale.0, limits[0], limits[1], limits[2], limits[3]];
    let bands: Vec<_> = from.into_iter().zip(band_words(p)).map(|(from, (word, tone))| Band { from, tone, word }).collect();
    let newest = past.slots.last()?.median as f64 / shown.step;
    let word = bands.iter().rev().find(|band| newest >= band.from).or(bands.first())?.word;
    let title = shown.metric.label(p.lang).to_owned();
    let gauge = Gauge {
        window,
        scale,
        ticks: ticks.to_vec(),
        places: 0,
        bands: &bands,
        marked: (Vec::new(), 0),
        lines: vec![line("one", past, shown)],
        title: title.clone(),
    };
    Some(GaugeChart { title, newest: format!("{} · {word}", quantity(p, newest, shown)), chart: gauge_chart(&gauge, p.lang) })
}

fn traffic(p: &Page, window: Window, received: &GaugePast, sent: Option<&GaugePast>) -> Option<GaugeChart> {
    let lines: Vec<_> = [Some(line("one", received, &RECEIVED)), sent.map(|sent| line("two", sent, &SENT))].into_iter().flatten().collect();
    let most = lines.iter().flat_map(|line| &line.points).map(|point| point.values.2).fold(0.0, f64::max);
    let high = ceiling(most.max(0.1));
    let newest = |past: &GaugePast, shown: &Shown| {
        past.slots.last().map(|slot| format!("{} {}", shown.metric.label(p.lang), quantity(p, slot.median as f64 / shown.step, shown)))
    };
    let told: Vec<_> = [newest(received, &RECEIVED), sent.and_then(|sent| newest(sent, &SENT))].into_iter().flatten().collect();
    let part = received.target.rsplit('/').next().unwrap_or_default();
    let title = format!("{} {}", p.w.traffic, isolate(part));
    let gauge = Gauge {
        window,
        scale: (0.0, high),
        ticks: vec![high / 2.0, high],
        places: usize::from(high < 4.0),
        bands: &[],
        marked: (Vec::new(), 0),
        lines,
        title: title.clone(),
    };
    (!received.slots.is_empty()).then(|| GaugeChart {
        title,
        newest: told.join(p.lang.pick("، ", ", ")),
        chart: gauge_chart(&gauge, p.lang),
    })
}

/// The UPS-MIB's word for running on battery.
const ON_BATTERY: i64 = 5;

fn power(
    p: &Page,
    window: Window,
    past: &GaugePast,
    shown: &Shown,
    scale: (f64, f64),
    ticks: &[f64],
    sources: &[&GaugePast],
) -> Option<GaugeChart> {
    let newest = past.slots.last()?.median as f64 / shown.step;
    let on_battery = |slot: &&GaugeSlot| slot.most == ON_BATTERY;
    let marked: Vec<UnixMs> = sources.iter().flat_map(|source| &source.slots).filter(on_battery).map(|slot| slot.at.0).collect();
    let length = sources.first().map_or(0, |source| i64::from(source.slot_seconds) * 1000);
    let title = match shown.metric {
        Metric::UpsInputDv => p.lang.pick("برق شهر", "mains power").to_owned(),
        other => other.label(p.lang).to_owned(),
    };
    let battery = if marked.is_empty() { "" } else { p.lang.pick(" · خط سرخ: روی باتری", " · red line: on battery") };
    let gauge = Gauge {
        window,
        scale,
        ticks: ticks.to_vec(),
        places: 0,
        bands: &[],
        marked: (marked, length),
        lines: vec![line("one", past, shown)],
        title: title.clone(),
    };
    Some(GaugeChart { title, newest: format!("{}{battery}", quantity(p, newest, shown)), chart: gauge_chart(&gauge, p.lang) })
}

fn line(class: &'static str, past: &GaugePast, shown: &Shown) -> Line {
    let value = |value: i64| value as f64 / shown.step;
    let point = |slot: &GaugeSlot| Point { at: slot.at.0, values: (value(slot.least), value(slot.median), value(slot.most)) };
    Line { class, points: past.slots.iter().map(point).collect(), slot_ms: i64::from(past.slot_seconds) * 1000 }
}

fn quantity(p: &Page, value: f64, shown: &Shown) -> String {
    isolate(&format!("{} {}", decimal(value, shown.places, p.lang), p.pair(&shown.unit)))
}

/// Writes every chart of a link as a table.
pub fn tables(p: &Page, past: &LinkPast) -> Vec<ChartTable> {
    let when = |at: UnixMs| {
        let moment = Moment::at(at);
        if past.slot_seconds >= 86_400 { moment.date.in_figures(p.lang) } else { moment.full(p.lang) }
    };
    let spread = [p.lang.pick("کمترین", "least"), p.lang.pick("میانه", "median"), p.lang.pick("بیشترین", "most")].map(str::to_owned);
    let columns = |more: Option<&str>| {
        let head = std::iter::once(p.w.from.to_owned()).chain(spread.clone());
        head.chain(more.map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut tables = Vec::new();
    if !past.rounds.is_empty() {
        let ms = |us: Option<i64>| us.map_or_else(|| "—".to_owned(), |us| decimal(us as f64 / 1000.0, 1, p.lang));
        let lines = thinned(&past.rounds).map(|view| {
            let loss = p.pct(&round(view).loss);
            vec![when(view.at.0), ms(view.rtt_us_min), ms(view.rtt_us_p50), ms(view.rtt_us_max), loss]
        });
        let title = format!("{} ({})", p.w.rtt, p.lang.pick("م‌ث", "ms"));
        tables.push(ChartTable { title, columns: columns(Some(p.w.loss)), lines: lines.collect() });
    }
    let known = [&RSRP, &RSRQ, &SINR, &RECEIVED, &SENT, &CHARGE, &MAINS];
    for gauge in &past.gauges {
        let Some(shown) = known.iter().find(|shown| shown.metric == gauge.metric.0) else { continue };
        let value = |value: i64| decimal(value as f64 / shown.step, shown.places, p.lang);
        let lines = thinned(&gauge.slots).map(|slot| vec![when(slot.at.0), value(slot.least), value(slot.median), value(slot.most)]);
        let title = format!("{} ({})", shown.metric.label(p.lang), p.pair(&shown.unit));
        tables.push(ChartTable { title, columns: columns(None), lines: lines.collect() });
    }
    tables
}

/// Takes about [`TABLE_LINES`] of a list, newest first.
fn thinned<T>(slots: &[T]) -> impl Iterator<Item = &T> {
    slots.iter().rev().step_by(slots.len().div_ceil(TABLE_LINES).max(1))
}
