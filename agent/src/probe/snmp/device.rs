//! What a vendor's device means, as data.
//!
//! ```yaml
//! title: MikroTik LTE
//! detect: { oid: 1.3.6.1.2.1.1.2.0, under: 1.3.6.1.4.1.14988.1 }   # is it this device at all?
//! values:                                                          # of the device itself
//!   - { metric: temperature_dc, oid: 1.3.6.1.4.1.14988.1.1.3.10.0 }
//! rows:                                                            # of its parts: one column per metric
//!   part: lte
//!   columns:
//!     - { metric: rsrp_dbm, oid: 1.3.6.1.4.1.14988.1.1.16.1.1.4, range: [-140, -44] }
//! ```

use std::collections::BTreeMap;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::super::Part;
use super::manager::{Binding, Datum, Manager, ObjectId, Stride};
use super::{Found, PARTS};
use crate::yaml;

/// The device files that come with the program.
const BUILT_IN: &[(&str, &str)] = &[
    ("apc", include_str!("../../../../configs/snmp/apc.yaml")),
    ("cisco-lte", include_str!("../../../../configs/snmp/cisco-lte.yaml")),
    ("eaton", include_str!("../../../../configs/snmp/eaton.yaml")),
    ("huawei-olt", include_str!("../../../../configs/snmp/huawei-olt.yaml")),
    ("huawei-vrp", include_str!("../../../../configs/snmp/huawei-vrp.yaml")),
    ("mikrotik-gauges", include_str!("../../../../configs/snmp/mikrotik-gauges.yaml")),
    ("mikrotik-health", include_str!("../../../../configs/snmp/mikrotik-health.yaml")),
    ("mikrotik-lte", include_str!("../../../../configs/snmp/mikrotik-lte.yaml")),
    ("mikrotik-optical", include_str!("../../../../configs/snmp/mikrotik-optical.yaml")),
    ("net-snmp", include_str!("../../../../configs/snmp/net-snmp.yaml")),
    ("netagent", include_str!("../../../../configs/snmp/netagent.yaml")),
    ("teltonika", include_str!("../../../../configs/snmp/teltonika.yaml")),
    ("teltonika-legacy", include_str!("../../../../configs/snmp/teltonika-legacy.yaml")),
    ("ups", include_str!("../../../../configs/snmp/ups.yaml")),
];

/// Subtrees that hold secrets and are never asked for, whatever a device file says: Teltonika's hotspot users with their
/// passwords.
const FORBIDDEN: &[ObjectId] = &[ObjectId::fixed(&[1, 3, 6, 1, 4, 1, 48690, 3])];

/// Largest device file of one's own; the longest of ours is a tenth of it.
const FILE_BYTES: u64 = 64 * 1024;

/// One device file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    #[serde(rename = "title")]
    _title: String,
    detect: Detect,
    #[serde(default)]
    values: Vec<Object>,
    #[serde(default)]
    rows: Option<Rows>,
}

/// How a device is recognised.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detect {
    /// The object that tells.
    #[serde(default)]
    oid: Option<ObjectId>,
    /// The column that tells: it has rows.
    #[serde(default)]
    rows: Option<ObjectId>,
    /// Its value is an object below this one.
    #[serde(default)]
    under: Option<ObjectId>,
    /// Its value is of this type.
    #[serde(default, rename = "type")]
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Number,
    Text,
}

/// The parts of a device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    /// What a part is called; its row number follows.
    part: String,
    /// The column of texts that name the parts; without it, or where it is empty, their row numbers do.
    #[serde(default)]
    name: Option<ObjectId>,
    columns: Vec<Object>,
    /// Walks one object at a time, so that nothing beyond a column is fetched.
    #[serde(default)]
    single_steps: bool,
}

