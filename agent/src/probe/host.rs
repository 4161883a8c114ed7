//! The router or node itself, from the kernel: processor, memory, disk, heat, power, and its interfaces.
//!
//! What a small router does not have is absent, never zero. Nothing here sends a packet or waits.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use nix::sys::sysinfo::sysinfo;
use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::rates::{Memory, Reading, Width};
use super::round::{Round, Values};
use super::{Measurement, Part};
use crate::interfaces::{Interface, interfaces};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory whose free space matters: where the spool lives.
    #[serde(default = "root")]
    pub disk: PathBuf,
    /// Interfaces to count; empty: every one that is up, but loopback.
    #[serde(default)]
    pub interfaces: Vec<String>,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        if self.disk == root() { Vec::new() } else { vec![self.disk.display().to_string()] }
    }
}

fn root() -> PathBuf {
    "/".into()
}

/// A router with a bridge, its ports, some VLANs, a modem and a tunnel has about a dozen.
const INTERFACES: usize = 32;

/// The node itself.
#[derive(Debug)]
pub struct Host {
    config: Config,
    memory: Mutex<Before>,
}

/// What the last round saw.
#[derive(Debug, Default)]
struct Before {
    rates: Memory,
    ticks: Option<Ticks>,
    /// Why this machine started: one answer for as long as it runs.
    boot_reason: Option<Option<i64>>,
    /// Its thermal zones and power supplies, and when they were listed.
    sensors: Option<(Instant, Vec<PathBuf>, Vec<PathBuf>)>,
}

/// How long a list of sensors holds: most routers have none, and looking costs as much as all the rest of a round.
const SENSORS_HOLD: Duration = Duration::from_secs(600);

impl Before {
    fn sensors(&mut self) -> (&[PathBuf], &[PathBuf]) {
        if self.sensors.as_ref().is_some_and(|(listed, ..)| listed.elapsed() >= SENSORS_HOLD) {
            self.sensors = None;
        }
        let list = || (Instant::now(), children(Path::new("/sys/class/thermal")), children(Path::new("/sys/class/power_supply")));
        let (_, zones, supplies) = self.sensors.get_or_insert_with(list);
        (zones, supplies)
    }
}

impl Host {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        if config.interfaces.len() > INTERFACES {
            return Err(format!("`interfaces` lists {}, at most {INTERFACES} are counted", config.interfaces.len()));
        }
        Ok(Host { config, memory: Mutex::default() })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        use Metric::*;
        vec![
            UptimeS,
            BootReason,
            Load1Milli,
            CpuPct,
            MemoryAvailableKib,
            DiskAvailableKib,
            TemperatureDc,
            ClockSynced,
            UpsSource,
            UpsChargePct,
            VoltageMv,
        ]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        use Metric::*;
        vec![
            IfOperStatus,
            IfHighSpeed,
            IfHcInOctets,
            IfHcOutOctets,
            IfInErrors,
            IfOutErrors,
            IfInDiscards,
            IfOutDiscards,
            ReceiveBps,
            TransmitBps,
        ]
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        "this machine".into()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = Values::default();
        let read = |path: &str| text_of(Path::new(path)).unwrap_or_default();
        if let Ok(system) = sysinfo() {
            values.set(Metric::UptimeS, system.uptime().as_secs());
            values.set_some(Metric::BootReason, *memory.boot_reason.get_or_insert_with(|| boot_reason(Path::new("/sys"))));
            values.set(Metric::Load1Milli, (system.load_average().0 * 1_000.0) as i64);
        }
        let ticks = Ticks::read(&read("/proc/stat"));
        values.set_some(Metric::CpuPct, ticks.zip(memory.ticks).and_then(|(now, before)| now.busy_percent(before)));
        memory.ticks = ticks;
        values.set_some(Metric::MemoryAvailableKib, memory_available_kib(&read("/proc/meminfo")));
        values.set_some(Metric::DiskAvailableKib, disk_available_kib(&self.config.disk));
        values.set(Metric::ClockSynced, i64::from((round.prober.settings.is_synchronised)()));
        let (zones, supplies) = memory.sensors();
        values.set_some(Metric::TemperatureDc, hottest_dc(zones));
        power_supply(supplies, &mut values);
        let parts = self.parts(&read("/proc/thread-self/net/dev"), &mut memory.rates);
        Measurement { parts, ..values.into_measurement(Outcome::Ok) }
    }

    fn parts(&self, counters: &str, rates: &mut Memory) -> Vec<Part> {
        let present = interfaces();
        if self.config.interfaces.is_empty() {
            let counted = present.iter().filter(|i| i.is_up && !i.is_loopback).take(INTERFACES);
            return counted.map(|i| interface_part(&i.name, Some(i), counters, rates)).collect();
        }
        let part = |name: &String| interface_part(name, present.iter().find(|i| i.name == *name), counters, rates);
        self.config.interfaces.iter().map(part).collect()
    }
}

