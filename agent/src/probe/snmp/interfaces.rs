//! Interfaces of a device (IF-MIB, RFC 2863): counters as they are, and rates where they can be told.

use std::time::{Duration, Instant};

use rusta_wire::{Metric, Outcome};

use super::super::Part;
use super::super::rates::{Memory, Reading, Width};
use super::super::round::Values;
use super::manager::{Binding, Datum, Manager, ObjectId, Stride};

/// What an interface's part may hold.
pub(super) const METRICS: &[Metric] = &[
    Metric::IfOperStatus,
    Metric::IfHighSpeed,
    Metric::IfHcInOctets,
    Metric::IfHcOutOctets,
    Metric::IfInErrors,
    Metric::IfOutErrors,
    Metric::IfInDiscards,
    Metric::IfOutDiscards,
    Metric::ReceiveBps,
    Metric::TransmitBps,
];

const NAME: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1]);
const HC_IN: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6]);
const HC_OUT: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 10]);
const HIGH_SPEED: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 15]);
const DISCONTINUITY: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 19]);
const OPER: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 8]);
const IN: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 10]);
const IN_DISCARDS: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 13]);
const IN_ERRORS: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 14]);
const OUT: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 16]);
const OUT_DISCARDS: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 19]);
const OUT_ERRORS: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 2, 2, 1, 20]);

/// Every column in the order asked.
const COLUMNS: [&ObjectId; 11] =
    [&OPER, &HC_IN, &HC_OUT, &HIGH_SPEED, &DISCONTINUITY, &IN_ERRORS, &OUT_ERRORS, &IN_DISCARDS, &OUT_DISCARDS, &IN, &OUT];

/// One interface as read.
pub(super) struct Interface {
    name: String,
    index: Option<u32>,
    told: Vec<Binding>,
    at: Instant,
    uptime: Option<Duration>,
}

/// Reads these interfaces. Their numbers are looked up by name every time: they change when a device restarts.
pub(super) async fn read(
    manager: &impl Manager,
    names: &[String],
    at: Instant,
    uptime: Option<Duration>,
) -> Result<Vec<Interface>, Outcome> {
    let named = manager.walk(&NAME, Stride::Bulk).await?;
    let index_of = |name: &String| {
        let (oid, _) = named.iter().find(|(_, datum)| datum.text().as_ref() == Some(name))?;
        oid.below(&NAME)?.first().copied()
    };
    let mut interfaces = Vec::new();
    for name in names {
        let index = index_of(name);
        let told = match index {
            Some(index) => manager.get(&COLUMNS.map(|column| column.child(&[index]))).await?,
            None => Vec::new(),
        };
        interfaces.push(Interface { name: name.clone(), index, told, at, uptime });
    }
    Ok(interfaces)
}

impl Interface {
    fn number(&self, column: &ObjectId) -> Option<i64> {
        self.datum(column)?.integer()
    }

    fn datum(&self, column: &ObjectId) -> Option<&Datum> {
        let asked = column.child(&[self.index?]);
        self.told.iter().find(|(oid, _)| *oid == asked).map(|(_, datum)| datum)
    }

    fn counted(&self) -> Option<(Width, u64, u64)> {
        let pair = |a: &ObjectId, b: &ObjectId| Some((self.number(a)?.try_into().ok()?, self.number(b)?.try_into().ok()?));
        let wide = pair(&HC_IN, &HC_OUT).map(|(octets_in, octets_out)| (Width::Bits64, octets_in, octets_out));
        wide.or_else(|| pair(&IN, &OUT).map(|(octets_in, octets_out)| (Width::Bits32, octets_in, octets_out)))
    }

    /// Turns what was read into a part, with rates against what `memory` holds.
    pub fn into_part(self, memory: &mut Memory) -> Part {
        const NOT_PRESENT: i64 = 6;
        let mut values = Values::default();
        values.set(Metric::IfOperStatus, self.number(&OPER).filter(|s| (1..=7).contains(s)).unwrap_or(NOT_PRESENT));
        values.set_some(Metric::IfHighSpeed, self.number(&HIGH_SPEED));
        if let Some((Width::Bits64, octets_in, octets_out)) = self.counted() {
            values.set(Metric::IfHcInOctets, octets_in);
            values.set(Metric::IfHcOutOctets, octets_out);
        }
        let counters = [
            (Metric::IfInErrors, &IN_ERRORS),
            (Metric::IfOutErrors, &OUT_ERRORS),
            (Metric::IfInDiscards, &IN_DISCARDS),
            (Metric::IfOutDiscards, &OUT_DISCARDS),
        ];
        for (metric, column) in counters {
            values.set_some(metric, self.number(column));
        }
        if let Some((width, octets_in, octets_out)) = self.counted() {
            let discontinuity = self.number(&DISCONTINUITY).unwrap_or_default().unsigned_abs();
            let speed_bps = self.number(&HIGH_SPEED).and_then(|mbps| u64::try_from(mbps).ok()).map(|mbps| mbps.saturating_mul(1_000_000));
            let reading = Reading { at: self.at, width, octets_in, octets_out, discontinuity, uptime: self.uptime, speed_bps };
            let told = memory.rates(&self.name, reading);
            values.set_some(Metric::ReceiveBps, told.receive_bps);
            values.set_some(Metric::TransmitBps, told.transmit_bps);
        }
        let outcome = if self.index.is_some() { Outcome::Ok } else { Outcome::Unexpected };
        Part { name: self.name, outcome, values: values.0 }
    }
}
