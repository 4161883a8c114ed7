//! What an inventory version means, after validation.

use std::collections::HashMap;
use std::ops::Range;

use rusta_wire::{Network, UnixMs};

use super::calendar::{Calendars, MaintenanceWindow};
use super::figures::{Declared, Goal};
use super::profile::{Profile, Service};

macro_rules! dense_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// Returns the place in the version's list.
            pub const fn index(self) -> usize { self.0 as usize }
        }
    };
}

dense_id!(
    /// A region's place in [`Inventory::regions`].
    RegionId
);
dense_id!(
    /// A site's place in [`Inventory::sites`].
    SiteId
);
dense_id!(
    /// A link's place in [`Inventory::links`].
    LinkId
);
dense_id!(
    /// A shared node's place in [`Inventory::nodes`].
    NodeId
);

macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Lists every variant.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// Returns the word used in files, URLs and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            /// Reads the word in any case; the error lists the words there are.
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("`{text}` is none of {}", known.join(", "))
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(self.as_str()) }
        }
    };
}
pub(crate) use word_enum;

word_enum! {
    /// A level of the region tree.
    RegionKind {
        /// استان
        Province = "province",
        /// شهرستان
        County = "county",
        /// بخش
        District = "district",
        /// دهستان
        RuralDistrict = "rural_district",
        /// شهر
        City = "city",
        /// روستا
        Village = "village",
    }
}

word_enum! {
    /// What a site is.
    SiteKind {
        /// An agent or public access point of a village.
        Village = "village",
        /// دهیاری
        Dehyari = "dehyari",
        /// فرمانداری, usually the county PoP.
        Farmandari = "farmandari",
        /// بخشداری
        Bakhshdari = "bakhshdari",
        /// A county-level office of an executive agency.
        CountyOffice = "county_office",
        /// A provincial directorate.
        ProvincialOffice = "provincial_office",
        /// Governorate headquarters.
        Headquarters = "headquarters",
        /// شهرداری
        Municipality = "municipality",
        /// نهاد عمومی غیردولتی
        PublicBody = "public_body",
        /// دفتر پیشخوان
        ServiceCounter = "service_counter",
        /// دفتر ICT روستایی
        IctOffice = "ict_office",
        /// خانه بهداشت
        HealthHouse = "health_house",
        /// مدرسه
        School = "school",
        /// شعبه اخذ رأی
        PollingSite = "polling_site",
        /// A mast.
        Bts = "bts",
        /// A point of presence.
        Pop = "pop",
        /// The provincial core.
        Core = "core",
    }
}

word_enum! {
    /// How much an outage of a site matters; A first.
    Criticality {
        /// SLA 99.5 %.
        A = "A",
        /// SLA 99.0 %.
        B = "B",
        /// SLA 95.0 %.
        C = "C",
    }
}

word_enum! {
    /// Whether a link is the site's first way upstream.
    Role {
        /// Used when it works.
        Primary = "primary",
        /// Used when the primary does not.
        Backup = "backup",
    }
}

word_enum! {
    /// The technology of a link.
    Access {
        /// 2G.
        Gsm = "gsm",
        /// 3G.
        Umts = "umts",
        /// 4G mobile.
        Lte = "lte",
        /// 4G fixed.
        TdLte = "td_lte",
        /// 5G.
        Nr = "nr",
        /// xDSL.
        Dsl = "dsl",
        /// GPON fibre.
        FibreGpon = "fibre_gpon",
        /// Point-to-point fibre.
        Fibre = "fibre",
        /// Microwave radio.
        Radio = "radio",
        /// Satellite.
        Vsat = "vsat",
        /// Copper Ethernet inside a building.
        Ethernet = "ethernet",
    }
}

word_enum! {
    /// A shared thing that makes many sites fail together.
    NodeKind {
        /// Mast.
        Bts = "bts",
        /// Point of presence.
        Pop = "pop",
        /// APN gateway of an operator.
        ApnGateway = "apn_gateway",
        /// Provincial core.
        Core = "core",
        /// Power feeder.
        PowerFeeder = "power_feeder",
    }
}

