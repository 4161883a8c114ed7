//! How a state looks: one tone for its colour and one icon for its shape, always beside its word.

use crate::engine::{AgentState, LinkState, SiteState, VillageState};
use crate::view::StepState;

/// A colour of the style sheet and the icon that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tone {
    /// Works.
    Good,
    /// Works badly.
    Weak,
    /// Does not work.
    Bad,
    /// Nobody knows.
    Unknown,
    /// Announced work.
    Planned,
    /// Changes too often.
    Unsteady,
    /// Not in use.
    Off,
}

impl Tone {
    /// Returns how a connected share looks.
    pub fn of_share(share: f64) -> Tone {
        match share {
            share if share >= 0.9 => Tone::Good,
            share if share >= 0.75 => Tone::Weak,
            _ => Tone::Bad,
        }
    }

    /// Lists every tone.
    pub const ALL: [Tone; 7] = [Tone::Good, Tone::Weak, Tone::Bad, Tone::Unknown, Tone::Planned, Tone::Unsteady, Tone::Off];

    /// Returns the name used by classes and icons.
    pub const fn as_str(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Weak => "weak",
            Tone::Bad => "bad",
            Tone::Unknown => "unknown",
            Tone::Planned => "planned",
            Tone::Unsteady => "unsteady",
            Tone::Off => "off",
        }
    }
}

/// Something with a tone.
pub trait Toned {
    /// Returns how it looks.
    fn tone(&self) -> Tone;
}

impl<T: Toned> Toned for &T {
    fn tone(&self) -> Tone {
        (**self).tone()
    }
}

impl Toned for Tone {
    fn tone(&self) -> Tone {
        *self
    }
}

impl Toned for LinkState {
    fn tone(&self) -> Tone {
        match self {
            LinkState::Up => Tone::Good,
            LinkState::Degraded => Tone::Weak,
            LinkState::Down => Tone::Bad,
            LinkState::Flapping => Tone::Unsteady,
            LinkState::Unknown => Tone::Unknown,
            LinkState::Maintenance => Tone::Planned,
            LinkState::NotInService => Tone::Off,
        }
    }
}

impl Toned for SiteState {
    fn tone(&self) -> Tone {
        match self {
            SiteState::Up => Tone::Good,
            SiteState::Degraded | SiteState::BackupOnly => Tone::Weak,
            SiteState::Down => Tone::Bad,
            SiteState::Unknown => Tone::Unknown,
            SiteState::Maintenance => Tone::Planned,
            SiteState::NotInService => Tone::Off,
        }
    }
}

impl Toned for VillageState {
    fn tone(&self) -> Tone {
        match self {
            VillageState::Connected => Tone::Good,
            VillageState::Partial => Tone::Weak,
            VillageState::Disconnected => Tone::Bad,
            VillageState::Unknown => Tone::Unknown,
        }
    }
}

impl Toned for AgentState {
    fn tone(&self) -> Tone {
        match self {
            AgentState::Reporting => Tone::Good,
            AgentState::Late | AgentState::Buffered => Tone::Weak,
            AgentState::Silent => Tone::Unknown,
            AgentState::NeverSeen => Tone::Off,
        }
    }
}

impl Toned for StepState {
    fn tone(&self) -> Tone {
        match self {
            StepState::Holds => Tone::Good,
            StepState::Broken => Tone::Bad,
            StepState::Above => Tone::Weak,
            StepState::Unmeasured => Tone::Off,
        }
    }
}
