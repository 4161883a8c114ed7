//! The registry: regions, sites, links, shared nodes, services, profiles, declared figures and goals, as one immutable
//! version.
//!
//! An [`Inventory`] is valid by construction: every reference is an index that exists. Indices ([`RegionId`],
//! [`SiteId`], [`LinkId`], [`NodeId`]) are dense and hold only inside one version; what joins versions is the code
//! (`previous_code` when it changed).

mod model;

pub use model::*;
