//! A site's weeks and months from the days history has built: percentiles of each day, and its packets.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusta_wire::Metric;

use super::Measured;
use crate::day::Day;
use crate::history::{Histogram, Object, tables};
use crate::persian::Window;
use crate::store::StoreError;
use crate::view::{GaugeName, GaugePast, GaugeSlot, RoundView, SiteDetail, Time};

const DAY_S: u32 = 86_400;

/// Gauges history keeps that have a chart.
const GAUGES: [Metric; 3] = [Metric::RsrpDbm, Metric::RsrqCb, Metric::SinrCb];

/// Reads the days of the window, by link.
pub(super) fn of_site(db: &Connection, site: &SiteDetail, window: Window) -> Result<BTreeMap<String, Measured>, StoreError> {
    let days = Day::of(window.from)..Day::of(window.until).next();
    let mut links = BTreeMap::new();
    for link in &site.links {
        let of = Object::link(&site.site.code, &link.name);
        let values = tables::values_of(db, &of, days.clone())?;
        let packets: BTreeMap<_, _> = tables::packets_of(db, &of, days.clone())?.into_iter().collect();
        let of_metric = |metric: Metric| values.iter().filter(move |value| value.1 == metric).map(|(day, _, histogram)| (*day, histogram));
        let trips: BTreeMap<_, _> = of_metric(Metric::RttUsP50).collect();
        let measured_on = days_of(trips.keys().chain(packets.keys()));
        let rounds = measured_on.map(|day| round(day, trips.get(&day).copied(), packets.get(&day).copied())).collect();
        let gauges = GAUGES.iter().map(|metric| GaugePast {
            target: String::new(),
            metric: GaugeName(*metric),
            slot_seconds: DAY_S,
            slots: of_metric(*metric).filter_map(|(day, histogram)| gauge_slot(day, histogram)).collect(),
        });
        let gauges = gauges.filter(|gauge| !gauge.slots.is_empty()).collect();
        links.insert(link.name.clone(), Measured { target: None, slot_seconds: DAY_S, rounds, gauges });
    }
    Ok(links)
}

fn days_of<'a>(days: impl Iterator<Item = &'a Day>) -> impl Iterator<Item = Day> {
    days.copied().collect::<std::collections::BTreeSet<_>>().into_iter()
}

fn round(day: Day, trips: Option<&Histogram>, packets: Option<(u64, u64)>) -> RoundView {
    let quantile = |q| trips.and_then(|trips| trips.quantile(q));
    let (sent, received) = packets.unwrap_or_default();
    RoundView { at: Time(day.start()), rtt_us_min: quantile(0.05), rtt_us_p50: quantile(0.5), rtt_us_max: quantile(0.95), sent, received }
}

fn gauge_slot(day: Day, values: &Histogram) -> Option<GaugeSlot> {
    let at = Time(day.start());
    Some(GaugeSlot { at, least: values.quantile(0.1)?, median: values.quantile(0.5)?, most: values.quantile(0.9)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_without_a_reply_still_has_its_packets() {
        let lost = round(Day(20_000), None, Some((100, 0)));
        assert_eq!((lost.rtt_us_p50, lost.sent, lost.received), (None, 100, 0));
        let mut trips = Histogram::default();
        (1..=100).for_each(|ms| trips.add(ms * 1_000));
        let day = round(Day(20_000), Some(&trips), None);
        assert!(day.rtt_us_min < day.rtt_us_p50 && day.rtt_us_p50 < day.rtt_us_max);
        assert_eq!(day.at.0, Day(20_000).start());
    }
}
