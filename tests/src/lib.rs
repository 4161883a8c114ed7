//! The test harness: starts both real programs, lays out network namespaces, simulates fleets.
