//! What happened at a site over a window: states, rounds, outages, and what its devices said.

use rusta_wire::Metric;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{CauseView, Time};
use crate::engine::LinkState;
use crate::history::Ended;

/// A site's past.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct SitePast {
    /// One entry per link.
    pub links: Vec<LinkPast>,
}

/// A link's past.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LinkPast {
    /// Its name.
    pub link: String,
    /// States in order; gaps are unknown.
    pub states: Vec<StateSpan>,
    /// Outages that touch the window, in order.
    pub outages: Vec<OutageView>,
    /// The target whose round trips are listed; `null` if they are those of all anchors together.
    pub target: Option<String>,
    /// Length of a slot of rounds in seconds.
    pub slot_seconds: u32,
    /// Round trips by slot; slots without rounds are left out.
    pub rounds: Vec<RoundView>,
    /// What modems, interfaces and power supplies said, by target, then metric.
    pub gauges: Vec<GaugePast>,
}

/// One gauge of one target.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct GaugePast {
    /// The target that says it.
    pub target: String,
    /// The metric; its unit is the catalogue's.
    #[schema(value_type = String, example = "rsrp_dbm")]
    pub metric: GaugeName,
    /// Length of a slot in seconds.
    pub slot_seconds: u32,
    /// Values by slot; slots without any are left out.
    pub slots: Vec<GaugeSlot>,
}

/// A metric that serialises as its name in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaugeName(pub Metric);

impl Serialize for GaugeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

/// A slot of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct GaugeSlot {
    /// Its first instant.
    pub at: Time,
    /// The smallest value; the 10th percentile where a slot is a day.
    pub least: i64,
    /// The median.
    pub median: i64,
    /// The largest value; the 90th percentile where a slot is a day.
    pub most: i64,
}

/// A stretch of time in one state.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StateSpan {
    /// The state.
    #[schema(value_type = String, example = "up")]
    pub state: LinkState,
    /// Its first instant.
    pub from: Time,
    /// The first instant after it.
    pub until: Time,
}

/// An outage.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OutageView {
    /// The link.
    pub link: String,
    /// When it began.
    pub started_at: Time,
    /// When it ended; `null` while it lasts.
    pub restored_at: Option<Time>,
    /// How it ended: `restored`, `silence` (nothing was heard any more) or `work`; `null` while it lasts.
    #[schema(value_type = Option<String>, example = "restored")]
    pub ended: Option<Ended>,
    /// Of a power cut that only a new boot proves, between what its beginning lies: the last sign of the old boot and the start of
    /// the new one; `null` of one that was seen to begin.
    pub started_between: Option<[Time; 2]>,
    /// Of such a cut, between what its end lies: the start of the new boot and the first answer.
    pub restored_between: Option<[Time; 2]>,
    /// What proves it: each anchor's first failure, the boot that ended it, the last sign before it.
    pub evidence: Vec<String>,
    /// Why.
    pub cause: Option<CauseView>,
}

/// A slot of rounds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RoundView {
    /// Its first instant.
    pub at: Time,
    /// Smallest round trip in microseconds; the 5th percentile where a slot is a day.
    pub rtt_us_min: Option<i64>,
    /// Median of the rounds' medians in microseconds.
    pub rtt_us_p50: Option<i64>,
    /// Largest round trip in microseconds; the 95th percentile where a slot is a day.
    pub rtt_us_max: Option<i64>,
    /// Packets sent.
    pub sent: u64,
    /// Replies received.
    pub received: u64,
}
