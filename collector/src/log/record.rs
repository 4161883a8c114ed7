//! A record of the log as its readers get it.

use std::sync::Arc;

use bytes::Bytes;
use rusta_wire::batch::Head;
use rusta_wire::{AgentId, Batch, DecodeError, Frame, MonoMs, SampleRef, Samples, Series, SeriesTable, TableId, UnixMs};

/// A record's place in the total order of records as received, from 1; 0 stands before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

/// One batch in the log.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its place.
    pub position: Position,
    /// When it arrived.
    pub received_at: UnixMs,
    /// The site the agent's certificate spoke for when it arrived.
    pub site_code: Arc<str>,
    /// The part of the batch that needs no table.
    pub head: Head,
    /// Unix time of its boot's monotonic zero, as seen by the request that carried it: the agent said in the request how
    /// long its boot had lasted. `None` for a batch of an earlier boot, or from an agent that did not say.
    pub live_offset_ms: Option<i64>,
    /// The frame as it arrived.
    pub frame: Bytes,
    /// The names of its samples.
    pub table: Arc<SeriesTable>,
    /// What those names are called.
    pub table_id: TableId,
}

impl Stored {
    /// Returns the agent that measured.
    pub fn agent(&self) -> AgentId {
        self.head.id.agent
    }

    /// Decodes the samples.
    ///
    /// # Errors
    /// Bytes that were damaged at rest: what is damaged on arrival is refused there.
    pub fn batch(&self) -> Result<Batch, DecodeError> {
        Ok(self.flat_batch()?.into())
    }

    /// Decodes the samples, their values in one piece. Samples this version does not understand, because their series or
    /// their outcome has a code of a later one, are left out: the frame keeps them for the version that does. What
    /// lies outside of the batch's interval is left out too: the batch is dated by its interval, so nobody has dated that.
    ///
    /// # Errors
    /// As [`Stored::batch`].
    pub fn flat_batch(&self) -> Result<Batch<Samples>, DecodeError> {
        let (frame, _) = Frame::read(&self.frame).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
        let batch = Batch::decode_flat(&frame.payload, &self.table, self.table_id)?.0;
        let counts = |sample: &SampleRef<'_>| {
            sample.outcome.is_known()
                && is_inside(&self.head, sample.at)
                && self.table.series.get(usize::from(sample.series.0)).is_some_and(Series::is_known)
        };
        if batch.samples.iter().all(|sample| counts(&sample)) {
            return Ok(batch);
        }
        Ok(batch.with_samples(batch.samples.iter().filter(counts).collect()))
    }
}

/// How far outside of its batch's interval a sample may lie: a round that was under way when the batch was closed.
const UNDER_WAY_MS: u64 = 3_600_000;

/// Tells whether a time of the boot lies in the interval of a batch, with room for rounds under way and for the stretch of a
/// summary.
pub fn is_inside(head: &Head, at: MonoMs) -> bool {
    let room = UNDER_WAY_MS + u64::from(head.summary_s) * 1000;
    head.from.0.saturating_sub(room) <= at.0 && at.0 <= head.until.0.saturating_add(room)
}
