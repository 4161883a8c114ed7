//! The series table: what the numbers in a batch are about. It travels once per content, addressed by its hash.

use prost::Message;

use crate::ids::TableId;
use crate::sample::{Network, ProbeKind, Rung, SampleRef};
use crate::{DecodeError, Metric, fault, limits};

/// One target as measured on one link: the owner of a column group in a batch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Series {
    /// The link's name at its site, as in `links.csv`.
    pub link: String,
    /// The network the link belongs to.
    pub network: Network,
    /// The target's name, unique within the agent. A device's part follows a slash: `router/eth0`.
    pub target: String,
    /// The site the target stands for when this agent is a vantage that probes towards another site; empty otherwise.
    pub towards: String,
    /// The rung the target proves.
    pub rung: Rung,
    /// How it is probed.
    pub probe: ProbeKind,
    /// Seconds between rounds when nothing is wrong; bounds how long a sample is evidence.
    pub interval_s: u32,
    /// What each sample holds, in this order.
    pub metrics: Vec<Metric>,
}

impl Series {
    /// Tells whether this version knows what the series is about. Nothing may be concluded from one that it does not.
    pub const fn is_known(&self) -> bool {
        self.network.is_known() && self.rung.is_known() && self.probe.is_known()
    }

    /// Reads one metric of a sample of this series; `None` if the series lacks it or the round had no reply.
    pub fn value<'a>(&self, sample: impl Into<SampleRef<'a>>, metric: Metric) -> Option<i64> {
        let place = self.metrics.iter().position(|m| *m == metric)?;
        sample.into().values.get(place).copied().flatten()
    }
}

/// The names of every series an agent measures under one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeriesTable {
    /// In the order the batch columns follow.
    pub series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct SeriesMessage {
    #[prost(string, tag = "1")]
    link: String,
    #[prost(uint32, tag = "2")]
    network: u32,
    #[prost(string, tag = "3")]
    target: String,
    #[prost(uint32, tag = "4")]
    rung: u32,
    #[prost(uint32, tag = "5")]
    probe: u32,
    #[prost(uint32, tag = "6")]
    interval_s: u32,
    #[prost(uint32, repeated, tag = "7")]
    metrics: Vec<u32>,
    #[prost(string, tag = "8")]
    towards: String,
}

#[derive(Clone, PartialEq, Message)]
struct TableMessage {
    #[prost(message, repeated, tag = "1")]
    series: Vec<SeriesMessage>,
}

impl SeriesTable {
    /// Returns the table's bytes. Equal tables give equal bytes, so [`SeriesTable::id`] is the same on both sides.
    pub fn encode(&self) -> Vec<u8> {
        let series = self
            .series
            .iter()
            .map(|s| SeriesMessage {
                link: s.link.clone(),
                network: u32::from(s.network.code()),
                target: s.target.clone(),
                rung: u32::from(s.rung.code()),
                probe: u32::from(s.probe.code()),
                interval_s: s.interval_s,
                metrics: s.metrics.iter().map(|m| u32::from(m.code())).collect(),
                towards: s.towards.clone(),
            })
            .collect();
        TableMessage { series }.encode_to_vec()
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Anything that is not a table within [`limits`]. A network, rung, probe or metric of a later version is kept by its code.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > limits::FRAME_PAYLOAD_BYTES {
            return Err(fault("series", "more bytes than a frame may hold"));
        }
        let message = TableMessage::decode(bytes)?;
        if message.series.len() > limits::SERIES_PER_TABLE {
            return Err(fault("series", "too many"));
        }
        let series = message.series.into_iter().map(read_series).collect::<Result<_, _>>()?;
        Ok(SeriesTable { series })
    }

    /// Returns the content hash of the table as this version encodes it. One that came from elsewhere, perhaps with fields of a
    /// later version, is named by the bytes it came in: [`TableId::of`].
    pub fn id(&self) -> TableId {
        TableId::of(&self.encode())
    }
}

impl TableId {
    /// Hashes an encoded table (FNV-1a, 64 bits). It names content of one agent for itself; it defends against nothing.
    pub fn of(encoded: &[u8]) -> TableId {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        TableId(encoded.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME)))
    }
}

fn read_series(message: SeriesMessage) -> Result<Series, DecodeError> {
    let name_fits = |name: &str| !name.is_empty() && name.len() <= limits::NAME_BYTES && !name.chars().any(char::is_control);
    if !name_fits(&message.link) {
        return Err(fault("series.link", "empty, too long, or with control characters"));
    }
    if !name_fits(&message.target) {
        return Err(fault("series.target", "empty, too long, or with control characters"));
    }
    if !message.towards.is_empty() && !name_fits(&message.towards) {
        return Err(fault("series.towards", "too long, or with control characters"));
    }
    if message.metrics.len() > limits::METRICS_PER_SERIES {
        return Err(fault("series.metrics", "more than 64"));
    }
    let metrics = message
        .metrics
        .iter()
        .map(|code| Metric::from_wire(*code).ok_or_else(|| fault("series.metrics", "not a code")))
        .collect::<Result<_, _>>()?;
    Ok(Series {
        link: message.link,
        network: Network::from_wire(message.network).ok_or_else(|| fault("series.network", "not a code"))?,
        target: message.target,
        towards: message.towards,
        rung: Rung::from_wire(message.rung).ok_or_else(|| fault("series.rung", "not a code"))?,
        probe: ProbeKind::from_wire(message.probe).ok_or_else(|| fault("series.probe", "not a code"))?,
        interval_s: message.interval_s,
        metrics,
    })
}
