//! What the collector says to an upload: stored or not, the time, the pace.

use prost::Message;

use crate::{DecodeError, TableId, UnixMs, fault};

/// Why the agent should wait before it sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// Nothing is in the way.
    #[default]
    None,
    /// Fresh data may come; the backlog waits.
    Backlog,
    /// Nothing may come: the collector cannot store.
    All,
}

/// The answer to `POST /v1/batches`, protobuf in the response body with every status.
///
/// Status 200: every batch in the request is on disk (or was there already) and may be freed. 409: nothing was stored,
/// `missing_tables` must be sent in front of the batches. 429 and 503: nothing was stored, come back after
/// `retry_after_ms`. 4xx otherwise: the request will never be accepted; `reason` says why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Collector time when the answer was written.
    pub server_time: UnixMs,
    /// Version of the agent's current assignment; 0 if it has none.
    pub assignment_version: u64,
    /// Tables to send before the batches that name them.
    pub missing_tables: Vec<TableId>,
    /// How long to wait before the next upload of any kind.
    pub retry_after_ms: u32,
    /// How many backlog bytes may follow in the next minute.
    pub backlog_bytes: u32,
    /// What must wait.
    pub hold: Hold,
    /// One sentence for the agent's log; empty when all is well.
    pub reason: String,
    /// The collector reads the dense coding. Said to those who sent the plain one; not said, it costs nothing.
    pub reads_dense: bool,
}

#[derive(Clone, PartialEq, Message)]
struct AnswerMessage {
    #[prost(int64, tag = "1")]
    server_unix_ms: i64,
    #[prost(fixed64, tag = "2")]
    assignment_version: u64,
    #[prost(fixed64, repeated, tag = "3")]
    missing_tables: Vec<u64>,
    #[prost(uint32, tag = "4")]
    retry_after_ms: u32,
    #[prost(uint32, tag = "5")]
    backlog_bytes: u32,
    #[prost(uint32, tag = "6")]
    hold: u32,
    #[prost(string, tag = "7")]
    reason: String,
    #[prost(bool, tag = "8")]
    reads_dense: bool,
}

/// Largest answer an agent reads: it has no table list longer than an upload has frames.
pub const ANSWER_BYTES: usize = 16 * 1024;

impl Answer {
    /// Returns the answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        AnswerMessage {
            server_unix_ms: self.server_time.0,
            assignment_version: self.assignment_version,
            missing_tables: self.missing_tables.iter().map(|t| t.0).collect(),
            retry_after_ms: self.retry_after_ms,
            backlog_bytes: self.backlog_bytes,
            hold: match self.hold {
                Hold::None => 0,
                Hold::Backlog => 1,
                Hold::All => 2,
            },
            reason: self.reason.clone(),
            reads_dense: self.reads_dense,
        }
        .encode_to_vec()
    }

    /// Reads an answer of at most [`ANSWER_BYTES`].
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > ANSWER_BYTES {
            return Err(fault("reason", "answer is too long"));
        }
        let message = AnswerMessage::decode(bytes)?;
        Ok(Answer {
            server_time: UnixMs(message.server_unix_ms),
            assignment_version: message.assignment_version,
            missing_tables: message.missing_tables.into_iter().map(TableId).collect(),
            retry_after_ms: message.retry_after_ms,
            backlog_bytes: message.backlog_bytes,
            hold: match message.hold {
                0 => Hold::None,
                1 => Hold::Backlog,
                2 => Hold::All,
                _ => return Err(fault("hold", "unknown")),
            },
            reason: message.reason,
            reads_dense: message.reads_dense,
        })
    }
}
