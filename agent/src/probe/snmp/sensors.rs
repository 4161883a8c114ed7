//! Sensors of a device (ENTITY-SENSOR-MIB, RFC 3433): a number with a type, a scale and a precision of its own.

use rusta_wire::{Metric, Outcome};

use super::super::Part;
use super::PARTS;
use super::manager::{Manager, ObjectId, Stride};

/// What a sensor's part may hold.
pub(super) const METRICS: &[Metric] = &[Metric::TemperatureDc, Metric::VoltageMv];

/// `entPhySensorEntry`: columns 1 type, 2 scale, 3 precision, 4 value, 5 operational status.
const ENTRY: ObjectId = ObjectId::fixed(&[1, 3, 6, 1, 2, 1, 99, 1, 1, 1]);

const VOLTS_DC: i64 = 4;
const CELSIUS: i64 = 8;
const STATUS_OK: i64 = 1;

/// Reads every working thermometer and voltmeter.
pub(super) async fn read(manager: &impl Manager) -> Result<Vec<Part>, Outcome> {
    let mut columns = Vec::new();
    for column in 1..=5 {
        let root = ENTRY.child(&[column]);
        let told = manager.walk(&root, Stride::Bulk).await?;
        let numbers: Vec<(u32, i64)> =
            told.iter().filter_map(|(oid, datum)| Some((*oid.below(&root)?.first()?, datum.integer()?))).collect();
        columns.push(numbers);
    }
    let at = |column: usize, sensor: u32| columns[column].iter().find(|(index, _)| *index == sensor).map(|(_, number)| *number);
    let part = |(sensor, kind): &(u32, i64)| {
        let working = at(4, *sensor)? == STATUS_OK;
        let value = working.then(|| read_sensor(*kind, at(1, *sensor)?, at(2, *sensor)?, at(3, *sensor)?)).flatten()?;
        Some(Part { name: format!("sensor{sensor}"), outcome: Outcome::Ok, values: vec![value] })
    };
    Ok(columns[0].iter().filter_map(part).take(PARTS).collect())
}

/// `scale` is a power of a thousand, 9 for none (`EntitySensorDataScale`); `precision` is the number of decimal places.
fn read_sensor(kind: i64, scale: i64, precision: i64, value: i64) -> Option<(Metric, i64)> {
    let in_range = (1..=17).contains(&scale) && (-8..=9).contains(&precision);
    let exponent = 3 * (scale - 9) - precision.max(0);
    let units = in_range.then(|| value as f64 * 10f64.powi(exponent as i32))?;
    match kind {
        CELSIUS => Some((Metric::TemperatureDc, (units * 10.0).round() as i64)).filter(|(_, dc)| (-1_000..=2_000).contains(dc)),
        VOLTS_DC => Some((Metric::VoltageMv, (units * 1_000.0).round() as i64)).filter(|(_, mv)| (-1_000_000..=1_000_000).contains(mv)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_and_precision_are_powers_of_ten() {
        // 38.5 degrees as 385 with one decimal; 12.06 V as 12,060 mV; the same as 12.06 V.
        assert_eq!(read_sensor(CELSIUS, 9, 1, 385), Some((Metric::TemperatureDc, 385)));
        assert_eq!(read_sensor(VOLTS_DC, 8, 0, 12_060), Some((Metric::VoltageMv, 12_060)));
        assert_eq!(read_sensor(VOLTS_DC, 9, 2, 1_206), Some((Metric::VoltageMv, 12_060)));
        assert_eq!(read_sensor(CELSIUS, 9, 0, 1_000_000_000), None, "a sensor's way to say that it is broken");
        assert_eq!(read_sensor(CELSIUS, 99, 0, 30), None);
        assert_eq!(read_sensor(10, 9, 0, 4_000), None, "fan speed has no metric");
    }
}
