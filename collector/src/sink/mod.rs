//! Time-series databases as copies: each sink tails the log with its own cursor, so a dead database delays only itself and
//! loses nothing the log still has.
//!
//! ```text
//! log --cursor--> points --line protocol--> delivery --> InfluxDB 1, 2, 3, VictoriaMetrics
//! snapshot, once a minute --> owed (on disk) ----^
//! ```

pub mod delivery;
pub mod line;
pub mod points;
pub mod queue;
pub mod schema;
pub mod tail;