/// One object and the metric it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    metric: String,
    oid: ObjectId,
    /// Rows that count, in a table whose rows count different things.
    #[serde(default, rename = "where")]
    only: Option<Only>,
    /// Multiplies the number.
    #[serde(default = "one")]
    times: f64,
    /// Divides it.
    #[serde(default = "one")]
    divide: f64,
    /// What the metric may be; anything else is what the device says when it does not know.
    #[serde(default)]
    range: Option<(i64, i64)>,
    /// Numbers the device uses for "no reading".
    #[serde(default)]
    missing: Vec<i64>,
    /// Turns the device's words or codes into the metric's codes; what is not listed is absent.
    #[serde(default)]
    codes: BTreeMap<String, i64>,
    /// The text is a hexadecimal number.
    #[serde(default)]
    hex: bool,
}

/// A row counts where another column has this number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Only {
    oid: ObjectId,
    is: i64,
}

/// Longest name of a part; a device's own names are a few words.
const NAME_BYTES: usize = 64;

fn one() -> f64 {
    1.0
}

impl Device {
    /// Finds a device file by its name or full path.
    pub fn load(name: &str) -> Result<Self, String> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Device::parse(name, text);
        }
        if !name.starts_with('/') {
            let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
            return Err(format!("`devices` names `{name}`; there is {}, or give the full path of your own file", known.join(", ")));
        }
        let unreadable = |e: &dyn std::fmt::Display| format!("{name}: {e}");
        if std::fs::metadata(name).map_err(|e| unreadable(&e))?.len() > FILE_BYTES {
            return Err(unreadable(&"longer than any device file"));
        }
        Device::parse(name, &std::fs::read_to_string(name).map_err(|e| unreadable(&e))?)
    }

    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let device: Device = yaml::read_whole(text).map_err(|mistake| format!("{name}:{mistake}"))?;
        if device.detect.oid.is_some() == device.detect.rows.is_some() {
            return Err(format!("{name}: `detect` has one of `oid` and `rows`"));
        }
        if let Some(secret) = device.asked().find(|oid| FORBIDDEN.iter().any(|secret| oid.touches(secret))) {
            return Err(format!("{name}: {secret} is or holds a subtree with passwords, which is never read"));
        }
        for object in device.objects() {
            if Metric::by_name(&object.metric).is_none() {
                return Err(format!("{name}: there is no metric `{}`", object.metric));
            }
            if object.divide == 0.0 {
                return Err(format!("{name}: `divide: 0` at {}", object.oid));
            }
        }
        Ok(device)
    }

    /// Lists everything the device is asked for.
    fn asked(&self) -> impl Iterator<Item = &ObjectId> {
        let names = self.rows.iter().flat_map(|rows| &rows.name);
        let conditions = self.objects().flat_map(|object| &object.only).map(|only| &only.oid);
        self.detect.oid.iter().chain(&self.detect.rows).chain(names).chain(conditions).chain(self.objects().map(|object| &object.oid))
    }

    fn objects(&self) -> impl Iterator<Item = &Object> {
        self.values.iter().chain(self.rows.iter().flat_map(|rows| &rows.columns))
    }

    /// Lists the metrics of the device itself.
    pub fn own_metrics(&self) -> impl Iterator<Item = Metric> {
        self.values.iter().filter_map(|object| Metric::by_name(&object.metric))
    }

    /// Lists the metrics of its parts.
    pub fn part_metrics(&self) -> impl Iterator<Item = Metric> {
        self.rows.iter().flat_map(|rows| &rows.columns).filter_map(|object| Metric::by_name(&object.metric))
    }

    /// Reads the device, if it is one of these.
    pub async fn read(&self, manager: &impl Manager, found: &mut Found) -> Result<bool, Outcome> {
        if !self.detect.recognises(manager).await? {
            return Ok(false);
        }
        let objects: Vec<ObjectId> = self.values.iter().map(|object| object.oid.clone()).collect();
        let told = if objects.is_empty() { Vec::new() } else { manager.get(&objects).await? };
        for object in &self.values {
            let datum = told.iter().find(|(oid, _)| *oid == object.oid).map(|(_, datum)| datum);
            if let Some((metric, value)) = datum.and_then(|datum| object.read(datum)) {
                found.values.set(metric, value);
            }
        }
        if let Some(rows) = &self.rows {
            found.parts.extend(rows.read(manager).await?);
        }
        Ok(true)
    }
}