fn interface_part(name: &str, interface: Option<&Interface>, counters: &str, rates: &mut Memory) -> Part {
    let mut values = Values::default();
    values.set(Metric::IfOperStatus, oper_status(interface));
    let Some(counts) = counts_of(counters, name) else {
        return Part { name: name.to_owned(), outcome: Outcome::LinkGone, values: values.0 };
    };
    let speed = interface.and_then(|i| i.speed_mbps);
    values.set_some(Metric::IfHighSpeed, speed);
    let columns = [
        (Metric::IfHcInOctets, 0),
        (Metric::IfHcOutOctets, 8),
        (Metric::IfInErrors, 2),
        (Metric::IfOutErrors, 10),
        (Metric::IfInDiscards, 3),
        (Metric::IfOutDiscards, 11),
    ];
    for (metric, column) in columns {
        values.set(metric, counts[column]);
    }
    let reading = Reading {
        at: Instant::now(),
        width: Width::Bits64,
        octets_in: counts[0],
        octets_out: counts[8],
        // An interface that went and came back counts from zero under another index.
        discontinuity: interface.map_or(0, |i| i.index.into()),
        uptime: None,
        speed_bps: speed.map(|mbps| mbps * 1_000_000),
    };
    let told = rates.rates(name, reading);
    values.set_some(Metric::ReceiveBps, told.receive_bps);
    values.set_some(Metric::TransmitBps, told.transmit_bps);
    Part { name: name.to_owned(), outcome: Outcome::Ok, values: values.0 }
}

/// Returns `ifOperStatus` (RFC 2863): 1 up, 2 down, 6 not present, 7 lower layer down.
fn oper_status(interface: Option<&Interface>) -> u8 {
    match interface {
        Some(i) if i.is_up && i.is_running => 1,
        Some(i) if i.is_up => 7,
        Some(_) => 2,
        None => 6,
    }
}

/// Reads one interface's sixteen counters out of `/proc/net/dev`.
pub(super) fn counts_of(file: &str, name: &str) -> Option<[u64; 16]> {
    let line = file.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    let counts: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    counts.try_into().ok()
}

/// Processor time so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    all: u64,
}

impl Ticks {
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        // user nice system idle iowait irq softirq steal; guest time is in user already.
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        let all = ticks.iter().sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Ticks { busy: all - idle, all })
    }

    fn busy_percent(self, before: Ticks) -> Option<u64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        Some(self.busy.saturating_sub(before.busy) * 100 / all)
    }
}

/// Kernels before 3.14 do not say what is available; free memory and the page cache come close.
fn memory_available_kib(meminfo: &str) -> Option<u64> {
    let kib = |key: &str| meminfo.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok());
    kib("MemAvailable:").or_else(|| Some(kib("MemFree:")? + kib("Cached:")?))
}

fn disk_available_kib(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok()?;
    // The field types differ between architectures.
    #[allow(clippy::useless_conversion)]
    let bytes = u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size()));
    Some(bytes / 1024)
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Most that is read of a file of the kernel's: `/proc/net/dev` of some hundred interfaces.
const FILE_BYTES: u64 = 64 * 1024;

/// Reads a file of the kernel's. Room is made beforehand: such a file says that it is empty, and would be read by the line.
fn text_of(file: &Path) -> Option<String> {
    let mut text = String::with_capacity(4096);
    File::open(file).ok()?.take(FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn text_in(dir: &Path, file: &str) -> Option<String> {
    Some(text_of(&dir.join(file))?.trim().to_owned())
}

fn number_in(dir: &Path, file: &str) -> Option<i64> {
    text_in(dir, file)?.parse().ok()
}

/// Returns the hottest thermal zone in tenths of a degree. Zones that read nonsense while their sensor sleeps are left out.
fn hottest_dc(zones: &[PathBuf]) -> Option<i64> {
    let zones = zones.iter().filter_map(|zone| number_in(zone, "temp"));
    zones.map(|milli| milli / 100).filter(|dc| (-400..=1_500).contains(dc)).max()
}

/// Tells why this machine started: 0 unknown, 1 power, 3 watchdog, 4 panic. A watchdog driver keeps the hardware's reason,
/// pstore keeps a dying kernel's last words. Where neither exists nothing is claimed.
fn boot_reason(sys: &Path) -> Option<i64> {
    const WDIOF_POWERUNDER: i64 = 0x10;
    const WDIOF_CARDRESET: i64 = 0x20;
    let is_crash = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dmesg-"));
    if children(&sys.join("fs/pstore")).iter().any(is_crash) {
        return Some(4);
    }
    let status = number_in(&sys.join("class/watchdog/watchdog0"), "bootstatus")?;
    Some(match status {
        status if status & WDIOF_CARDRESET != 0 => 3,
        status if status & WDIOF_POWERUNDER != 0 => 1,
        _ => 0,
    })
}

/// Reads mains and battery as the kernel shows them (a UPS on USB without `hid-ups` is not among them), in UPS-MIB codes.
fn power_supply(supplies: &[PathBuf], values: &mut Values) {
    let of_kind = |kind: &'static str| supplies.iter().filter(move |s| text_in(s, "type").as_deref() == Some(kind));
    let mains: Vec<i64> = of_kind("Mains").chain(of_kind("USB")).filter_map(|s| number_in(s, "online")).collect();
    let battery = of_kind("Battery").chain(of_kind("UPS")).next();
    let is_discharging = battery.is_some_and(|b| text_in(b, "status").as_deref() == Some("Discharging"));
    const NORMAL: i64 = 3;
    const BATTERY: i64 = 5;
    if mains.contains(&1) && !is_discharging {
        values.set(Metric::UpsSource, NORMAL);
    } else if is_discharging || !mains.is_empty() && battery.is_some() {
        values.set(Metric::UpsSource, BATTERY);
    }
    let charge = battery.and_then(|b| number_in(b, "capacity")).filter(|percent| (0..=100).contains(percent));
    values.set_some(Metric::UpsChargePct, charge);
    let microvolts = battery.and_then(|b| number_in(b, "voltage_now")).filter(|uv| *uv > 0);
    values.set_some(Metric::VoltageMv, microvolts.map(|uv| uv / 1_000));
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
