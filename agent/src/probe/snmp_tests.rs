//! SNMP against Debian's snmpd, against recorded devices of vendors, and against devices that lie.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rusta_wire::{Metric, Outcome};
use tokio::net::UdpSocket;

use super::super::tests_support::*;
use super::super::{Probe, Prober};
use super::device::Device;
use super::manager::{Binding, Datum, Manager, ObjectId, Stride};
use super::*;
use crate::socket::Way;

/// A device as a table, which also remembers what was asked of it.
struct Recorded {
    objects: BTreeMap<ObjectId, Datum>,
    asked: Mutex<Vec<(ObjectId, Option<Stride>)>>,
}

impl Recorded {
    /// Reads lines as `snmpwalk -On` prints them: `.1.3.6 = INTEGER: 5`.
    fn new(walk: &str) -> Self {
        let object = |line: &str| {
            let (oid, rest) = line.trim().split_once(" = ")?;
            let (kind, value) = rest.split_once(": ")?;
            let datum = match kind {
                "STRING" => Datum::Text(value.trim_matches('"').into()),
                "OID" => Datum::Object(value.trim_start_matches('.').parse().unwrap()),
                "Counter64" => Datum::Counter64(value.parse().unwrap()),
                _ => Datum::Integer(value.parse().unwrap()),
            };
            Some((oid.trim_start_matches('.').parse().unwrap(), datum))
        };
        Recorded { objects: walk.lines().filter_map(object).collect(), asked: Mutex::default() }
    }

    fn note(&self, object: &ObjectId, stride: Option<Stride>) {
        self.asked.lock().unwrap().push((object.clone(), stride));
    }
}

impl Manager for Recorded {
    async fn get(&self, objects: &[ObjectId]) -> Result<Vec<Binding>, Outcome> {
        objects.iter().for_each(|o| self.note(o, None));
        Ok(objects.iter().filter_map(|o| Some((o.clone(), self.objects.get(o)?.clone()))).collect())
    }

    async fn walk(&self, root: &ObjectId, stride: Stride) -> Result<Vec<Binding>, Outcome> {
        self.note(root, Some(stride));
        Ok(self.objects.iter().filter(|(o, _)| o.below(root).is_some()).map(|(o, d)| (o.clone(), d.clone())).collect())
    }
}

async fn read(name: &str, recorded: &Recorded) -> (bool, Found) {
    let mut found = Found::default();
    let device = Device::load(name).unwrap();
    let recognised = device.read(recorded, &mut found).await.unwrap();
    (recognised, found)
}

const MIKROTIK: &str = "
.1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.14988.1
.1.3.6.1.4.1.14988.1.1.3.8.0 = Gauge32: 241
.1.3.6.1.4.1.14988.1.1.3.10.0 = Gauge32: 385
.1.3.6.1.4.1.14988.1.1.16.1.1.2.5 = INTEGER: -67
.1.3.6.1.4.1.14988.1.1.16.1.1.3.5 = INTEGER: -10
.1.3.6.1.4.1.14988.1.1.16.1.1.4.5 = INTEGER: -98
.1.3.6.1.4.1.14988.1.1.16.1.1.5.5 = STRING: \"1A2B03\"
.1.3.6.1.4.1.14988.1.1.16.1.1.6.5 = INTEGER: 7
.1.3.6.1.4.1.14988.1.1.16.1.1.7.5 = INTEGER: 12
.1.3.6.1.4.1.14988.1.1.19.1.1.9.2 = INTEGER: 2310
.1.3.6.1.4.1.14988.1.1.19.1.1.10.2 = INTEGER: -23450";

