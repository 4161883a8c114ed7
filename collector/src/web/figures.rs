//! Answers questions about KPIs: one way for pages and the API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusta_wire::UnixMs;

use super::state::WebState;
use crate::engine::Snapshot;
use crate::inventory::RegionId;
use crate::kpi::explain::{self, Explanation};
use crate::kpi::{self, Ask, Breakdown, Facts, Figure, Kpi, Status, View, Weight, connected_share_now};
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
    /// A breakdown; figures that do not have it are left out.
    pub by: Option<Breakdown>,
    /// A version of the definition; the one in force when the window began if not given.
    pub version: Option<u32>,
}

impl Question {
    fn asks(&self, kpi: &Kpi) -> bool {
        self.kpi.is_none_or(|wanted| wanted.id == kpi.id) && self.by.is_none_or(|by| kpi.by.contains(&by))
    }

    fn ask<'a>(&self, snapshot: &'a Snapshot) -> Ask<'a> {
        let region = self.region.map(|id| snapshot.inventory.region(id).code.as_str());
        Ask { region, weight: self.weight, by: self.by, version: self.version }
    }
}

/// Computes the figures somebody may see.
pub fn figures(web: &WebState, snapshot: &Snapshot, sight: Sight, question: &Question) -> Vec<FigureView> {
    let inventory = &snapshot.inventory;
    let (all, at) = match question.period {
        Period::Now if question.asks(&connected_share_now::KPI) => {
            (connected_share_now::answer(snapshot, question.ask(snapshot)), snapshot.at)
        }
        Period::Now => (Vec::new(), snapshot.at),
        period => of_period(web, snapshot, period, question),
    };
    let located = all.into_iter().filter_map(|figure: Figure| inventory.region_by_code(&figure.region).map(|id| (id, figure)));
    located
        .filter(|(id, _)| sight.sees_region(inventory, *id))
        .map(|(id, figure)| FigureView::of(inventory, id, &figure, Time(at)))
        .collect()
}

/// Computes the figures of a window, each day on the map of its time, and says as of when they hold: those of a running one
/// as of when its facts were read.
fn of_period(web: &WebState, snapshot: &Snapshot, period: Period, question: &Question) -> (Vec<Figure>, UnixMs) {
    let facts = match web.book.facts(period, View::AsWas, snapshot.at) {
        Ok(facts) => facts,
        Err(error) => {
            tracing::warn!(%error, %period, "facts of a period cannot be read");
            return (Vec::new(), snapshot.at);
        }
    };
    let at = if facts.status == Status::Live { facts.read_at } else { snapshot.at };
    let asked = kpi::CATALOGUE.iter().filter(|kpi| question.asks(kpi));
    (asked.flat_map(|kpi| web.answers.answer(kpi, &facts, question.ask(snapshot)).to_vec()).collect(), at)
}

/// Explains a figure of one region by the numbers that made it, and says as of when they hold; `None` if its facts cannot be
/// read. Whether the caller sees the region is for the caller to ask.
pub fn explained(web: &WebState, snapshot: &Snapshot, kpi: &Kpi, question: &Question) -> Option<(Explanation, Time)> {
    let of_now = matches!(kpi.measures.first(), Some(kpi::Measure::Now(_)));
    match question.period {
        Period::Now if of_now => Some((explain::explain_now(snapshot, question.ask(snapshot)), Time(snapshot.at))),
        Period::Now => Some((Explanation { figures: Vec::new(), rows: Vec::new() }, Time(snapshot.at))),
        period => {
            let facts = web.book.facts(period, View::AsWas, snapshot.at).ok()?;
            let at = if facts.status == Status::Live { facts.read_at } else { snapshot.at };
            Some((explain::explain(kpi, &facts, question.ask(snapshot)), Time(at)))
        }
    }
}

/// One KPI's question: its id, a region, a weight, a breakdown, a version.
type Key = (&'static str, Option<String>, Weight, Option<Breakdown>, Option<u32>);

/// Questions kept about one window; beyond that the figures are computed again.
const MOST: usize = 4_096;

/// Figures that were computed, kept as long as the facts they were computed from: pages and API answer from the same.
#[derive(Default)]
pub struct Answers {
    of_facts: Mutex<Vec<OfFacts>>,
}

/// The answers from one window's facts.
type OfFacts = (Weak<Facts>, HashMap<Key, Arc<[Figure]>>);

impl Answers {
    fn answer(&self, kpi: &'static Kpi, facts: &Arc<Facts>, ask: Ask<'_>) -> Arc<[Figure]> {
        let key = (kpi.id, ask.region.map(str::to_owned), ask.weight, ask.by, ask.version);
        let is_of = |(of, _): &&mut OfFacts| std::ptr::eq(of.as_ptr(), Arc::as_ptr(facts));
        if let Some((_, known)) = self.lock().iter_mut().find(is_of)
            && let Some(figures) = known.get(&key)
        {
            return Arc::clone(figures);
        }
        let figures: Arc<[Figure]> = kpi::answer(kpi, facts, ask).into();
        let mut all = self.lock();
        all.retain(|(of, _)| of.strong_count() > 0);
        if all.iter_mut().find(is_of).is_none() {
            all.push((Arc::downgrade(facts), HashMap::new()));
        }
        if let Some((_, known)) = all.iter_mut().find(is_of).filter(|(_, known)| known.len() < MOST) {
            known.insert(key, Arc::clone(&figures));
        }
        figures
    }

    /// Takes the list also after a panic under it: what it holds is whole.
    fn lock(&self) -> MutexGuard<'_, Vec<OfFacts>> {
        self.of_facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
