//! What a stolen router, a stranger and a password can do to the real collector: each attack runs against the program under a
//! memory cap, and says how many inputs it tried.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod floods;
mod guesses;
mod identities;
mod stand;
mod times;
mod visitors;
mod workbooks;
