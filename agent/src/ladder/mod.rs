//! The fault ladder of a link: which rungs hold, and which is the lowest broken one. Pure.
//!
//! A rung on the path (gateway to international) holds when any of its targets does; the others (power, modem, names,
//! services) only when all do. A path rung that does not answer while a higher one does is *silent*: it may refuse probes,
//! but it carries traffic, so it is no cause.

mod shown;
mod table;

use rusta_wire::Rung;
use serde::Serialize;

use crate::schedule::Standing;
pub use table::{PartLine, Report, TargetLine};

/// What is known of one rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It works.
    Holds,
    /// It does not answer, but what lies behind it does.
    Silent,
    /// It does not work.
    Broken,
    /// Nothing was learnt.
    Unknown,
}

/// Judges each rung that has targets, lowest first.
pub fn judge(targets: &[(Rung, Standing)]) -> Vec<(Rung, State)> {
    let mut rungs: Vec<Rung> = targets.iter().map(|(rung, _)| *rung).collect();
    rungs.sort();
    rungs.dedup();
    let mut judged: Vec<(Rung, State)> = Vec::new();
    for rung in rungs {
        let of_rung: Vec<Standing> = targets.iter().filter(|(r, _)| *r == rung).map(|(_, s)| *s).collect();
        judged.push((rung, judge_rung(on_path(rung), &of_rung)));
    }
    let highest_holding = judged.iter().filter(|(r, s)| on_path(*r) && *s == State::Holds).map(|(r, _)| *r).max();
    for (rung, state) in &mut judged {
        if *state == State::Broken && on_path(*rung) && Some(*rung) < highest_holding {
            *state = State::Silent;
        }
    }
    judged
}

/// Finds the lowest broken rung: the link's fault.
pub fn lowest_broken(targets: &[(Rung, Standing)]) -> Option<Rung> {
    judge(targets).into_iter().find(|(_, state)| *state == State::Broken).map(|(rung, _)| rung)
}

fn judge_rung(on_path: bool, targets: &[Standing]) -> State {
    let any = |standing| targets.contains(&standing);
    match on_path {
        true if any(Standing::Holds) => State::Holds,
        _ if any(Standing::Broken) => State::Broken,
        _ if any(Standing::Holds) => State::Holds,
        _ => State::Unknown,
    }
}

fn on_path(rung: Rung) -> bool {
    (Rung::Gateway..=Rung::International).contains(&rung)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Broken, Holds, Unknown};

    #[test]
    fn the_lowest_broken_rung_wins() {
        let targets = [(Rung::Service, Broken), (Rung::Core, Broken), (Rung::Gateway, Holds), (Rung::Pop, Broken)];
        assert_eq!(lowest_broken(&targets), Some(Rung::Pop));
        assert_eq!(lowest_broken(&[(Rung::Gateway, Holds), (Rung::Pop, Unknown)]), None);
    }

    #[test]
    fn a_gateway_that_only_refuses_pings_is_no_cause() {
        let targets = [(Rung::Gateway, Broken), (Rung::Pop, Holds), (Rung::Service, Broken)];
        assert_eq!(judge(&targets)[0], (Rung::Gateway, State::Silent));
        assert_eq!(lowest_broken(&targets), Some(Rung::Service));
    }

    #[test]
    fn one_anchor_holds_a_path_rung_and_every_service_counts() {
        assert_eq!(judge(&[(Rung::Pop, Broken), (Rung::Pop, Holds)]), [(Rung::Pop, State::Holds)]);
        assert_eq!(judge(&[(Rung::Service, Broken), (Rung::Service, Holds)]), [(Rung::Service, State::Broken)]);
        assert_eq!(judge(&[(Rung::Modem, Unknown)]), [(Rung::Modem, State::Unknown)]);
    }
}
