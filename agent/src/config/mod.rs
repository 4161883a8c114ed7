//! The agent's configuration. Stage one ([`text`]) is what was typed, stage two is what it means: a [`Config`] is valid by
//! construction, and everything wrong with a file is told at once, with line, column and the way to mend it.
//!
//! ```text
//! agent.yaml --yaml::read--> text::File --build--> Config { collector, report, spool, .., watch }
//! OpenWrt's UCI --uci::read--> the same YAML, with the lines it came from
//! assignment --yaml::read--> text::Assigned --over the local one--> Watch { links, targets }
//! ```

pub mod text;
mod uci;
pub mod units;

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusta_wire::{Invitation, Network, Rung, limits};
use serde::{Deserialize, Serialize};

pub use crate::calendar::Calendar;
use crate::calendar::day_of;
use crate::identity;
use crate::interfaces::Device;
use crate::probe::{Place, Probe, ProbeConfig};
use crate::socket::Way;
pub use crate::yaml::Mistake;
use crate::yaml::{self, Note, Reading, Step};
pub use text::{Allowed, Sync};

/// The name of the agent's own series on each link; no target may take it.
pub const OWN_TARGET: &str = "agent";

/// Smallest spool: eight segments of the journal, so that thinning has room to work in.
const SPOOL_BYTES_MIN: u64 = 512 * 1024;

/// A whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Where reports go; `None`: nowhere, the spool keeps what fits.
    pub collector: Option<Collector>,
    /// When and how reports leave.
    pub report: Report,
    /// What waits on disk.
    pub spool: Spool,
    /// Where `status` asks.
    pub status_socket: PathBuf,
    /// Name servers; empty: the system's.
    pub resolvers: Vec<SocketAddr>,
    /// What else than plain probes an assignment may name.
    pub allow_assigned: Vec<Allowed>,
    /// The file's own links and targets, as typed: an assignment is laid over them.
    pub local: text::Assigned,
}

/// Where reports go.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Tried in order; empty: it is not enrolled yet, and nobody said where.
    pub urls: Vec<Url>,
    /// What enrols it.
    pub invitation: Option<Invitation>,
    /// Holds key and certificates.
    pub identity_dir: PathBuf,
}

/// An `https` address without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Host and port.
    pub place: Place,
}

/// When and how reports leave.
#[derive(Debug, Clone)]
pub struct Report {
    /// The reporting interval.
    pub every: Duration,
    /// The links a report may leave by; empty: any, then the routing table.
    pub links: Vec<String>,
}

/// What waits on disk.
#[derive(Debug, Clone)]
pub struct Spool {
    /// The directory.
    pub dir: PathBuf,
    /// The most it takes.
    pub max_bytes: u64,
    /// When data is forced to disk.
    pub sync: Sync,
    /// The wear budget.
    pub writes_per_day: u64,
}

/// What an agent watches: its links and what it probes over them.
#[derive(Debug, Default)]
pub struct Watch {
    /// In the file's order.
    pub links: Vec<Link>,
    /// In the file's order.
    pub targets: Vec<Target>,
}

/// A way upstream.
#[derive(Debug, Clone)]
pub struct Link {
    /// As in the inventory.
    pub name: String,
    /// Which network it belongs to.
    pub network: Network,
    /// What its sockets are tied to.
    pub way: Way,
    /// Whether to probe little while all is quiet.
    pub metered: bool,
    /// How often targets beyond the nearest anchor are probed while all is quiet.
    pub quiet: Duration,
    /// The data plan.
    pub plan: Option<Plan>,
}

/// A link's data plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What may be used in a cycle, by everybody.
    pub bytes: u64,
    /// The agent's own share of it.
    pub own_bytes: u64,
    /// The day of the month on which the cycle starts.
    pub cycle_day: u8,
    /// The calendar of that day.
    pub calendar: Calendar,
    /// What the operator says of its use.
    pub told: Option<Told>,
}

