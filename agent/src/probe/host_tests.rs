//! The node against this machine's own kernel, and against trees of files as other machines have them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusta_wire::{Metric, Outcome};

use super::super::tests_support::*;
use super::*;
use crate::socket::Way;

#[test]
fn this_machine_is_read_and_its_traffic_becomes_a_rate() {
    in_own_network(|| {
        let _neighbour = Neighbour::cabled("v0", "10.92.1.2/24", "r0", "10.92.1.1/24");
        let host = probe("host: { disk: /tmp, interfaces: [v0, absent0] }");
        block_on(async {
            let prober = prober();
            let way = Way::default();
            let first = prober.measure(&host, &way, Duration::from_secs(1)).await;
            assert_eq!((first.outcome, first.bytes), (Outcome::Ok, 0));
            for metric in [Metric::UptimeS, Metric::Load1Milli, Metric::MemoryAvailableKib, Metric::DiskAvailableKib] {
                assert!(first.value(metric).is_some_and(|v| v >= 0), "{metric:?}");
            }
            assert_eq!(first.value(Metric::CpuPct), None, "one look at the clock of the processor is no load");
            assert_eq!(first.value(Metric::ClockSynced), Some(0), "the kernel's word, not what is believed about the time");

            let pings = probe("icmp: { address: 10.92.1.1, count: 50, size: 1000 }");
            let pinged = prober.measure(&pings, &way, Duration::from_millis(1_500)).await;
            assert_eq!(pinged.value(Metric::Received), Some(50));
            tokio::time::sleep(Duration::from_millis(700)).await;
            let second = prober.measure(&host, &way, Duration::from_secs(1)).await;
            assert!(second.value(Metric::CpuPct).is_some_and(|pct| (0..=100).contains(&pct)));
            let part = |m: &Measurement, name: &str| m.parts.iter().find(|p| p.name == name).unwrap().clone();
            let value = |p: &Part, metric| p.values.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v);
            let (before, after) = (part(&first, "v0"), part(&second, "v0"));
            let moved = value(&after, Metric::IfHcInOctets).unwrap() - value(&before, Metric::IfHcInOctets).unwrap();
            assert!((52_000..60_000).contains(&moved), "50 replies of 1,042 bytes, not {moved}");
            assert!(value(&after, Metric::ReceiveBps).unwrap() > 100_000);
            assert_eq!(value(&before, Metric::ReceiveBps), None);
            assert_eq!(value(&after, Metric::IfOperStatus), Some(1));
            let absent = part(&second, "absent0");
            assert_eq!((absent.outcome, value(&absent, Metric::IfOperStatus)), (Outcome::LinkGone, Some(6)));
            let listed = host.part_metrics();
            assert!(after.values.iter().all(|(m, _)| listed.contains(m)));
        });
    });
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{text}\n")).unwrap();
    }
    dir
}

fn supplied(files: &[(&str, &str)]) -> Vec<(Metric, i64)> {
    let dir = tree(files);
    let mut values = Values::default();
    power_supply(&children(dir.path()), &mut values);
    values.0
}

#[test]
fn mains_and_battery_are_told_apart() {
    let on_mains =
        [("AC/type", "Mains"), ("AC/online", "1"), ("BAT0/type", "Battery"), ("BAT0/status", "Charging"), ("BAT0/capacity", "80")];
    assert_eq!(supplied(&on_mains), [(Metric::UpsSource, 3), (Metric::UpsChargePct, 80)]);
    let on_battery = [
        ("AC/type", "Mains"),
        ("AC/online", "0"),
        ("BAT0/type", "Battery"),
        ("BAT0/status", "Discharging"),
        ("BAT0/capacity", "41"),
        ("BAT0/voltage_now", "11800000"),
    ];
    assert_eq!(supplied(&on_battery), [(Metric::UpsSource, 5), (Metric::UpsChargePct, 41), (Metric::VoltageMv, 11_800)]);
    assert_eq!(supplied(&[]), [], "a router without a battery claims nothing");
    assert_eq!(supplied(&[("BAT0/type", "Battery"), ("BAT0/capacity", "255")]), [], "nonsense is absent");
}

#[test]
fn heat_and_boot_reason_come_from_sysfs() {
    let zones = tree(&[("thermal_zone0/temp", "48500"), ("thermal_zone1/temp", "61200"), ("thermal_zone2/temp", "-274000")]);
    assert_eq!(hottest_dc(&children(zones.path())), Some(612));
    assert_eq!(hottest_dc(&children(Path::new("/nosuch"))), None);
    let watchdog = tree(&[("class/watchdog/watchdog0/bootstatus", "32")]);
    assert_eq!(boot_reason(watchdog.path()), Some(3));
    let panic = tree(&[("class/watchdog/watchdog0/bootstatus", "0"), ("fs/pstore/dmesg-ramoops-0", "Oops")]);
    assert_eq!(boot_reason(panic.path()), Some(4));
    assert_eq!(boot_reason(Path::new("/nosuch")), None);
}

#[test]
fn old_kernels_and_odd_lines_are_read() {
    assert_eq!(memory_available_kib("MemTotal: 60000 kB\nMemFree: 10000 kB\nBuffers: 10 kB\nCached: 5000 kB\n"), Some(15_000));
    assert_eq!(memory_available_kib("MemTotal: 60000 kB\nMemFree: 1 kB\nMemAvailable: 20000 kB\n"), Some(20_000));
    assert_eq!(memory_available_kib(""), None);
    let file = "Inter-|\n face |\n eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\neth0.10: 5 0\n";
    assert_eq!(counts_of(file, "eth0").unwrap()[8], 9, "no space after the colon once the numbers are wide");
    assert_eq!(counts_of(file, "eth0.10"), None, "a short line is no counters");
    assert_eq!(counts_of(file, "eth"), None);
    let before = Ticks::read("cpu  100 0 100 800 0 0 0 0 0 0\n").unwrap();
    let now = Ticks::read("cpu  130 0 120 850 0 0 0 0 0 0\n").unwrap();
    assert_eq!(now.busy_percent(before), Some(50));
    assert_eq!(before.busy_percent(before), None);
}
