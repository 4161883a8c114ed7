//! Spans of one state, and the seconds in them.

use std::ops::{Add, AddAssign};

use rusta_wire::UnixMs;

use crate::engine::{Cause, LinkState, SiteState, VillageState};

/// A stretch of time in one state, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span<S> {
    /// Start.
    pub from: UnixMs,
    /// End.
    pub until: UnixMs,
    /// The state.
    pub state: S,
    /// Why, if it is not up and a reason is known.
    pub cause: Option<Cause>,
}

/// `Tu Tg Td Tx Tm Tn`: seconds in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StateSeconds {
    /// `Tu`: up, connected.
    pub up: u64,
    /// `Tg`: degraded, on its backup only, partial.
    pub degraded: u64,
    /// `Td`: down, disconnected.
    pub down: u64,
    /// `Tx`: unknown.
    pub unknown: u64,
    /// `Tm`: in a window announced at least a day ahead.
    pub maintenance: u64,
    /// `Tn`: not in service.
    pub not_in_service: u64,
}

/// The six classes of state seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Up,
    Degraded,
    Down,
    Unknown,
    Maintenance,
    NotInService,
}

/// A state whose seconds are counted.
pub(super) trait Counted: Copy + PartialEq {
    /// Adds seconds in this state.
    fn add_to(self, seconds: &mut StateSeconds, count: u64);
    /// Tells whether this is an outage.
    fn is_down(self) -> bool;
    /// Tells whether this was measured: up, degraded, down, or looked for and unknown; not maintenance, not closed.
    fn is_measured(self) -> bool;
    /// Tells whether this is announced work.
    fn is_work(self) -> bool;
    /// Tells whether this ends an outage by measurement.
    fn is_carried(self) -> bool;
}

macro_rules! counted {
    ($state:ty { $($variant:ident => $class:ident,)+ }) => {
        impl Counted for $state {
            fn add_to(self, seconds: &mut StateSeconds, count: u64) {
                seconds.add_class(match self { $(<$state>::$variant => Class::$class,)+ }, count);
            }
            fn is_down(self) -> bool {
                matches!(match self { $(<$state>::$variant => Class::$class,)+ }, Class::Down)
            }
            fn is_measured(self) -> bool {
                !matches!(match self { $(<$state>::$variant => Class::$class,)+ }, Class::Maintenance | Class::NotInService)
            }
            fn is_work(self) -> bool {
                matches!(match self { $(<$state>::$variant => Class::$class,)+ }, Class::Maintenance)
            }
            fn is_carried(self) -> bool {
                matches!(match self { $(<$state>::$variant => Class::$class,)+ }, Class::Up | Class::Degraded)
            }
        }
    };
}

counted!(LinkState {
    Up => Up, Degraded => Degraded, Down => Down, Flapping => Degraded, Unknown => Unknown, Maintenance => Maintenance,
    NotInService => NotInService,
});
counted!(SiteState {
    Up => Up, Degraded => Degraded, BackupOnly => Degraded, Down => Down, Unknown => Unknown, Maintenance => Maintenance,
    NotInService => NotInService,
});
counted!(VillageState { Connected => Up, Partial => Degraded, Disconnected => Down, Unknown => Unknown, });

impl StateSeconds {
    /// Returns `Tk`, the seconds something was measured to be up, degraded or down.
    pub fn known(&self) -> u64 {
        self.up + self.degraded + self.down
    }

    /// Returns the seconds without those of a part of them.
    pub fn without(self, part: StateSeconds) -> StateSeconds {
        StateSeconds {
            up: self.up.saturating_sub(part.up),
            degraded: self.degraded.saturating_sub(part.degraded),
            down: self.down.saturating_sub(part.down),
            unknown: self.unknown.saturating_sub(part.unknown),
            maintenance: self.maintenance.saturating_sub(part.maintenance),
            not_in_service: self.not_in_service.saturating_sub(part.not_in_service),
        }
    }

    /// Returns the seconds it carried traffic.
    pub fn carried(&self) -> u64 {
        self.up + self.degraded
    }

    /// Returns all seconds.
    pub fn total(&self) -> u64 {
        self.known() + self.unknown + self.maintenance + self.not_in_service
    }

    /// Returns `Tk / (Tk + Tx)`; `None` if both are zero.
    pub fn known_ratio(&self) -> Option<f64> {
        let asked = self.known() + self.unknown;
        (asked > 0).then(|| self.known() as f64 / asked as f64)
    }

    fn add_class(&mut self, class: Class, count: u64) {
        *match class {
            Class::Up => &mut self.up,
            Class::Degraded => &mut self.degraded,
            Class::Down => &mut self.down,
            Class::Unknown => &mut self.unknown,
            Class::Maintenance => &mut self.maintenance,
            Class::NotInService => &mut self.not_in_service,
        } += count;
    }
}

impl AddAssign for StateSeconds {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Add for StateSeconds {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        StateSeconds {
            up: self.up + other.up,
            degraded: self.degraded + other.degraded,
            down: self.down + other.down,
            unknown: self.unknown + other.unknown,
            maintenance: self.maintenance + other.maintenance,
            not_in_service: self.not_in_service + other.not_in_service,
        }
    }
}

/// Cuts spans to a window, in whole seconds towards the past.
pub(super) fn clipped<S: Counted>(spans: &[Span<S>], from: UnixMs, until: UnixMs) -> Vec<Span<S>> {
    let whole = |at: UnixMs| UnixMs::from_seconds(at.seconds());
    let cut = |span: &Span<S>| Span { from: span.from.max(whole(from)), until: span.until.min(whole(until)), ..*span };
    spans.iter().map(cut).filter(|span| span.from < span.until).collect()
}

/// Sums the seconds of spans.
pub(super) fn seconds_of<S: Counted>(spans: &[Span<S>]) -> StateSeconds {
    let mut seconds = StateSeconds::default();
    for span in spans {
        span.state.add_to(&mut seconds, u64::try_from(span.until.seconds() - span.from.seconds()).unwrap_or(0));
    }
    seconds
}

/// Appends a span, or lengthens the last one if it says the same.
pub(super) fn append<S: Counted>(spans: &mut Vec<Span<S>>, span: Span<S>) {
    match spans.last_mut() {
        _ if span.from >= span.until => {}
        Some(last) if last.until == span.from && last.state == span.state && last.cause == span.cause => last.until = span.until,
        _ => spans.push(span),
    }
}

/// Finds the span that holds at `at`, from the place a sweep has come to.
pub(super) fn at<S: Counted>(spans: &[Span<S>], at: UnixMs) -> Option<&Span<S>> {
    let place = spans.partition_point(|span| span.until <= at);
    spans.get(place).filter(|span| span.from <= at)
}

/// Lists every time at which any of the lists changes, with the window's own bounds.
pub(super) fn edges<'a, S: Counted + 'a>(lists: impl Iterator<Item = &'a [Span<S>]>, from: UnixMs, until: UnixMs) -> Vec<UnixMs> {
    let inner = lists.flatten().map(|span| span.from).filter(|edge| from < *edge && *edge < until);
    let mut edges: Vec<UnixMs> = inner.chain([from, until]).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}
