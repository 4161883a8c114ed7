//! Answers questions about KPIs: one way for pages and the API.

use super::state::WebState;
use crate::engine::Snapshot;
use crate::inventory::RegionId;
use crate::kpi::{self, Figure, Kpi, Weight, connected_share_now};
use crate::persian::Period;
use crate::view::{FigureView, Sight, Time};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// One KPI, or all of them.
    pub kpi: Option<&'static Kpi>,
    /// One region, or every level above the village.
    pub region: Option<RegionId>,
    /// The window.
    pub period: Period,
    /// What one object counts for.
    pub weight: Weight,
}

/// Computes the figures somebody may see.
pub fn figures(web: &WebState, snapshot: &Snapshot, sight: Sight, question: &Question) -> Vec<FigureView> {
    let inventory = &snapshot.inventory;
    let asked = |id: &str| question.kpi.is_none_or(|kpi| kpi.id == id);
    let now = kpi::CATALOGUE.iter().filter(|kpi| asked(kpi.id) && question.period == Period::Now && kpi.id == connected_share_now::KPI.id);
    let all = now.flat_map(|_| connected_share_now::figures(snapshot, question.weight, web.now_max_age));
    let located = all.filter_map(|figure: Figure| inventory.region_by_code(&figure.region).map(|id| (id, figure)));
    located
        .filter(|(id, _)| sight.sees_region(inventory, *id) && question.region.is_none_or(|wanted| wanted == *id))
        .map(|(id, figure)| FigureView::of(inventory, id, &figure, Time(snapshot.at)))
        .collect()
}
