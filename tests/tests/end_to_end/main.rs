//! Tests that run both real programs, most of them in network namespaces.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alertmanager;
mod assignments;
mod bad_input;
mod browser;
mod calls;
mod clocks;
mod container;
mod contract;
mod dashboards;
mod detection;
mod devices;
mod directories;
mod disk;
mod door;
mod enrolment;
mod examples;
mod front;
mod harness;
mod imports;
mod kills;
mod lab;
mod manual;
mod names;
mod openwrt;
mod packages;
mod policies;
mod private_files;
mod renewal;
mod routes;
mod run_script;
mod schemathesis;
mod sims;
mod spool;
mod strangers;
mod supply;
mod uplinks;
mod villages;
