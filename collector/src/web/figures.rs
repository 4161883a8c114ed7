//! Answers questions about KPIs: one way for pages and the API.

use super::state::WebState;
use crate::engine::Snapshot;
use crate::inventory::RegionId;
use crate::kpi::{self, Figure, Kpi, View, Weight, connected_share_now};
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
    let all = match question.period {
        Period::Now if asked(connected_share_now::KPI.id) => connected_share_now::figures(snapshot, question.weight, web.now_max_age),
        Period::Now | Period::Last24h => Vec::new(),
        period => of_period(web, snapshot, period, question),
    };
    let located = all.into_iter().filter_map(|figure: Figure| inventory.region_by_code(&figure.region).map(|id| (id, figure)));
    located
        .filter(|(id, _)| sight.sees_region(inventory, *id) && question.region.is_none_or(|wanted| wanted == *id))
        .map(|(id, figure)| FigureView::of(inventory, id, &figure, Time(snapshot.at)))
        .collect()
}

/// Computes the figures of a past window, each day on the map of its time.
fn of_period(web: &WebState, snapshot: &Snapshot, period: Period, question: &Question) -> Vec<Figure> {
    let facts = match web.book.facts(period, View::AsWas, snapshot.at) {
        Ok(facts) => facts,
        Err(error) => {
            tracing::warn!(%error, %period, "facts of a period cannot be read");
            return Vec::new();
        }
    };
    let region = question.region.map(|id| snapshot.inventory.region(id).code.as_str());
    let ask = kpi::Ask { region, weight: question.weight, by: None };
    let asked = kpi::CATALOGUE.iter().filter(|kpi| question.kpi.is_none_or(|wanted| wanted.id == kpi.id));
    asked.flat_map(|kpi| kpi::answer(kpi, &facts, ask)).collect()
}