#[tokio::test]
async fn a_mikrotik_gives_radio_health_and_optics() {
    let recorded = Recorded::new(MIKROTIK);
    let (_, lte) = read("mikrotik-lte", &recorded).await;
    assert_eq!(lte.parts.len(), 1);
    assert_eq!(lte.parts[0].name, "lte5");
    let expected = [
        (Metric::RssiDbm, -67),
        (Metric::RsrqCb, -100),
        (Metric::RsrpDbm, -98),
        (Metric::CellId, 0x1a_2b03),
        (Metric::Rat, 4),
        (Metric::SinrCb, 120),
    ];
    assert_eq!(lte.parts[0].values, expected);
    let (_, health) = read("mikrotik-health", &recorded).await;
    assert_eq!(health.values.0, [(Metric::VoltageMv, 24_100), (Metric::TemperatureDc, 385)]);
    let (_, optical) = read("mikrotik-optical", &recorded).await;
    assert_eq!(optical.parts[0].values, [(Metric::OpticalTxCdbm, 231), (Metric::OpticalRxCdbm, -2_345)]);
    assert!(!read("cisco-lte", &recorded).await.0, "a MikroTik is no Cisco");
}

#[tokio::test]
async fn radio_values_out_of_range_are_absent() {
    let recorded = Recorded::new(
        ".1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.14988.1
        .1.3.6.1.4.1.14988.1.1.16.1.1.2.1 = INTEGER: 0
        .1.3.6.1.4.1.14988.1.1.16.1.1.4.1 = INTEGER: 0
        .1.3.6.1.4.1.14988.1.1.16.1.1.6.1 = INTEGER: -1
        .1.3.6.1.4.1.14988.1.1.16.1.1.7.1 = INTEGER: 2147483647",
    );
    let (recognised, found) = read("mikrotik-lte", &recorded).await;
    assert!(recognised && found.parts.is_empty(), "{:?}", found.parts);
}

const TELTONIKA: &str = "
.1.3.6.1.4.1.48690.2.1.0 = INTEGER: 1
.1.3.6.1.4.1.48690.2.2.1.9.1 = STRING: \"Inserted\"
.1.3.6.1.4.1.48690.2.2.1.11.1 = STRING: \"Registered, home\"
.1.3.6.1.4.1.48690.2.2.1.12.1 = STRING: \"-61\"
.1.3.6.1.4.1.48690.2.2.1.14.1 = STRING: \"43235\"
.1.3.6.1.4.1.48690.2.2.1.15.1 = STRING: \"Connected\"
.1.3.6.1.4.1.48690.2.2.1.16.1 = STRING: \"LTE\"
.1.3.6.1.4.1.48690.2.2.1.18.1 = STRING: \"40250113\"
.1.3.6.1.4.1.48690.2.2.1.19.1 = STRING: \"13.4\"
.1.3.6.1.4.1.48690.2.2.1.20.1 = STRING: \"-94\"
.1.3.6.1.4.1.48690.2.2.1.21.1 = STRING: \"-11\"
.1.3.6.1.4.1.48690.2.3.0 = Gauge32: 86400
.1.3.6.1.4.1.48690.3.1.1.2.1 = STRING: \"hotspot-user\"
.1.3.6.1.4.1.48690.3.1.1.3.1 = STRING: \"hotspot-password\"";

const TELTONIKA_LEGACY: &str = "
.1.3.6.1.4.1.48690.2.1.0 = STRING: \"Inserted\"
.1.3.6.1.4.1.48690.2.3.0 = STRING: \"registered (home)\"
.1.3.6.1.4.1.48690.2.4.0 = STRING: \"-73\"
.1.3.6.1.4.1.48690.2.7.0 = STRING: \"Connected\"
.1.3.6.1.4.1.48690.2.8.0 = STRING: \"4G (LTE)\"
.1.3.6.1.4.1.48690.2.23.0 = STRING: \"-101\"
.1.3.6.1.4.1.48690.2.24.0 = STRING: \"-12.5\"";

