//! How links make a site and sites make a village. Pure functions of states; live state and history use the same ones.

use rusta_wire::Network;

use super::state::{LinkState, SiteState, VillageState};
use crate::inventory::{Role, SiteKind, word_enum};

word_enum! {
    /// Which paths connect a village.
    VillagePolicy {
        /// The public access point or the dehyari's uplink.
        Either = "either",
        /// The village's public access point alone.
        MobilePublic = "mobile_public",
        /// The dehyari's uplink alone.
        DehyariUplink = "dehyari_uplink",
    }
}

impl VillagePolicy {
    /// Tells whether links of a site of this kind connect its village.
    pub fn includes(self, kind: SiteKind) -> bool {
        match self {
            VillagePolicy::Either => matches!(kind, SiteKind::Village | SiteKind::Dehyari),
            VillagePolicy::MobilePublic => kind == SiteKind::Village,
            VillagePolicy::DehyariUplink => kind == SiteKind::Dehyari,
        }
    }
}

/// A link as the roll-up needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Primary or backup.
    pub role: Role,
    /// Its network.
    pub network: Network,
    /// Its state; flapping never stands here, but what it is between two changes.
    pub state: LinkState,
    /// Whether it changes too often to be called well.
    pub flapping: bool,
}

impl Path {
    /// Tells whether it carries traffic.
    pub fn carries(&self) -> bool {
        matches!(self.state, LinkState::Up | LinkState::Degraded)
    }
}

/// Returns a site's state: the best of its links, and whether that is the one it should be.
pub fn site_state(paths: &[Path]) -> SiteState {
    let in_service = || paths.iter().filter(|path| path.state != LinkState::NotInService);
    let well = |path: &&Path| path.state == LinkState::Up && !path.flapping;
    let any = |role, test: &dyn Fn(&&Path) -> bool| in_service().filter(|path| path.role == role).any(|path| test(&path));
    if in_service().next().is_none() {
        return SiteState::NotInService;
    }
    if any(Role::Primary, &well) {
        return SiteState::Up;
    }
    if any(Role::Primary, &|path| path.carries()) {
        return SiteState::Degraded;
    }
    let primary_is_down =
        in_service().filter(|path| path.role == Role::Primary).all(|path| matches!(path.state, LinkState::Down | LinkState::Maintenance));
    let has_primary = in_service().any(|path| path.role == Role::Primary);
    if in_service().any(|path| path.carries()) {
        return match (has_primary && primary_is_down, any(Role::Backup, &well)) {
            (true, _) => SiteState::BackupOnly,
            (false, true) => SiteState::Up,
            (false, false) => SiteState::Degraded,
        };
    }
    if in_service().any(|path| path.state == LinkState::Unknown) {
        SiteState::Unknown
    } else if in_service().any(|path| path.state == LinkState::Maintenance) {
        SiteState::Maintenance
    } else {
        SiteState::Down
    }
}

/// Returns a village's state from its in-policy paths and whether the national network is known to be out of reach.
/// Announced maintenance does not connect anybody.
pub fn village_state(paths: &[Path], nin_lost: bool) -> VillageState {
    if paths.iter().any(Path::carries) {
        return if nin_lost { VillageState::Partial } else { VillageState::Connected };
    }
    let known = |path: &Path| matches!(path.state, LinkState::Down | LinkState::Maintenance);
    let measured = paths.iter().filter(|path| path.state != LinkState::NotInService);
    if measured.clone().next().is_some() && measured.clone().all(known) { VillageState::Disconnected } else { VillageState::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(role: Role, state: LinkState) -> Path {
        Path { role, network: Network::Nin, state, flapping: false }
    }

    #[test]
    fn a_site_is_the_best_of_its_links() {
        use LinkState::*;
        let cases = [
            (vec![(Role::Primary, Up), (Role::Backup, Down)], SiteState::Up),
            (vec![(Role::Primary, Degraded), (Role::Backup, Up)], SiteState::Degraded),
            (vec![(Role::Primary, Down), (Role::Backup, Up)], SiteState::BackupOnly),
            (vec![(Role::Primary, Down), (Role::Backup, Degraded)], SiteState::BackupOnly),
            (vec![(Role::Primary, Unknown), (Role::Backup, Up)], SiteState::Up),
            (vec![(Role::Primary, Down), (Role::Backup, Down)], SiteState::Down),
            (vec![(Role::Primary, Down), (Role::Backup, Unknown)], SiteState::Unknown),
            (vec![(Role::Primary, Maintenance)], SiteState::Maintenance),
            (vec![(Role::Primary, NotInService)], SiteState::NotInService),
            (vec![], SiteState::NotInService),
            (vec![(Role::Primary, Down), (Role::Primary, Up)], SiteState::Up),
            (vec![(Role::Backup, Up)], SiteState::Up),
        ];
        for (links, expected) in cases {
            let paths: Vec<Path> = links.iter().map(|(role, state)| path(*role, *state)).collect();
            assert_eq!(site_state(&paths), expected, "{links:?}");
        }
    }

    #[test]
    fn a_flapping_primary_makes_a_degraded_site() {
        let flapping = Path { flapping: true, ..path(Role::Primary, LinkState::Up) };
        assert_eq!(site_state(&[flapping]), SiteState::Degraded);
    }

    #[test]
    fn a_village_is_unknown_until_every_path_is_known() {
        use LinkState::*;
        let village = |states: &[LinkState], nin_lost| {
            let paths: Vec<Path> = states.iter().map(|state| path(Role::Primary, *state)).collect();
            village_state(&paths, nin_lost)
        };
        assert_eq!(village(&[Up, Down], false), VillageState::Connected);
        assert_eq!(village(&[Up, Down], true), VillageState::Partial);
        assert_eq!(village(&[Down, Maintenance], false), VillageState::Disconnected);
        assert_eq!(village(&[Down, Unknown], false), VillageState::Unknown);
        assert_eq!(village(&[], false), VillageState::Unknown);
    }
}