/// A roll-up area.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Statistical Centre code, with leading zeros.
    pub code: String,
    /// Its level.
    pub kind: RegionKind,
    /// The region it belongs to; `None` only for provinces.
    pub parent: Option<RegionId>,
    /// Persian name, as written.
    pub name_fa: String,
    /// Latin name; empty if unknown.
    pub name_en: String,
    /// Households at `households_as_of`.
    pub households: Option<u32>,
    /// Residents.
    pub population: Option<u32>,
    /// Date of the household count, `YYYY-MM-DD`.
    pub households_as_of: Option<String>,
    /// Degrees north.
    pub lat: Option<f64>,
    /// Degrees east.
    pub lon: Option<f64>,
    /// Whether anybody lives there; only inhabited villages enter KPIs.
    pub inhabited: bool,
    /// Whether a fixed telephone line exists; `None` if not recorded.
    pub fixed_line: Option<bool>,
    /// The pilot cohort, if any.
    pub cohort: Option<String>,
    /// Its code in the version before, if that was another.
    pub previous_code: Option<String>,
}

/// Whom the agents of a site may speak about beside their own site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VantageFor {
    /// Every site in a region.
    Region(RegionId),
    /// One site.
    Site(SiteId),
}

/// A physical place with links.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// Unique code.
    pub code: String,
    /// What it is.
    pub kind: SiteKind,
    /// The smallest region it stands in.
    pub region: RegionId,
    /// Persian name, as written.
    pub name_fa: String,
    /// Latin name; empty if unknown.
    pub name_en: String,
    /// Degrees north.
    pub lat: Option<f64>,
    /// Degrees east.
    pub lon: Option<f64>,
    /// Class of service.
    pub criticality: Criticality,
    /// Service calendar's name; empty means 24 × 7.
    pub calendar: String,
    /// Whom to call there; never shown on public pages.
    pub contact: String,
    /// Free tags, such as `polling`.
    pub tags: Vec<String>,
    /// Whom its agents may speak about beside itself: nobody else is believed about another site.
    pub vantage_for: Vec<VantageFor>,
    /// Its links in [`Inventory::links`].
    pub links: Range<u32>,
}

/// Something a link depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parent {
    /// A shared node.
    Node(NodeId),
    /// A whole site, usually a county PoP.
    Site(SiteId),
    /// One link of another site.
    Link(LinkId),
}

/// A site's way upstream: the thing with availability and outages.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The site it belongs to.
    pub site: SiteId,
    /// Its name, unique at the site.
    pub name: String,
    /// The network it belongs to.
    pub network: Network,
    /// Primary or backup.
    pub role: Role,
    /// Technology.
    pub access: Option<Access>,
    /// Operator id, such as `mci`; empty if none.
    pub operator: String,
    /// Whether bytes cost money.
    pub metered: bool,
    /// Plan size per billing cycle.
    pub plan_bytes: Option<u64>,
    /// Day of month the cycle starts.
    pub cycle_day: Option<u8>,
    /// Interface name on the agent; empty if not fixed.
    pub interface: String,
    /// SLA class; the site's criticality if not given.
    pub sla_class: Criticality,
    /// What it depends on; it is suppressed only when all of them are down.
    pub parents: Vec<Parent>,
    /// Contracted speed.
    pub contract_mbps: Option<f64>,
}

/// A shared thing that fails as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique code.
    pub code: String,
    /// What it is.
    pub kind: NodeKind,
    /// Persian name.
    pub name_fa: String,
    /// The node it hangs on.
    pub parent: Option<NodeId>,
}

/// One immutable version of the registry.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Counts up from 1; 0 is the empty inventory before the first import.
    pub version: u32,
    /// From when on it describes the world.
    pub effective_from: UnixMs,
    /// Parents stand before their children.
    pub regions: Vec<Region>,
    /// Sites by id.
    pub sites: Vec<Site>,
    /// Links by id; those of one site stand together.
    pub links: Vec<Link>,
    /// Nodes by id; parents stand before their children.
    pub nodes: Vec<Node>,
    /// What the sites are there for.
    pub services: Vec<Service>,
    /// Which targets a site measures.
    pub profiles: Vec<Profile>,
    /// Working hours, holidays and public events.
    pub calendars: Calendars,
    /// Planned and announced work.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Figures that somebody announced.
    pub declared: Vec<Declared>,
    /// What the programme promised.
    pub goals: Vec<Goal>,
    region_by_code: HashMap<String, RegionId>,
    site_by_code: HashMap<String, SiteId>,
    node_by_code: HashMap<String, NodeId>,
    sites_by_region: HashMap<RegionId, Vec<SiteId>>,
}