#[tokio::test]
async fn teltonika_new_and_legacy_are_told_apart() {
    let (new, legacy) = (Recorded::new(TELTONIKA), Recorded::new(TELTONIKA_LEGACY));
    let (recognised, found) = read("teltonika", &new).await;
    assert!(recognised);
    let expected = [
        (Metric::SimState, 1),
        (Metric::Registration, 1),
        (Metric::RssiDbm, -61),
        (Metric::Plmn, 43_235),
        (Metric::BearerUp, 1),
        (Metric::Rat, 4),
        (Metric::CellId, 40_250_113),
        (Metric::SinrCb, 134),
        (Metric::RsrpDbm, -94),
        (Metric::RsrqCb, -110),
    ];
    assert_eq!((found.parts[0].name.as_str(), &found.parts[0].values[..]), ("modem1", &expected[..]));
    assert!(!read("teltonika-legacy", &new).await.0);
    assert!(!read("teltonika", &legacy).await.0);
    let (_, found) = read("teltonika-legacy", &legacy).await;
    assert!(found.values.0.contains(&(Metric::Registration, 1)) && found.values.0.contains(&(Metric::RsrqCb, -125)));
}

#[tokio::test]
async fn teltonikas_hotspot_passwords_are_never_asked_for() {
    let secret: ObjectId = "1.3.6.1.4.1.48690.3".parse().unwrap();
    let recorded = Recorded::new(TELTONIKA);
    for name in ["teltonika", "teltonika-legacy"] {
        read(name, &recorded).await;
    }
    for (object, stride) in recorded.asked.lock().unwrap().iter() {
        assert!(!object.touches(&secret), "{object}");
        assert_ne!(*stride, Some(Stride::Bulk), "a bulk request at the end of {object} fetches what follows");
    }
    let dir = tempfile::tempdir().unwrap();
    for root in ["1.3.6.1.4.1.48690.3.1.1.3", "1.3.6.1.4.1.48690", "1.3.6.1.4"] {
        let file = dir.path().join("own.yaml");
        std::fs::write(
            &file,
            format!(
                "{{ title: x, detect: {{ oid: 1.3.6.1.2.1.1.2.0 }}, rows: {{ part: x, columns: [{{ metric: plmn, oid: {root} }}] }} }}"
            ),
        )
        .unwrap();
        assert!(Device::load(&file.display().to_string()).unwrap_err().contains("passwords"), "{root}");
    }
}

#[tokio::test]
async fn a_ups_on_battery_says_so() {
    let recorded = Recorded::new(
        ".1.3.6.1.2.1.33.1.2.1.0 = INTEGER: 2
        .1.3.6.1.2.1.33.1.2.2.0 = INTEGER: 345
        .1.3.6.1.2.1.33.1.2.3.0 = INTEGER: 41
        .1.3.6.1.2.1.33.1.2.4.0 = INTEGER: 77
        .1.3.6.1.2.1.33.1.2.5.0 = INTEGER: 267
        .1.3.6.1.2.1.33.1.3.3.1.3.1 = INTEGER: 0
        .1.3.6.1.2.1.33.1.4.1.0 = INTEGER: 5
        .1.3.6.1.2.1.33.1.4.4.1.5.1 = INTEGER: 22",
    );
    let (_, found) = read("ups", &recorded).await;
    let expected = [
        (Metric::UpsBatteryStatus, 2),
        (Metric::UpsOnBatteryS, 345),
        (Metric::UpsMinutesLeft, 41),
        (Metric::UpsChargePct, 77),
        (Metric::VoltageMv, 26_700),
        (Metric::UpsInputDv, 0),
        (Metric::UpsSource, 5),
        (Metric::UpsLoadPct, 22),
    ];
    assert_eq!(found.values.0, expected);
}