/// What the operator says was used of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// A local day of the cycle it is about, counted from 1970-01-01.
    pub day: i64,
    /// Used in that cycle, by everybody.
    pub bytes: u64,
}

/// What is probed.
#[derive(Debug)]
pub struct Target {
    /// Unique in the watch.
    pub name: String,
    /// Its link's place in [`Watch::links`].
    pub link: usize,
    /// The site it stands for, empty for this one.
    pub towards: String,
    /// The rung it proves.
    pub rung: Rung,
    /// Time between rounds.
    pub every: Duration,
    /// The longest a round takes.
    pub timeout: Duration,
    /// How it is probed.
    pub probe: Probe,
}

/// A file that cannot be used, and why.
#[derive(Debug)]
pub struct Faults {
    /// The file's name, as given.
    pub file: String,
    /// Everything wrong with it.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            writeln!(f, "{}:{mistake}", self.file)?;
        }
        let s = if self.mistakes.len() == 1 { "" } else { "s" };
        write!(f, "{}: {} mistake{s}; nothing was changed", self.file, self.mistakes.len())
    }
}

impl std::error::Error for Faults {}

/// What there is on this machine for a link to be tied to.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    interfaces: HashSet<String>,
    addresses: HashSet<IpAddr>,
}

impl Machine {
    /// Looks at the machine's interfaces and their addresses.
    pub fn look() -> Machine {
        let all = pnet::datalink::interfaces();
        Machine {
            addresses: all.iter().flat_map(|i| i.ips.iter().map(|net| net.ip())).collect(),
            interfaces: all.into_iter().map(|i| i.name).collect(),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Config, Faults> {
        let file = path.display().to_string();
        let unread =
            |text: String| Faults { file: file.clone(), mistakes: vec![Mistake { line: 1, column: 1, path: String::new(), text }] };
        let text = std::fs::read_to_string(path).map_err(|error| unread(format!("cannot be read: {error}")))?;
        if !uci::is_uci(path, &text) {
            return Config::parse(&text).map_err(|mistakes| Faults { file: file.clone(), mistakes });
        }
        let faults = |mistakes| Faults { file: file.clone(), mistakes };
        match uci::read(&text).map_err(faults)? {
            uci::Meaning::Here(yaml) => Config::parse(&yaml.text).map_err(|mistakes| faults(yaml.place(mistakes))),
            uci::Meaning::In(other) if other == path => Err(unread(format!("`config {}` names this file itself", other.display()))),
            uci::Meaning::In(other) => Config::load_yaml(&other),
        }
    }

    fn load_yaml(path: &Path) -> Result<Config, Faults> {
        let faults = |mistakes| Faults { file: path.display().to_string(), mistakes };
        let unread = |error| faults(vec![Mistake { line: 1, column: 1, path: String::new(), text: format!("cannot be read: {error}") }]);
        Config::parse(&std::fs::read_to_string(path).map_err(unread)?).map_err(faults)
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
        let Reading { value, mut notes, skipped } = yaml::read::<text::File>(text).map_err(|mistake| vec![mistake])?;
        let config = value.map(|file| build(file, &mut Check { notes: &mut notes, skipped: &skipped }));
        match config {
            Some(config) if notes.is_empty() => Ok(config),
            _ => Err(yaml::place(text, &notes)),
        }
    }

    /// Returns what the file itself says to watch.
    pub fn watch(&self) -> Watch {
        // `build` found nothing wrong with it, so nothing is noted or left out here.
        let mut notes = Vec::new();
        watch(&self.local, &mut Check { notes: &mut notes, skipped: &HashSet::new() })
    }

    /// Says which of the file's links are tied to what this machine does not have at present. That is their state, not a
    /// mistake: an interface or an address may come and go.
    pub fn absent(&self, machine: &Machine) -> Vec<String> {
        let what = |link: &text::Link| match (&link.interface, link.source) {
            (Some(interface), _) if !machine.has(interface) => Some(format!("there is no interface `{interface}`")),
            (_, Some(source)) if !machine.addresses.contains(&source) => Some(format!("nothing here has the address {source}")),
            _ => None,
        };
        let gone =
            |link: &text::Link| Some(format!("link {}: {} at present; it counts as gone until that appears", link.name, what(link)?));
        self.local.links.iter().filter_map(gone).collect()
    }

    /// Tells whether a plugin may ever be started: by this file, or by an assignment it allows that.
    pub fn may_run_plugins(&self) -> bool {
        let is_plugin = |target: &text::Target| matches!(target.probe, ProbeConfig::Exec(_));
        self.allow_assigned.contains(&Allowed::Exec) || self.local.targets.iter().any(is_plugin)
    }

    /// Lays an assignment over the file's own links and targets: assigned ones are added; of a link of the same name, what the
    /// file says of this place (interface, address, network, metered, plan) holds; a target of the same name stays as in the
    /// file. `machine` is given when the assignment is new: it must name interfaces that are there.
    ///
    /// # Errors
    /// Everything wrong with the assignment; places are those of its text.
    pub fn assigned(&self, text: &str, machine: Option<&Machine>) -> Result<Watch, Vec<Mistake>> {
        let Reading { value, mut notes, skipped } = yaml::read::<text::Assigned>(text).map_err(|mistake| vec![mistake])?;
        let watch = value.map(|assigned| {
            let mut check = Check { notes: &mut notes, skipped: &skipped };
            self.check_allowed(&assigned, &mut check);
            if let Some(machine) = machine {
                self.check_presence(&assigned, machine, &mut check);
            }
            watch(&lay_over(&self.local, assigned), &mut check)
        });
        match watch {
            Some(watch) if notes.is_empty() => Ok(watch),
            _ => Err(yaml::place(text, &notes)),
        }
    }

    fn check_allowed(&self, assigned: &text::Assigned, check: &mut Check<'_>) {
        for (path, link) in check.items("links", assigned.links.len()).into_iter().zip(&assigned.links) {
            if link.iccid.is_some() {
                check.wrong(key(&path, "iccid"), "the number of a SIM belongs in this router's own file");
            }
        }
        for (path, target) in check.items("targets", assigned.targets.len()).into_iter().zip(&assigned.targets) {
            let files = target.probe.files();
            let needs = match (&target.probe, files.first()) {
                (ProbeConfig::Exec(_), _) => Some((Allowed::Exec, "a program of this router".to_string())),
                (ProbeConfig::Ussd(_), _) => Some((Allowed::Ussd, "a code that may cost money".to_string())),
                (_, Some(file)) => Some((Allowed::Files, format!("`{file}` of this router"))),
                _ => None,
            };
            if let Some((allowed, what)) = needs.filter(|(allowed, _)| !self.allow_assigned.contains(allowed)) {
                let word = allowed.as_str();
                check.wrong(path, format!("names {what}; this router's file does not allow that (`allow_assigned: [{word}]`)"));
            }
        }
    }

    fn check_presence(&self, assigned: &text::Assigned, machine: &Machine, check: &mut Check<'_>) {
        for (path, link) in check.items("links", assigned.links.len()).into_iter().zip(&assigned.links) {
            if self.local.links.iter().any(|own| own.name == link.name && own.is_tied()) {
                continue;
            }
            if let Some(interface) = link.interface.as_ref().filter(|i| !machine.has(i)) {
                let known: Vec<&str> = machine.interfaces.iter().map(String::as_str).collect();
                check.wrong(key(&path, "interface"), yaml::unknown("interface", interface, &known));
            }
        }
    }
}

impl Machine {
    fn has(&self, interface: &str) -> bool {
        self.interfaces.contains(interface)
    }
}

/// Assigned elements first, so that a mistake's index is the one in the assignment's text.
fn lay_over(local: &text::Assigned, mut assigned: text::Assigned) -> text::Assigned {
    for link in &mut assigned.links {
        if let Some(own) = local.links.iter().find(|l| l.name == link.name) {
            if own.is_tied() {
                (link.interface, link.netifd, link.path) = (own.interface.clone(), own.netifd.clone(), own.path.clone());
                (link.iccid, link.apn) = (own.iccid.clone(), own.apn.clone());
                link.source = own.source;
            }
            if !own.resolvers.is_empty() {
                link.resolvers.clone_from(&own.resolvers);
            }
            link.network = own.network.or(link.network);
            link.metered = own.metered.or(link.metered);
            link.quiet = own.quiet.or(link.quiet);
            link.plan = own.plan.clone().or_else(|| link.plan.take());
        }
    }
    assigned.targets.retain(|target| local.targets.iter().all(|own| own.name != target.name));
    let assigned_names: HashSet<String> = assigned.links.iter().map(|l| l.name.clone()).collect();
    assigned.links.extend(local.links.iter().filter(|l| !assigned_names.contains(&l.name)).cloned());
    assigned.targets.extend(local.targets.iter().cloned());
    assigned
}

/// Collects what is wrong although each value alone can be read.
struct Check<'a> {
    notes: &'a mut Vec<Note>,
    skipped: &'a HashSet<yaml::Path>,
}

impl Check<'_> {
    fn wrong(&mut self, path: yaml::Path, text: impl Into<String>) {
        self.notes.push(Note::value(path, text));
    }

