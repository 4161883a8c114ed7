//! What a person may do.

use crate::inventory::word_enum;

word_enum! {
    /// A role; each may do what the ones before it may.
    Role {
        /// Looks and exports.
        Viewer = "viewer",
        /// Also works on incidents and announces maintenance.
        Operator = "operator",
        /// Also administers people, tokens and the inventory.
        Admin = "admin",
    }
}