/// Values as a Smart-UPS with an AP9630 card gives them (PowerNet-MIB; time ticks are hundredths of a second).
#[tokio::test]
async fn an_apc_ups_without_rfc_1628_tells_its_battery() {
    let walk = |status: u32| {
        format!(
            ".1.3.6.1.4.1.318.1.1.1.2.1.1.0 = INTEGER: 2
            .1.3.6.1.4.1.318.1.1.1.2.1.2.0 = Timeticks: 34500
            .1.3.6.1.4.1.318.1.1.1.2.2.1.0 = Gauge32: 77
            .1.3.6.1.4.1.318.1.1.1.2.2.2.0 = Gauge32: 31
            .1.3.6.1.4.1.318.1.1.1.2.2.3.0 = Timeticks: 246000
            .1.3.6.1.4.1.318.1.1.1.2.2.8.0 = INTEGER: 27
            .1.3.6.1.4.1.318.1.1.1.3.2.1.0 = Gauge32: 226
            .1.3.6.1.4.1.318.1.1.1.4.1.1.0 = INTEGER: {status}
            .1.3.6.1.4.1.318.1.1.1.4.2.3.0 = Gauge32: 22"
        )
    };
    let (_, found) = read("apc", &Recorded::new(&walk(3))).await;
    let expected = [
        (Metric::UpsBatteryStatus, 2),
        (Metric::UpsOnBatteryS, 345),
        (Metric::UpsChargePct, 77),
        (Metric::TemperatureDc, 310),
        (Metric::UpsMinutesLeft, 41),
        (Metric::VoltageMv, 27_000),
        (Metric::UpsInputDv, 2_260),
        (Metric::UpsSource, 5),
        (Metric::UpsLoadPct, 22),
    ];
    assert_eq!(found.values.0, expected);
    for (status, source) in [(2, 3), (4, 6), (6, 4), (7, 2), (12, 7)] {
        let (_, found) = read("apc", &Recorded::new(&walk(status))).await;
        assert!(found.values.0.contains(&(Metric::UpsSource, source)), "{status}");
    }
}

#[tokio::test]
async fn an_eaton_ups_tells_its_battery() {
    let recorded = Recorded::new(
        ".1.3.6.1.4.1.534.1.2.1.0 = INTEGER: 2460
        .1.3.6.1.4.1.534.1.2.2.0 = INTEGER: 81
        .1.3.6.1.4.1.534.1.2.4.0 = INTEGER: 99
        .1.3.6.1.4.1.534.1.3.4.1.2.1 = INTEGER: 231
        .1.3.6.1.4.1.534.1.4.1.0 = INTEGER: 18
        .1.3.6.1.4.1.534.1.4.5.0 = INTEGER: 10
        .1.3.6.1.4.1.534.1.6.1.0 = INTEGER: 24",
    );
    let (_, found) = read("eaton", &recorded).await;
    let expected = [
        (Metric::UpsMinutesLeft, 41),
        (Metric::VoltageMv, 81_000),
        (Metric::UpsChargePct, 99),
        (Metric::UpsInputDv, 2_310),
        (Metric::UpsLoadPct, 18),
        (Metric::UpsSource, 3),
        (Metric::TemperatureDc, 240),
    ];
    assert_eq!(found.values.0, expected);
    assert!(!read("apc", &recorded).await.0 && !read("netagent", &recorded).await.0);
}

#[tokio::test]
async fn a_netagent_ups_tells_its_battery() {
    let recorded = Recorded::new(
        ".1.3.6.1.4.1.935.1.1.1.2.1.1.0 = INTEGER: 2
        .1.3.6.1.4.1.935.1.1.1.2.2.1.0 = INTEGER: 100
        .1.3.6.1.4.1.935.1.1.1.2.2.2.0 = INTEGER: 273
        .1.3.6.1.4.1.935.1.1.1.2.2.3.0 = INTEGER: 265
        .1.3.6.1.4.1.935.1.1.1.3.2.1.0 = INTEGER: 2324
        .1.3.6.1.4.1.935.1.1.1.4.1.1.0 = INTEGER: 3
        .1.3.6.1.4.1.935.1.1.1.4.2.3.0 = INTEGER: 12",
    );
    let (_, found) = read("netagent", &recorded).await;
    let expected = [
        (Metric::UpsBatteryStatus, 2),
        (Metric::UpsChargePct, 100),
        (Metric::VoltageMv, 27_300),
        (Metric::TemperatureDc, 265),
        (Metric::UpsInputDv, 2_324),
        (Metric::UpsSource, 5),
        (Metric::UpsLoadPct, 12),
    ];
    assert_eq!(found.values.0, expected);
}

