//! The fault ladder of a link: which rungs hold, which one is broken, and what stands above it.

use rusta_wire::{Rung, Verdict};
use serde::Serialize;
use utoipa::ToSchema;

use super::Word;
use crate::engine::{LinkView, TargetView};

/// What is known of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// A target on it answered.
    Holds,
    /// The lowest rung that failed: the place of the fault.
    Broken,
    /// It failed too, but a lower one explains it.
    Above,
    /// No target stands on it, or nothing was learnt.
    Unmeasured,
}

/// One rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// Which rung.
    #[schema(value_type = String, example = "gateway")]
    pub rung: Word<Rung>,
    /// Its cause code.
    pub code: &'static str,
    /// What is known of it.
    pub state: StepState,
}

/// All rungs above the collector's own, lowest first.
pub type Ladder = Vec<Step>;

/// Reads the ladder off a link: its last rounds, and the cause the engine settled on.
pub fn ladder(link: &LinkView) -> Ladder {
    let failed = |rung| verdict(&link.targets, rung) == Some(Verdict::Failure);
    let lowest_failed = rungs().find(|rung| failed(*rung));
    let broken = link.cause.map(|cause| cause.rung).or(lowest_failed);
    rungs().map(|rung| Step { rung: Word(rung), code: rung.cause_code(), state: step_state(&link.targets, rung, broken) }).collect()
}

fn step_state(targets: &[TargetView], rung: Rung, broken: Option<Rung>) -> StepState {
    if broken == Some(rung) {
        return StepState::Broken;
    }
    match verdict(targets, rung) {
        Some(Verdict::Success) => StepState::Holds,
        Some(Verdict::Failure) => StepState::Above,
        _ => StepState::Unmeasured,
    }
}

/// One success proves a rung; failures count only when nothing on it succeeded.
fn verdict(targets: &[TargetView], rung: Rung) -> Option<Verdict> {
    let verdicts: Vec<_> = targets.iter().filter(|target| target.rung == rung).map(|target| target.outcome.verdict()).collect();
    [Verdict::Success, Verdict::Failure, Verdict::NoEvidence].into_iter().find(|verdict| verdicts.contains(verdict))
}

fn rungs() -> impl Iterator<Item = Rung> {
    Rung::ALL.iter().copied().filter(|rung| *rung != Rung::Collector)
}
