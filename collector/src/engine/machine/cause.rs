//! The fault ladder: the lowest broken rung is the cause, with a confidence that says how it is known.

use rusta_wire::{Metric, Rung, UnixMs};

use super::facts::Facts;
use super::reach::{Reach, Run};
use crate::engine::state::Cause;
use crate::inventory::Access;

/// Weaker than this an LTE signal is unusable (domain's bands); with 3 dB of hysteresis left to the band's edge.
const UNUSABLE_RSRP_DBM: i64 = -118;

/// Finds the lowest broken rung among device facts and fresh targets; `None` if none is broken.
pub(super) fn lowest_broken(reach: &Reach, facts: &Facts, access: Option<Access>, at: UnixMs) -> Option<Cause> {
    device_rung(facts, at).or_else(|| interface_gone(reach, access)).or_else(|| path_rung(reach, facts, at))
}

/// Finds a rung at the site that a device itself calls broken.
fn device_rung(facts: &Facts, at: UnixMs) -> Option<Cause> {
    let gauge = |metric| facts.gauge(metric, at);
    let cause = |rung, confidence| Some(Cause { rung, confidence });
    if facts.on_battery(at) {
        return cause(Rung::Power, 75);
    }
    if gauge(Metric::ModemPresent) == Some(0) {
        return cause(Rung::Modem, 90);
    }
    if gauge(Metric::SimState).is_some_and(|state| state != 1) {
        return cause(Rung::Sim, 95);
    }
    // TS 27.007 10.1.22: 3 is registration denied; good radio but no right to use it.
    if gauge(Metric::Registration) == Some(3) {
        return cause(Rung::Sim, 90);
    }
    if let (Some(used), Some(limit)) = (gauge(Metric::PlanUsedKib), gauge(Metric::PlanLimitKib))
        && limit > 0
        && used >= limit
    {
        return cause(Rung::Sim, 85);
    }
    if matches!(gauge(Metric::Registration), Some(0 | 2)) || gauge(Metric::Rat) == Some(0) {
        return cause(Rung::Radio, 90);
    }
    if gauge(Metric::BearerUp) == Some(0) {
        return cause(Rung::Bearer, 90);
    }
    if gauge(Metric::RsrpDbm).is_some_and(|rsrp| rsrp <= UNUSABLE_RSRP_DBM) {
        return cause(Rung::Radio, 65);
    }
    None
}

/// Finds a link whose interface is not there: the modem on mobile access, else the router.
fn interface_gone(reach: &Reach, access: Option<Access>) -> Option<Cause> {
    let mut anchors = reach.own_fresh_runs().filter(|run| run.anchor).peekable();
    anchors.peek()?;
    let mobile = matches!(access, Some(Access::Gsm | Access::Umts | Access::Lte | Access::TdLte | Access::Nr));
    let rung = if mobile { Rung::Modem } else { Rung::Device };
    anchors.all(|run| run.link_gone).then_some(Cause { rung, confidence: 70 })
}

/// Finds the lowest rung on the path whose targets all fail.
///
/// A rung below that holds makes it sure. Without one the fault may lie lower, where nobody looks.
fn path_rung(reach: &Reach, facts: &Facts, at: UnixMs) -> Option<Cause> {
    let on = |rung: Rung| reach.own_fresh_runs().filter(move |run| run.rung() == rung);
    let path = Rung::ALL.iter().copied().filter(|rung| *rung >= Rung::Gateway);
    let broken = path.clone().find(|rung| on(*rung).next().is_some() && on(*rung).all(Run::fails));
    let said = facts.gauge(Metric::BrokenRung, at).and_then(|code| u32::try_from(code).ok()).and_then(Rung::from_code);
    let Some(rung) = broken else {
        return said.filter(|rung| *rung > Rung::Collector).map(|rung| Cause { rung, confidence: 60 });
    };
    if let Some(lower) = said.filter(|said| *said > Rung::Collector && *said < rung) {
        return Some(Cause { rung: lower, confidence: 75 });
    }
    let holds_below = path.take_while(|lower| *lower < rung).any(|lower| on(lower).any(|run| run.answers > 0));
    let bearer_holds = facts.gauge(Metric::BearerUp, at) == Some(1);
    let others_above_fail = reach.own_fresh_runs().filter(|run| run.anchor && run.rung() > rung).all(Run::fails);
    let confidence = match (holds_below || bearer_holds, others_above_fail) {
        (true, true) => 90,
        // Something further along answers, so the rung's own target may merely be deaf.
        (_, false) => 50,
        (false, true) => 60,
    };
    Some(Cause { rung, confidence })
}