/// The rows of a CRS317 and of an RB5009: what each counts stands in another column.
#[tokio::test]
async fn routeros_gauges_are_read_by_what_each_row_counts() {
    let recorded = Recorded::new(
        ".1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.14988.1
        .1.3.6.1.4.1.14988.1.1.3.100.1.2.13 = STRING: \"psu1-voltage\"
        .1.3.6.1.4.1.14988.1.1.3.100.1.2.17 = STRING: \"cpu-temperature\"
        .1.3.6.1.4.1.14988.1.1.3.100.1.2.7001 = STRING: \"fan1-speed\"
        .1.3.6.1.4.1.14988.1.1.3.100.1.3.13 = INTEGER: 121
        .1.3.6.1.4.1.14988.1.1.3.100.1.3.17 = INTEGER: 43
        .1.3.6.1.4.1.14988.1.1.3.100.1.3.50 = INTEGER: -4
        .1.3.6.1.4.1.14988.1.1.3.100.1.3.7001 = INTEGER: 3900
        .1.3.6.1.4.1.14988.1.1.3.100.1.4.13 = INTEGER: 3
        .1.3.6.1.4.1.14988.1.1.3.100.1.4.17 = INTEGER: 1
        .1.3.6.1.4.1.14988.1.1.3.100.1.4.50 = INTEGER: 1
        .1.3.6.1.4.1.14988.1.1.3.100.1.4.7001 = INTEGER: 2",
    );
    let (_, found) = read("mikrotik-gauges", &recorded).await;
    let parts: Vec<(&str, &[(Metric, i64)])> = found.parts.iter().map(|p| (p.name.as_str(), &p.values[..])).collect();
    let expected: [(&str, &[(Metric, i64)]); 3] = [
        ("psu1-voltage", &[(Metric::VoltageMv, 12_100)]),
        ("cpu-temperature", &[(Metric::TemperatureDc, 430)]),
        ("gauge50", &[(Metric::TemperatureDc, -40)]),
    ];
    assert_eq!(parts, expected);
}

/// The faults these keep out: RutOS without 48690.2.1.0 gave nothing, and a good SINR of legacy firmware was told as a bad one.
#[tokio::test]
async fn rutos_is_known_by_its_modems_and_legacy_sinr_by_its_sign() {
    let uncounted = TELTONIKA.replace(".1.3.6.1.4.1.48690.2.1.0 = INTEGER: 1\n", "");
    let recorded = Recorded::new(&uncounted);
    let (recognised, found) = read("teltonika", &recorded).await;
    assert!(recognised && found.parts[0].values.contains(&(Metric::RsrpDbm, -94)));
    let secret: ObjectId = "1.3.6.1.4.1.48690.3".parse().unwrap();
    assert!(recorded.asked.lock().unwrap().iter().all(|(object, stride)| !object.touches(&secret) && *stride != Some(Stride::Bulk)));
    assert!(!read("teltonika-legacy", &recorded).await.0);
    let legacy = Recorded::new(&format!("{TELTONIKA_LEGACY}\n.1.3.6.1.4.1.48690.2.22.0 = STRING: \"-13.4\""));
    let (_, found) = read("teltonika-legacy", &legacy).await;
    assert!(found.values.0.contains(&(Metric::SinrCb, 134)), "{:?}", found.values.0);
}

