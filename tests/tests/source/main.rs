//! What the source says about itself: which module may use which.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arrows;
