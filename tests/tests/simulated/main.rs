//! What takes a month or a country, in virtual time: the real schedule, spool, pace, admission, log and
//! engine, without programs and sockets.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cut_line;
mod hostile;
mod month;
mod now;
mod return_of_the_fleet;
mod village_reports;
mod village_year;