#[tokio::test]
async fn an_olt_lists_its_subscribers_but_not_the_silent_ones() {
    let recorded = Recorded::new(
        ".1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.2011.2.248
        .1.3.6.1.4.1.2011.6.128.1.1.2.51.1.4.4194304000.1 = INTEGER: -2310
        .1.3.6.1.4.1.2011.6.128.1.1.2.51.1.4.4194304000.2 = INTEGER: 2147483647",
    );
    let (_, found) = read("huawei-olt", &recorded).await;
    assert_eq!(found.parts.len(), 1);
    assert_eq!((found.parts[0].name.as_str(), &found.parts[0].values[..]), ("ont4194304000.1", &[(Metric::OpticalRxCdbm, -2_310)][..]));
}

#[test]
fn every_shipped_device_file_is_built_in_and_reads() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/snmp");
    let files: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert!(files.len() >= 10);
    for name in files {
        let device = Device::load(&name).unwrap_or_else(|e| panic!("{e}"));
        assert!(device.own_metrics().chain(device.part_metrics()).count() > 0);
    }
    assert!(Device::load("mikrotik").unwrap_err().contains("mikrotik-lte"));
}

/// Debian's snmpd with a community, a v3 user and this network's interfaces.
fn snmpd(dir: &Path) -> Daemon {
    let write = |file: &str, text: &str| std::fs::write(dir.join(file), text).unwrap();
    write("community", "villages\n");
    write("auth", "auth-password\n");
    write("privacy", "privacy-password\n");
    write("wrong", "another-password\n");
    write(
        "snmpd.conf",
        "agentAddress udp:127.0.0.1:161,udp6:[::1]:161\nrocommunity villages 127.0.0.1\nrocommunity6 villages ::1\n\
         createUser monitor SHA-256 auth-password AES privacy-password\nrouser monitor priv\n\
         createUser strong SHA-512 auth-password AES-256 privacy-password\nrouser strong priv\n",
    );
    let at = dir.display();
    Daemon::start(
        "env",
        &["SNMP_PERSISTENT_DIR=/nonexistent", "snmpd", "-f", "-C", "-c", &format!("{at}/snmpd.conf"), "-p", &format!("{at}/pid"), "-Le"],
    )
}

fn v2c(dir: &Path, rest: &str) -> Probe {
    probe(&format!("snmp: {{ address: 127.0.0.1, community_file: '{}/community' {rest} }}", dir.display()))
}

async fn until_answered(prober: &Prober, target: &Probe) -> Measurement {
    for _ in 0..50 {
        let measured = prober.measure(target, &Way::default(), Duration::from_secs(3)).await;
        if measured.outcome == Outcome::Ok {
            return measured;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("snmpd never answered");
}

fn part<'a>(measured: &'a Measurement, name: &str) -> &'a Part {
    measured.parts.iter().find(|p| p.name == name).unwrap()
}

fn value(part: &Part, metric: Metric) -> Option<i64> {
    part.values.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v)
}

#[test]
fn snmpd_tells_its_interfaces_and_their_rates() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let _neighbour = Neighbour::cabled("v0", "10.94.1.2/24", "r0", "10.94.1.1/24");
        let _snmpd = snmpd(dir.path());
        let target = v2c(dir.path(), ", interfaces: [v0, absent0], devices: [net-snmp]");
        block_on(async {
            let prober = prober();
            let first = until_answered(&prober, &target).await;
            assert!(first.value(Metric::UptimeS).is_some() && first.value(Metric::Load1Milli).is_some());
            assert_eq!(value(part(&first, "v0"), Metric::IfOperStatus), Some(1));
            assert_eq!(value(part(&first, "v0"), Metric::ReceiveBps), None);
            let absent = part(&first, "absent0");
            assert_eq!((absent.outcome, value(absent, Metric::IfOperStatus)), (Outcome::Unexpected, Some(6)));
            assert!(first.bytes > 500);
            let pings = probe("icmp: { address: 10.94.1.1, count: 100, size: 1400 }");
            let pinged = prober.measure(&pings, &Way::default(), Duration::from_millis(1_500)).await;
            assert_eq!(pinged.value(Metric::Received), Some(100));
            // snmpd refreshes its counters every few seconds.
            tokio::time::sleep(Duration::from_secs(4)).await;
            let second = prober.measure(&target, &Way::default(), Duration::from_secs(3)).await;
            let (before, after) = (part(&first, "v0"), part(&second, "v0"));
            let moved = value(after, Metric::IfHcInOctets).unwrap() - value(before, Metric::IfHcInOctets).unwrap();
            assert!((144_000..160_000).contains(&moved), "100 replies of 1,442 bytes, not {moved}");
            assert!(value(after, Metric::ReceiveBps).unwrap() > 50_000);
            let (own, parts) = (target.metrics(), target.part_metrics());
            assert!(second.values.iter().all(|(m, _)| own.contains(m)));
            assert!(second.parts.iter().flat_map(|p| &p.values).all(|(m, _)| parts.contains(m)));
        });
    });
}