    /// Returns the paths of a list's kept elements: those left out before do not count.
    fn items(&self, list: &str, kept: usize) -> Vec<yaml::Path> {
        let all = (0..).map(|index| vec![Step::Key(list.to_string()), Step::Item(index)]);
        all.filter(|path| !self.skipped.contains(path)).take(kept).collect()
    }

    fn any_left_out(&self, list: &str) -> bool {
        self.skipped.iter().any(|path| path.first() == Some(&Step::Key(list.to_string())))
    }
}

fn key(path: &[Step], key: &str) -> yaml::Path {
    path.iter().cloned().chain([Step::Key(key.to_string())]).collect()
}

fn build(file: text::File, check: &mut Check<'_>) -> Config {
    let local = text::Assigned { links: file.links, targets: file.targets };
    watch(&local, check);
    let report = Report { every: file.report.every.0, links: file.report.links };
    check_report(&report, &local, check);
    if file.spool.max_bytes.0 < SPOOL_BYTES_MIN {
        check.wrong(key(&key(&[], "spool"), "max_bytes"), "a spool needs at least 512KiB");
    }
    Config {
        collector: file.collector.map(|collector| build_collector(collector, check)),
        report,
        spool: Spool {
            dir: file.spool.dir,
            max_bytes: file.spool.max_bytes.0,
            sync: file.spool.sync,
            writes_per_day: file.spool.writes_per_day.0,
        },
        status_socket: file.status_socket,
        resolvers: file.resolvers.into_iter().map(|r| r.0).collect(),
        allow_assigned: file.allow_assigned,
        local,
    }
}

