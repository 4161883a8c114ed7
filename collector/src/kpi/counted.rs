//! What numbers count, and how far two of them may be compared: only of one unit.

use std::cmp::Ordering;

use super::figure::{Unit, Weight};
use crate::inventory::word_enum;

word_enum! {
    /// What a numerator or a denominator counts, each object once.
    Counted {
        /// Villages.
        Villages = "villages",
        /// Sites.
        Sites = "sites",
        /// Links.
        Links = "links",
        /// Outages.
        Outages = "outages",
        /// Interruptions.
        Interruptions = "interruptions",
        /// Services of the catalogue.
        Services = "services",
        /// Attempts to use a service.
        Attempts = "attempts",
        /// Seconds.
        Seconds = "seconds",
        /// Minutes.
        Minutes = "minutes",
        /// Hours.
        Hours = "hours",
        /// Reports of agents.
        Reports = "reports",
        /// Packets.
        Packets = "packets",
        /// Rounds of a target.
        Rounds = "rounds",
        /// Readings of a modem.
        Readings = "readings",
        /// Throughput tests.
        Tests = "tests",
        /// Stretches of five minutes.
        Slots = "five_minute_slots",
        /// Fields of the registry.
        Fields = "fields",
        /// Units of 1,024 bytes.
        Kibibytes = "kibibytes",
        /// Calls that woke somebody.
        Calls = "calls",
        /// Shifts of twelve hours.
        Shifts = "shifts",
        /// Nothing: there is only a denominator.
        Nothing = "nothing",
    }
}

/// What the numerator and the denominator count.
pub type Counts = (Counted, Counted);

impl Counted {
    /// Names what is counted under a weight: villages by household are households, seconds by household household-seconds.
    pub fn weighted(self, weight: Weight) -> String {
        match (self, weight) {
            (counted, Weight::Village) => counted.to_string(),
            (Counted::Villages, Weight::Household) => "households".to_owned(),
            (Counted::Villages, Weight::Population) => "residents".to_owned(),
            (counted, Weight::Household) => format!("household_{counted}"),
            (counted, Weight::Population) => format!("resident_{counted}"),
        }
    }

    /// Tells whether things are counted that people announce by number, not time or messages.
    pub const fn are_things(self) -> bool {
        matches!(self, Counted::Villages | Counted::Sites | Counted::Links | Counted::Services)
    }
}

/// A number with what it counts. Two of different units have no difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// The number.
    pub value: f64,
    /// What it counts.
    pub unit: Unit,
}

impl Amount {
    /// Makes an amount.
    pub const fn new(value: f64, unit: Unit) -> Amount {
        Amount { value, unit }
    }

    /// Subtracts an amount of the same unit; `None` of another. The difference of two ratios is in points.
    pub fn minus(self, other: Amount) -> Option<Amount> {
        let unit = if self.unit == Unit::Ratio { Unit::Points } else { self.unit };
        (self.unit == other.unit).then_some(Amount { value: self.value - other.value, unit })
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Amount) -> Option<Ordering> {
        if self.unit == other.unit { self.value.partial_cmp(&other.value) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_and_a_share_have_no_difference() {
        let (count, share) = (Amount::new(30.0, Unit::Count), Amount::new(0.92, Unit::Ratio));
        assert_eq!((count.minus(share), share.minus(count)), (None, None));
        assert_eq!(count.minus(Amount::new(22.0, Unit::Count)), Some(Amount::new(8.0, Unit::Count)));
        assert_eq!(Amount::new(1.0, Unit::Ratio).minus(Amount::new(0.75, Unit::Ratio)), Some(Amount::new(0.25, Unit::Points)));
        assert_eq!(count.partial_cmp(&share), None);
    }
}