/// A v3 user of `snmpd` with the password in the file `auth`.
fn v3(dir: &Path, address: &str, user: &str, auth: &str) -> Probe {
    let at = dir.display();
    probe(&format!(
        "snmp: {{ address: '{address}', user: {{ {user}, auth_password_file: '{at}/{auth}', privacy_password_file: '{at}/privacy' }} }}"
    ))
}

#[test]
fn v3_reads_over_either_family_and_wrong_passwords_do_not() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let _snmpd = snmpd(dir.path());
        block_on(async {
            let prober = prober();
            let sha256 = "name: monitor, auth: sha256, privacy: aes128";
            let sha512 = "name: strong, auth: sha512, privacy: aes256";
            for (address, user) in [("127.0.0.1", sha256), ("::1", sha512), ("127.0.0.1", sha512), ("::1", sha256)] {
                let target = v3(dir.path(), address, user, "auth");
                let first = until_answered(&prober, &target).await;
                assert!(first.value(Metric::UptimeS).is_some());
                let second = prober.measure(&target, &Way::default(), Duration::from_secs(3)).await;
                assert!(second.bytes < first.bytes, "the engine is known by now: {} and {}", first.bytes, second.bytes);
                let wrong = prober.measure(&v3(dir.path(), address, user, "wrong"), &Way::default(), Duration::from_secs(2)).await;
                assert!(matches!(wrong.outcome, Outcome::Timeout | Outcome::Unexpected), "{wrong:?}");
            }
            // What one user may do, another user's cipher may not.
            let mixed = v3(dir.path(), "127.0.0.1", "name: strong, auth: sha512, privacy: aes128", "auth");
            let mixed = prober.measure(&mixed, &Way::default(), Duration::from_secs(2)).await;
            assert!(matches!(mixed.outcome, Outcome::Timeout | Outcome::Unexpected), "{mixed:?}");
            let six = probe(&format!("snmp: {{ address: '::1', community_file: '{}/community' }}", dir.path().display()));
            assert_eq!(prober.measure(&six, &Way::default(), Duration::from_secs(3)).await.outcome, Outcome::Ok);
            std::fs::write(dir.path().join("community"), "guessed").unwrap();
            let community = prober.measure(&v2c(dir.path(), ""), &Way::default(), Duration::from_millis(700)).await;
            assert_eq!(community.outcome, Outcome::Timeout);
        });
    });
}

