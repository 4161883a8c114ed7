//! The contract both programs share: ids, times, the metric catalogue, samples, batches, frames and the journal.
//!
//! ```text
//! Sample (one round of one target) --> Batch (one interval of one agent, columns) --> Frame (bytes, CRC)
//!                 named by a SeriesTable, which travels once per content, not once per batch
//! ```
//!
//! Nothing here knows tokio, TLS or a clock. The public contract for other languages is `wire/rusta.proto`;
//! a test holds it against these types. Every decoder is total: any bytes give a value or an error, never a
//! panic, and never more memory than the bounds in [`limits`].

mod coded;
mod columns;
mod crc;
mod dense;

pub mod answer;
pub mod batch;
pub mod catalogue;
pub mod frame;
pub mod ids;
pub mod invitation;
pub mod journal;
pub mod limits;
pub mod precision;
pub mod sample;
pub mod table;
pub mod time;

pub use answer::{Answer, BatchFault, FaultReason, Hold, upload_mark};
pub use batch::{Batch, Clock, ClockSource, Reason};
pub use catalogue::{Metric, MetricInfo, MetricKind, Unit};
pub use frame::{Frame, FrameError, FrameKind};
pub use ids::{AgentId, BatchId, BootId, Sequence, TableId};
pub use invitation::Invitation;
pub use precision::Precision;
pub use sample::{Network, Outcome, ProbeKind, Rung, Sample, SampleRef, Samples, SeriesIndex, Verdict};
pub use table::{Series, SeriesTable};
pub use time::{MonoMs, UnixMs};

/// Why bytes are not a table, a batch or an answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum DecodeError {
    /// The protobuf layer refused the bytes.
    #[error("not a protobuf message: {0}")]
    Protobuf(String),
    /// A field holds what the contract does not allow.
    #[error("field {field}: {fault}")]
    Field {
        /// The field's name in `rusta.proto`.
        field: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The batch names another series table than the one offered for decoding.
    #[error("batch needs series table {0}")]
    Table(TableId),
}

impl From<prost::DecodeError> for DecodeError {
    fn from(error: prost::DecodeError) -> Self {
        DecodeError::Protobuf(error.to_string())
    }
}

pub(crate) fn fault(field: &'static str, fault: &'static str) -> DecodeError {
    DecodeError::Field { field, fault }
}
