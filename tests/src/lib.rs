//! The test harness: starts both real programs, lays out network namespaces, speaks for whole fleets.
//!
//! ```text
//! by_hand   a snapshot whose states a story sets
//! stage     a temporary folder with a collector, its inventory and its enrolled agents   -> programs, http
//! netns     namespaces, veth pairs, loss and outage, gone when dropped
//! router    a boot of a router with wrong clocks, the real agent in it
//! decoders  every decoder of bytes from outside, with seeds to start from
//! disk      small disks to be filled
//! province  a province with an hour of everything from nearly every site, weeks of it from one
//! month     what a whole registry's agents measured and sent in a month, arrivals and losses included
//! fleet     virtual agents that speak the wire, so that one process is a province
//! hostile   a small province with one identity in other hands: the same reports with and without what it sends
//! visitor   somebody who is signed in to the pages
//! ear       gateways and mail servers that remember what the collector told them
//! ```
//! Everything a test starts ends with the test, also when it panics.

// A fault in the harness is a failed test; it may panic like one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod by_hand;
pub mod decoders;
pub mod disk;
pub mod ear;
pub mod fleet;
pub mod hostile;
pub mod http;
pub mod log;
pub mod month;
pub mod netns;
pub mod programs;
pub mod province;
pub mod random;
pub mod router;
pub mod stage;
pub mod visitor;