/// Answers every request with what `forge` makes of the request's id and first object.
async fn liar(forge: impl Fn(i32, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Some((id, oid)) = taken_apart(&buffer[..length]) else { continue };
            for answer in forge(id, &oid) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

/// Finds the request id and the first object's bytes in a v2c request; all its lengths are short.
fn taken_apart(request: &[u8]) -> Option<(i32, Vec<u8>)> {
    let pdu = request.iter().position(|b| matches!(b, 0xa0 | 0xa1 | 0xa5))?;
    let id_length = usize::from(*request.get(pdu + 3)?);
    let id = request.get(pdu + 4..pdu + 4 + id_length)?.iter().fold(0_i32, |id, b| (id << 8) | i32::from(*b));
    let oid = pdu + 4 + id_length + request.get(pdu + 4 + id_length..)?.iter().position(|b| *b == 0x06)?;
    let length = usize::from(*request.get(oid + 1)?);
    Some((id, request.get(oid + 2..oid + 2 + length)?.to_vec()))
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag, 0x82];
    bytes.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

fn response(id: i32, oid: &[u8], value: &[u8]) -> Vec<u8> {
    let binding = tlv(0x30, &[tlv(0x06, oid), value.to_vec()].concat());
    let pdu = [tlv(0x02, &id.to_be_bytes()), tlv(0x02, &[0]), tlv(0x02, &[0]), tlv(0x30, &binding)].concat();
    tlv(0x30, &[tlv(0x02, &[1]), tlv(0x04, b"villages"), tlv(0xa2, &pdu)].concat())
}

const TICKS: &[u8] = &[0x43, 0x01, 0x64];
const NAME: &[u8] = b"\x04\x02v0";

async fn ask_liar(address: SocketAddr) -> Measurement {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("community"), "villages").unwrap();
    let target =
        probe(&format!("snmp: {{ address: '{address}', community_file: '{}/community', interfaces: [v9] }}", dir.path().display()));
    let started = Instant::now();
    let measured = prober().measure(&target, &Way::default(), Duration::from_secs(2)).await;
    assert!(started.elapsed() < Duration::from_millis(2_200), "{:?}", started.elapsed());
    measured
}

#[tokio::test]
async fn answers_to_other_requests_are_passed_over() {
    let address = liar(|id, oid| vec![response(id ^ 0x55, oid, TICKS), vec![0x30, 0x82, 0xff, 0xff], response(id, oid, TICKS)]).await;
    let measured = ask_liar(address).await;
    assert_eq!(measured.value(Metric::UptimeS), Some(1));
}

#[tokio::test]
async fn a_device_whose_objects_never_advance_is_malformed() {
    let address = liar(|id, oid| vec![response(id, oid, if oid.len() == 8 { TICKS } else { NAME })]).await;
    assert_eq!(ask_liar(address).await.outcome, Outcome::Malformed);
}

#[tokio::test]
async fn a_device_without_end_is_cut_off() {
    let address = liar(|id, oid| {
        if oid.len() == 8 {
            return vec![response(id, oid, TICKS)];
        }
        // One object further than asked, for ever, all below ifName.
        let mut next = oid.to_vec();
        if next.len() <= 11 {
            next.extend_from_slice(&[0x81, 0x80, 0x00]);
        } else {
            let last = next.len() - 1;
            let count = (u16::from(next[last - 1] & 0x7f) << 7 | u16::from(next[last])) + 1;
            next[last - 1] = 0x80 | (count >> 7) as u8;
            next[last] = (count & 0x7f) as u8;
        }
        vec![response(id, &next, NAME)]
    })
    .await;
    let measured = ask_liar(address).await;
    assert!(matches!(measured.outcome, Outcome::Malformed | Outcome::Timeout), "{measured:?}");
    assert!(measured.parts.is_empty());
}

#[tokio::test]
async fn garbage_is_never_an_answer() {
    let address =
        liar(|_, _| vec![Vec::new(), vec![0x30], vec![0xff; 1_400], vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01]]).await;
    assert_eq!(ask_liar(address).await.outcome, Outcome::Timeout);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    assert!(refusal("snmp: { address: 10.0.0.1 }").contains("one of `community_file`"));
    assert!(refusal("snmp: { address: 10.0.0.1, community_file: /nosuch }").contains("/nosuch"));
    assert!(refusal("snmp: { address: 10.0.0.1, community: public }").contains("unknown field `community`"));
    assert!(refusal("snmp: { address: 10.0.0.1, community_file: /etc/hostname, devices: [toaster] }").contains("mikrotik-lte"));
}
