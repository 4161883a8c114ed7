//! What takes a month or a country, in virtual time: the real spool, pace, admission and log, without programs and sockets.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod month;
mod return_of_the_fleet;
