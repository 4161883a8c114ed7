//! What happened on the agents' port.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds around the 20 ms a group commit may take.
const ACKNOWLEDGED_WITHIN: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// Counters of the agents' port; clones share them.
#[derive(Clone)]
pub struct Counters {
    uploads: Counter,
    stored: Counter,
    duplicates: Counter,
    bytes: Counter,
    enrolled: Counter,
    refused: Family<Why, Counter>,
    foreign: Counter,
    seconds: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            uploads: Counter::default(),
            stored: Counter::default(),
            duplicates: Counter::default(),
            bytes: Counter::default(),
            enrolled: Counter::default(),
            refused: Family::default(),
            foreign: Counter::default(),
            seconds: Histogram::new(ACKNOWLEDGED_WITHIN),
        }
    }
}

impl Counters {
    /// Makes the counters known.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("rusta_uploads", "Uploads acknowledged", self.uploads.clone());
        registry.register("rusta_batches_stored", "Batches stored", self.stored.clone());
        registry.register("rusta_batches_duplicate", "Batches acknowledged that were stored before", self.duplicates.clone());
        registry.register("rusta_upload_bytes", "Bytes of acknowledged uploads", self.bytes.clone());
        registry.register("rusta_certificates_given", "Certificates given to agents", self.enrolled.clone());
        registry.register("rusta_requests_refused", "Requests of agents refused, by reason", self.refused.clone());
        let foreign = "Series of uploads left out because the registry does not let their agent speak about that site";
        registry.register("rusta_series_foreign", foreign, self.foreign.clone());
        registry.register("rusta_upload_seconds", "Time from an upload's head to its acknowledgement", self.seconds.clone());
    }

    pub(super) fn acknowledged(&self, appended: crate::log::Appended, bytes: usize, seconds: f64) {
        self.uploads.inc();
        self.stored.inc_by(appended.stored as u64);
        self.duplicates.inc_by(appended.duplicates as u64);
        self.bytes.inc_by(bytes as u64);
        self.seconds.observe(seconds);
    }

    pub(super) fn foreign(&self, series: u64) {
        self.foreign.inc_by(series);
    }

    pub(super) fn enrolled(&self) {
        self.enrolled.inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Why { reason }).inc();
    }
}