impl Inventory {
    /// Builds a version without anything in it.
    pub fn empty(version: u32, effective_from: UnixMs) -> Self {
        Inventory { version, effective_from, ..Inventory::default() }
    }

    /// Fills the look-up tables; the builder calls it once, when the lists are complete.
    pub(crate) fn index(&mut self) {
        self.region_by_code = (0..).map(RegionId).zip(&self.regions).map(|(id, r)| (r.code.clone(), id)).collect();
        self.site_by_code = (0..).map(SiteId).zip(&self.sites).map(|(id, s)| (s.code.clone(), id)).collect();
        self.node_by_code = (0..).map(NodeId).zip(&self.nodes).map(|(id, n)| (n.code.clone(), id)).collect();
        self.sites_by_region = HashMap::new();
        for (id, site) in (0..).map(SiteId).zip(&self.sites) {
            self.sites_by_region.entry(site.region).or_default().push(id);
        }
    }

    /// Finds a shared node by its code.
    pub fn node_by_code(&self, code: &str) -> Option<NodeId> {
        self.node_by_code.get(code).copied()
    }

    /// Returns a shared node of this version.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Lists the sites standing directly in a region.
    pub fn sites_of(&self, region: RegionId) -> &[SiteId] {
        self.sites_by_region.get(&region).map_or(&[], Vec::as_slice)
    }

    /// Lists the inhabited villages, in region order: the V of every KPI.
    pub fn villages(&self) -> impl Iterator<Item = RegionId> + '_ {
        (0..).map(RegionId).zip(&self.regions).filter(|(_, r)| r.kind == RegionKind::Village && r.inhabited).map(|(id, _)| id)
    }

    /// Returns the village a site stands in; `None` in cities and offices above village level.
    pub fn village_of(&self, site: SiteId) -> Option<RegionId> {
        let region = self.site(site).region;
        (self.region(region).kind == RegionKind::Village).then_some(region)
    }

    /// Finds a region by its code.
    pub fn region_by_code(&self, code: &str) -> Option<RegionId> {
        self.region_by_code.get(code).copied()
    }

    /// Finds a site by its code.
    pub fn site_by_code(&self, code: &str) -> Option<SiteId> {
        self.site_by_code.get(code).copied()
    }

    /// Returns a region of this version.
    pub fn region(&self, id: RegionId) -> &Region {
        &self.regions[id.index()]
    }

    /// Returns a site of this version.
    pub fn site(&self, id: SiteId) -> &Site {
        &self.sites[id.index()]
    }

    /// Returns a link of this version.
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[id.index()]
    }

    /// Finds a site's link by name.
    pub fn link_by_name(&self, site: SiteId, name: &str) -> Option<LinkId> {
        self.links_of(site).find(|id| self.link(*id).name == name)
    }

    /// Lists a site's links.
    pub fn links_of(&self, site: SiteId) -> impl Iterator<Item = LinkId> + use<> {
        self.site(site).links.clone().map(LinkId)
    }

    /// Tells whether agents of a site may say something about another one: the registry's word, never theirs.
    pub fn may_speak_about(&self, speaker: SiteId, other: SiteId) -> bool {
        self.site(speaker).vantage_for.iter().any(|about| match *about {
            VantageFor::Region(region) => self.is_within(self.site(other).region, region),
            VantageFor::Site(site) => site == other,
        })
    }

    /// Walks from a region up to its province, the region itself first.
    pub fn ancestors(&self, region: RegionId) -> impl Iterator<Item = RegionId> + '_ {
        std::iter::successors(Some(region), |id| self.region(*id).parent)
    }

    /// Tells whether `region` is `ancestor` or lies inside it.
    pub fn is_within(&self, region: RegionId, ancestor: RegionId) -> bool {
        self.ancestors(region).any(|id| id == ancestor)
    }
}