fn build_collector(typed: text::Collector, check: &mut Check<'_>) -> Collector {
    let path = key(&key(&[], "collector"), "urls");
    if typed.urls.as_ref().is_some_and(Vec::is_empty) {
        check.wrong(path.clone(), "at least one URL is needed");
    }
    let invitation = typed.invitation.and_then(|text| match text.parse::<Invitation>() {
        Ok(invitation) => Some(invitation),
        Err(fault) => {
            check.wrong(key(&key(&[], "collector"), "invitation"), fault);
            None
        }
    });
    let invited = || invitation.iter().flat_map(|invitation| &invitation.places).map(|place| format!("https://{place}")).collect();
    let enrolled = identity::places(&typed.identity_dir);
    let texts = typed.urls.unwrap_or_else(|| if enrolled.is_empty() { invited() } else { enrolled });
    let mut urls = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(url) => urls.push(url),
            Err(fault) => check.wrong(path.iter().cloned().chain([Step::Item(index)]).collect(), fault),
        }
    }
    Collector { urls, invitation, identity_dir: typed.identity_dir }
}

impl std::str::FromStr for Url {
    type Err = String;

    /// Reads `https://host[:port]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("https://") else {
            return Err(format!("`{text}` is no https URL, as in `https://collector.example:8443`"));
        };
        let place: Place = rest.strip_suffix('/').unwrap_or(rest).parse()?;
        Ok(Url { place })
    }
}

