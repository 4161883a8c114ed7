//! What the collector says to an upload: stored or not, the time, the pace.
//!
//! ```text
//! request body --CRC-32--> Answer.upload      the collector read this very body to its end
//! batch        ----------> Answer.faults      what is wrong with this very batch, and whether for good
//! ```
//! Only an answer that names the upload speaks of its batches. Everything else (a captive portal's page, a proxy's error, a body
//! that was cut on the way) says something about the way and nothing about a batch.

use prost::Message;

use crate::coded::coded_enum;
use crate::crc::crc32;
use crate::{BootId, DecodeError, Sequence, TableId, UnixMs, fault};

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

coded_enum! {
    /// What is wrong with one batch. Codes 1 to 63 are for good: the batch will never be taken, by any version. From 64 on it is
    /// this collector that cannot take it yet: the batch waits.
    FaultReason {
        /// Another batch with these sequence numbers and other content is stored.
        Overlap = 1, "overlap";
        /// It was measured under another identity than the certificate's.
        OtherAgent = 2, "other_agent";
        /// What it says cannot have been measured.
        Implausible = 3, "implausible";
        /// This version cannot read it: it is damaged, or of a later version.
        Unreadable = 64, "unreadable";
    }
}

impl FaultReason {
    /// Tells whether the batch will never be taken. The range says it of codes of later versions too.
    pub const fn is_permanent(self) -> bool {
        matches!(self.code(), 1..=63)
    }
}

/// One batch the collector did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFault {
    /// The boot it was measured in.
    pub boot: BootId,
    /// Its place there.
    pub sequence: Sequence,
    /// Why.
    pub reason: FaultReason,
}

/// Returns what [`Answer::upload`] says of a request with this body: its CRC-32 (IEEE).
pub fn upload_mark(body: &[u8]) -> u32 {
    crc32(&[body])
}

/// The answer to `POST /v1/batches`, protobuf in the response body with every status.
///
/// Status 200: every batch in the request is on disk (or was there already) and may be freed. 409: nothing was stored,
/// `missing_tables` must be sent in front of the batches. 422: nothing was stored, `faults` names the batches in the way. 429 and
/// 503: nothing was stored, come back after `retry_after_ms`. Otherwise nothing was stored either; `reason` says why.
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
    /// Which request it speaks of, by [`upload_mark`]. `None`: the body was not read to its end, or the collector is older than
    /// this field.
    pub upload: Option<u32>,
    /// The batches that were not taken, and why.
    pub faults: Vec<BatchFault>,
}

#[derive(Clone, PartialEq, Message)]
struct FaultMessage {
    #[prost(fixed64, tag = "1")]
    boot: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(uint32, tag = "3")]
    reason: u32,
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
    #[prost(fixed32, optional, tag = "9")]
    upload: Option<u32>,
    #[prost(message, repeated, tag = "10")]
    faults: Vec<FaultMessage>,
}

/// Largest answer an agent reads: its lists of tables and of faults are no longer than an upload has frames.
pub const ANSWER_BYTES: usize = 48 * 1024;

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
            upload: self.upload,
            faults: self
                .faults
                .iter()
                .map(|f| FaultMessage { boot: f.boot.0, sequence: f.sequence.0, reason: u32::from(f.reason.code()) })
                .collect(),
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
                2 => Hold::All,
                // A later version's hold is for something; fresh data is held by nothing but 2.
                _ => Hold::Backlog,
            },
            reason: message.reason,
            reads_dense: message.reads_dense,
            upload: message.upload,
            faults: message.faults.into_iter().map(read_fault).collect::<Result<_, _>>()?,
        })
    }
}

fn read_fault(message: FaultMessage) -> Result<BatchFault, DecodeError> {
    Ok(BatchFault {
        boot: BootId(message.boot),
        sequence: Sequence(message.sequence),
        reason: FaultReason::from_wire(message.reason).ok_or_else(|| fault("faults.reason", "not a code"))?,
    })
}
