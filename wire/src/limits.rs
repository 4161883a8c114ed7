//! The bounds of the contract, each with its reason. Both sides enforce them; a decoder never allocates past them.

/// Largest frame payload. A day of hourly reports from a county node with 400 targets fits; a router can hold it in RAM.
pub const FRAME_PAYLOAD_BYTES: usize = 64 * 1024;

/// Most series in one table. A county node probes a few hundred villages with several targets each.
pub const SERIES_PER_TABLE: usize = 8_192;

/// Most metrics in one series: their absence is a 64-bit mask.
pub const METRICS_PER_SERIES: usize = 64;

/// Most samples in one batch.
pub const SAMPLES_PER_BATCH: usize = 16_384;

/// Most values in one batch after decoding: 16 bytes each, so one batch never needs more than 1 MiB for them.
pub const VALUES_PER_BATCH: usize = 65_536;

/// Longest link or target name, in bytes. Persian names take two bytes a letter.
pub const NAME_BYTES: usize = 128;

/// Most frames in one upload: with the body bound below it keeps one request's work small.
pub const FRAMES_PER_UPLOAD: usize = 1_024;

/// Largest body of one upload.
pub const UPLOAD_BYTES: usize = 256 * 1024;