impl Url {
    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.place.port_or(443)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.place)
    }
}

fn check_report(report: &Report, local: &text::Assigned, check: &mut Check<'_>) {
    let path = key(&[], "report");
    if report.every < Duration::from_secs(1) || report.every > Duration::from_secs(86_400) {
        check.wrong(key(&path, "every"), "a report is due between every `1s` and every `1d`");
    }
    let names: Vec<&str> = local.links.iter().map(|l| l.name.as_str()).collect();
    if check.any_left_out("links") {
        return;
    }
    for (index, link) in report.links.iter().enumerate() {
        if !names.contains(&link.as_str()) {
            check.wrong(key(&path, "links").into_iter().chain([Step::Item(index)]).collect(), yaml::unknown("link", link, &names));
        }
    }
}

fn watch(typed: &text::Assigned, check: &mut Check<'_>) -> Watch {
    let links = build_links(typed, check);
    let targets = build_targets(typed, &links, check);
    Watch { links, targets }
}

fn build_links(typed: &text::Assigned, check: &mut Check<'_>) -> Vec<Link> {
    let mut names = HashSet::new();
    let mut links = Vec::new();
    for (path, link) in check.items("links", typed.links.len()).into_iter().zip(&typed.links) {
        check_name(&key(&path, "name"), &link.name, check);
        if !names.insert(&link.name) {
            check.wrong(key(&path, "name"), format!("a second link named `{}`; names are unique", link.name));
        }
        let plan = link.plan.as_ref().map(|plan| build_plan(&key(&path, "plan"), plan, check));
        links.push(Link {
            name: link.name.clone(),
            // Nobody has said yet: what a line to anywhere at all would be.
            network: link.network.unwrap_or(Network::Internet),
            way: Way {
                interface: build_device(&path, link, check),
                source: link.source,
                resolvers: link.resolvers.iter().map(|r| r.0).collect(),
            },
            metered: link.metered.unwrap_or(false),
            quiet: link.quiet.unwrap_or_else(text::quarter_hour).0,
            plan,
        });
    }
    links
}

fn build_device(path: &[Step], link: &text::Link, check: &mut Check<'_>) -> Option<Device> {
    let named = [
        ("interface", link.interface.clone().map(Device::Kernel)),
        ("netifd", link.netifd.clone().map(Device::Netifd)),
        ("path", link.path.clone().map(Device::Path)),
        ("iccid", link.iccid.clone().map(Device::Sim)),
        ("apn", link.apn.clone().map(Device::Apn)),
    ];
    let mut named = named.into_iter().filter_map(|(key, device)| device.map(|device| (key, device)));
    let first = named.next();
    if let (Some((first, _)), Some((second, _))) = (&first, named.next()) {
        check.wrong(key(path, second), format!("a link is tied to one device: `{first}` or `{second}`"));
    }
    first.map(|(_, device)| device)
}

fn build_plan(path: &[Step], plan: &text::Plan, check: &mut Check<'_>) -> Plan {
    if !(1..=31).contains(&plan.cycle_day) {
        check.wrong(key(path, "cycle_day"), "a cycle starts on a day from 1 to 31");
    }
    if plan.bytes.0 == 0 || plan.own_bytes.0 == 0 {
        check.wrong(path.to_vec(), "a plan of no bytes allows no probe");
    }
    let told = plan.used.as_ref().and_then(|used| match day_of(&used.on, plan.calendar) {
        Ok(day) => Some(Told { day, bytes: used.bytes.0 }),
        Err(fault) => {
            check.wrong(key(&key(path, "used"), "on"), fault);
            None
        }
    });
    Plan {
        told,
        bytes: plan.bytes.0,
        own_bytes: plan.own_bytes.0.min(plan.bytes.0),
        cycle_day: plan.cycle_day.clamp(1, 31),
        calendar: plan.calendar,
    }
}