impl Detect {
    async fn recognises(&self, manager: &impl Manager) -> Result<bool, Outcome> {
        if let Some(column) = &self.rows {
            // One step at a time: nothing beyond the column is fetched.
            return Ok(!manager.walk(column, Stride::Single).await?.is_empty());
        }
        let told = manager.get(self.oid.as_slice()).await?;
        Ok(told.iter().any(|(_, datum)| self.fits(datum)))
    }

    fn fits(&self, datum: &Datum) -> bool {
        let kind_fits = match (self.kind, datum) {
            (None, _) | (Some(Kind::Text), Datum::Text(_)) | (Some(Kind::Number), Datum::Integer(_) | Datum::Counter64(_)) => true,
            (Some(_), _) => false,
        };
        let place_fits = self.under.as_ref().is_none_or(|root| matches!(datum, Datum::Object(object) if object.below(root).is_some()));
        kind_fits && place_fits
    }
}

impl Rows {
    async fn read(&self, manager: &impl Manager) -> Result<Vec<Part>, Outcome> {
        let mut rows: BTreeMap<Vec<u32>, Vec<(Metric, i64)>> = BTreeMap::new();
        let stride = if self.single_steps { Stride::Single } else { Stride::Bulk };
        let mut walked: BTreeMap<ObjectId, Vec<Binding>> = BTreeMap::new();
        let conditions = self.columns.iter().flat_map(|column| &column.only).map(|only| &only.oid);
        for oid in self.columns.iter().map(|column| &column.oid).chain(conditions).chain(&self.name) {
            if !walked.contains_key(oid) {
                walked.insert(oid.clone(), manager.walk(oid, stride).await?);
            }
        }
        let at =
            |column: &ObjectId, row: &[u32]| walked[column].iter().find(|(oid, _)| oid.below(column) == Some(row)).map(|(_, datum)| datum);
        for column in &self.columns {
            for (oid, datum) in &walked[&column.oid] {
                let Some(row) = oid.below(&column.oid) else { continue };
                let counts = |only: &Only| at(&only.oid, row).and_then(Datum::integer) == Some(only.is);
                if !column.only.as_ref().is_none_or(counts) {
                    continue;
                }
                if let Some(value) = column.read(datum) {
                    rows.entry(row.to_vec()).or_default().push(value);
                }
            }
        }
        let part = |(row, values): (Vec<u32>, _)| {
            let told = self.name.as_ref().and_then(|column| at(column, &row)?.text());
            let is_name =
                |name: &String| !name.is_empty() && name.len() <= NAME_BYTES && !name.contains(|c: char| c.is_control() || c == '/');
            let number = || row.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            Part { name: told.filter(is_name).unwrap_or_else(|| format!("{}{}", self.part, number())), outcome: Outcome::Ok, values }
        };
        Ok(rows.into_iter().take(PARTS).map(part).collect())
    }
}

impl Object {
    fn read(&self, datum: &Datum) -> Option<(Metric, i64)> {
        let metric = Metric::by_name(&self.metric)?;
        if !self.codes.is_empty() {
            let word = datum.text().or_else(|| Some(datum.integer()?.to_string()))?.to_lowercase();
            return self.codes.get(&word).map(|code| (metric, *code));
        }
        let number = match (datum.integer(), datum.text()) {
            (Some(number), _) => number as f64,
            (None, Some(text)) if self.hex => i64::from_str_radix(text.trim_start_matches("0x"), 16).ok()? as f64,
            (None, text) => leading_number(&text?)?,
        };
        if self.missing.contains(&(number as i64)) {
            return None;
        }
        let value = (number * self.times / self.divide).round() as i64;
        self.range.is_none_or(|(least, most)| (least..=most).contains(&value)).then_some((metric, value))
    }
}

/// Reads the number a text starts with: devices write `-98 dBm`, `12.4`, `+31`.
fn leading_number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))).unwrap_or(text.len());
    text[..end].parse().ok()
}
