//! What pages and the API say, as plain structs: pure functions of a [`Snapshot`](crate::engine::Snapshot), history and KPI figures.
//!
//! The API serialises these structs and the pages print them, so a number on a page is the number of the API. Every
//! function takes a [`Sight`]: what lies outside a person's region is not filtered later, it is never built.
//!
//! Nothing here knows a language, a clock, HTTP or a database.

mod agents;
mod attention;
mod declared;
mod detail;
mod figures;
mod incidents;
mod ladder;
mod past;
mod places;
mod rows;
mod services;
mod sight;
mod tally;
mod time;
mod word;

pub use agents::{AgentFilter, AgentRow, AssignmentRow, Limited, PlanRow, agents};
pub use attention::{Attention, attention};
pub use declared::{DeclaredView, declared};
pub use detail::{LinkDetail, SiteDetail, TargetRow, VillageNow, site_detail};
pub use figures::{DefinitionView, FigureView};
pub use incidents::{AffectedRow, IncidentRank, IncidentRow, RankedCause, StoryLine, affected_rows, story};
pub use ladder::{Ladder, Step, StepState, ladder};
pub use past::{GaugeName, GaugePast, GaugeSlot, LinkPast, OutageView, RoundView, SitePast, StateSpan};
pub use places::{Place, RegionRow, children, children_of, path_to, place, roots};
pub use rows::{CauseView, SiteFilter, SiteRow, Slice, site_row, sites};
pub use services::{CountyServices, ServiceRow, ServiceState, services, services_by_county};
pub use sight::Sight;
pub use tally::{Counts, LinkCounts, SiteCounts, Tally, VillageCounts};
pub use time::Time;
pub use word::Word;