fn build_targets(typed: &text::Assigned, links: &[Link], check: &mut Check<'_>) -> Vec<Target> {
    let link_names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
    let mut names = HashSet::new();
    let mut targets = Vec::new();
    for (path, target) in check.items("targets", typed.targets.len()).into_iter().zip(&typed.targets) {
        check_name(&key(&path, "name"), &target.name, check);
        if target.name == OWN_TARGET || target.name.contains('/') {
            check.wrong(key(&path, "name"), format!("`{}` is taken: `agent` and names with a slash are the agent's own", target.name));
        }
        if !names.insert(&target.name) {
            check.wrong(key(&path, "name"), format!("a second target named `{}`; names are unique", target.name));
        }
        check_times(&path, target, check);
        let link = link_names.iter().position(|name| *name == target.link);
        if link.is_none() && !check.any_left_out("links") {
            check.wrong(key(&path, "link"), yaml::unknown("link", &target.link, &link_names));
        }
        match Probe::from_config(target.probe.clone()) {
            Err(fault) => check.wrong(path, fault),
            Ok(mut probe) => {
                if link.is_some_and(|link| links[link].metered) {
                    probe.lighten();
                }
                targets.push(Target {
                    name: target.name.clone(),
                    link: link.unwrap_or(0),
                    towards: target.towards.clone(),
                    rung: target.rung,
                    every: target.every.0,
                    timeout: target.timeout.0,
                    probe,
                });
            }
        }
    }
    if typed.targets.len() + links.len() > limits::SERIES_PER_TABLE {
        check.wrong(key(&[], "targets"), format!("more than {} targets", limits::SERIES_PER_TABLE));
    }
    let own = links.iter().map(|link| series_bytes([&link.name, OWN_TARGET, ""], limits::METRICS_PER_SERIES)).sum::<usize>();
    let series = |t: &Target| series_bytes([links.get(t.link).map_or("", |l| &l.name), &t.name, &t.towards], t.probe.metrics().len());
    let bytes = own + targets.iter().map(series).sum::<usize>();
    if bytes > limits::FRAME_PAYLOAD_BYTES {
        let most = limits::FRAME_PAYLOAD_BYTES;
        let told = format!("their names and metrics take {bytes} bytes, and {most} fit in one table: shorter names, or a second agent");
        check.wrong(key(&[], "targets"), told);
    }
    targets
}

/// Bytes that a series takes in its table at most, from the names of its link, target and `towards`.
pub fn series_bytes(names: [&str; 3], metrics: usize) -> usize {
    /// Eight fields and the series itself with their keys and lengths, and four small numbers.
    const AROUND: usize = 28;
    AROUND + names.map(str::len).iter().sum::<usize>() + METRIC_BYTES * metrics
}

/// Bytes of a metric's code in a table at most.
pub const METRIC_BYTES: usize = 2;

fn check_times(path: &[Step], target: &text::Target, check: &mut Check<'_>) {
    if target.every.0 < Duration::from_secs(1) || target.every.0 > Duration::from_secs(30 * 86_400) {
        check.wrong(key(path, "every"), "a round is due between every `1s` and every `30d`");
    }
    if target.timeout.0.is_zero() || target.timeout.0 > target.every.0 {
        check.wrong(key(path, "timeout"), "a timeout is longer than nothing and no longer than `every`");
    }
}

fn check_name(path: &[Step], name: &str, check: &mut Check<'_>) {
    if name.is_empty() || name.len() > limits::NAME_BYTES || name.chars().any(char::is_control) {
        check.wrong(path.to_vec(), format!("a name has 1 to {} bytes and no control characters", limits::NAME_BYTES));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
