//! What the source says about itself: which module may use which.

mod arrows;
