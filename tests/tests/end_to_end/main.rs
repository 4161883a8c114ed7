//! Tests that run both real programs, most of them in network namespaces.

mod harness;
