//! Recorded outputs of every reader give the same metrics in the same units.

use proptest::prelude::*;

use super::*;

fn facts(read: impl Fn(&str, &mut Facts), outputs: &[&str]) -> Facts {
    let mut facts = Facts::default();
    outputs.iter().for_each(|output| read(output, &mut facts));
    facts
}

/// One cell of Irancell as five tools tell it.
const SAME_CELL: [(Metric, i64); 5] =
    [(Metric::Registration, 1), (Metric::Rat, 4), (Metric::RsrpDbm, -98), (Metric::RsrqCb, -100), (Metric::BearerUp, 1)];

const UQMI: [&str; 6] = [
    r#"{ "type": "lte", "rssi": -67, "rsrq": -10, "rsrp": -98, "snr": 12.400000 }"#,
    r#"{ "registration": "registered", "plmn_mcc": 432, "plmn_mnc": 35, "plmn_description": "Irancell", "roaming": false }"#,
    r#"{ "lte": { "service_status": "available", "enodeb_id": 6699, "cell_id": 3, "tracking_area_code": 49570 } }"#,
    r#""connected""#,
    r#"{ "card_application_state": "ready", "pin1_status": "disabled" }"#,
    r#""8998350000123456789""#,
];

const MMCLI: [&str; 4] = [
    r#"{"modem":{"3gpp":{"operator-code":"43235","operator-name":"Irancell","registration-state":"home"},
        "generic":{"access-technologies":["lte"],"ports":["cdc-wdm0 (qmi)","ttyUSB2 (at)","wwan0 (net)"],"sim":"/org/freedesktop/ModemManager1/SIM/0","signal-quality":{"recent":"yes","value":"61"},
        "state":"connected","state-failed-reason":"--","unlock-required":"none"}}}"#,
    r#"{"modem":{"signal":{"5g":{"error-rate":"--","rsrp":"--","rsrq":"--","snr":"--"},"lte":{"rsrp":"-98.00","rsrq":"-10.00","rssi":"-67.00","snr":"12.40"},
        "refresh":{"rate":"30"}}}}"#,
    r#"{"modem":{"location":{"3gpp":{"cid":"001A2B03","lac":"FFFE","mcc":"432","mnc":"35","tac":"00C1A2"}}}}"#,
    r#"{"sim":{"dbus-path":"/org/freedesktop/ModemManager1/SIM/0","properties":{"iccid":"8998350000123456789","imsi":"--","operator-code":"43235"}}}"#,
];

const AT: [&str; 10] = [
    "\r\n+CPIN: READY\r\n\r\nOK\r\n",
    "\r\n+CEREG: 2,1,\"C1A2\",\"01A2B03\",7\r\n\r\nOK\r\n",
    "\r\n+COPS: 0,2,\"43235\",7\r\n\r\nOK\r\n",
    "\r\n+CESQ: 99,99,255,255,19,42\r\n\r\nOK\r\n",
    "\r\n+CSQ: 23,99\r\n\r\nOK\r\n",
    "\r\n+CGPADDR: 1,\"10.71.3.9\"\r\n+CGPADDR: 2,\"0.0.0.0\"\r\n\r\nOK\r\n",
    "\r\n+QCSQ: \"LTE\",-67,-98,162,-10\r\n\r\nOK\r\n",
    "\r\n+QENG: \"servingcell\",\"NOCONN\",\"LTE\",\"FDD\",432,35,1A2B03,123,1850,3,5,5,C1A2,-98,-10,-67,12,10,0,35\r\n\r\nOK\r\n",
    "\r\n+CGDCONT: 1,\"IP\",\"mtnirancell\",\"\",0,0\r\n+CGDCONT: 2,\"IPV4V6\",\"ims\"\r\n\r\nOK\r\n",
    "\r\n+QCCID: 8998350000123456789F\r\n\r\nOK\r\n",
];

const HILINK: [&str; 4] = [
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><pci>123</pci><sc></sc><cell_id>1714947</cell_id><rsrq>-10.0dB</rsrq><rsrp>-98dBm</rsrp>\
        <rssi>&gt;=-51dBm</rssi><sinr>12dB</sinr><band>3</band><enodeb_id>0006699</enodeb_id></response>",
    "<response><ConnectionStatus>901</ConnectionStatus><SimStatus>1</SimStatus><ServiceStatus>2</ServiceStatus><RoamingStatus>0</RoamingStatus></response>",
    "<response><State>0</State><FullName>Irancell</FullName><Numeric>43235</Numeric><Rat>7</Rat></response>",
    "<response><DeviceName>E3372</DeviceName><Iccid>8998350000123456789</Iccid></response>",
];

#[test]
fn every_reader_tells_the_same_cell_alike() {
    let all = [facts(uqmi::read, &UQMI), facts(mmcli::read, &MMCLI), facts(at::read, &AT), facts(hilink::read, &HILINK)];
    for (index, facts) in all.iter().enumerate() {
        for (metric, value) in SAME_CELL {
            assert_eq!(facts.get(metric), Some(value), "reader {index}, {metric:?}");
        }
        assert_eq!(facts.get(Metric::Plmn), Some(43_235), "reader {index}");
        assert_eq!(facts.get(Metric::SimState), Some(sim::READY), "reader {index}");
        assert_eq!(facts.get(Metric::CellId), Some(0x1a_2b03), "reader {index}");
        assert_eq!(facts.iccid, "8998350000123456789".parse().ok(), "reader {index}");
        let sinr = facts.get(Metric::SinrCb).unwrap();
        assert!((120..=124).contains(&sinr), "reader {index}: {sinr}");
    }
    for facts in &all[..3] {
        assert_eq!((facts.get(Metric::Tac), facts.get(Metric::RssiDbm)), (Some(0xc1a2), Some(-67)));
    }
    assert_eq!((all[2].get(Metric::Pci), all[2].get(Metric::Band)), (Some(123), Some(3)));
    assert_eq!((all[1].interfaces.as_slice(), all[2].apn.as_deref()), (&["wwan0".to_string()][..], Some("mtnirancell")));
    assert_eq!(facts(at::read, &["\r\n8998350000123456789\r\n\r\nOK\r\n"]).iccid, all[2].iccid, "as SIMCom says it");
    // Which card it is, the probe says, who has the router's key.
    let order: Vec<Metric> = all[2].clone().into_values().into_iter().map(|(metric, _)| metric).collect();
    assert_eq!(order, METRICS[..METRICS.len() - 1]);
}

#[test]
fn uqmi_of_before_2018_counts_tenths() {
    assert_eq!(facts(uqmi::read, &[r#"{"type":"lte","rsrp":-98,"snr":124}"#]).get(Metric::SinrCb), Some(124));
    assert_eq!(facts(uqmi::read, &[r#"{"type":"lte","rsrp":-98,"snr":12.0}"#]).get(Metric::SinrCb), Some(120));
}

#[test]
fn uqmi_with_a_5g_leg_keeps_the_anchor() {
    let both = r#"[ { "type": "lte", "rssi": -60, "rsrq": -11, "rsrp": -91, "snr": 8.0 }, { "type": "5gnr", "rsrp": -102, "snr": 3.0, "rsrq": -12 } ]"#;
    let facts = facts(uqmi::read, &[both]);
    assert_eq!((facts.get(Metric::Rat), facts.get(Metric::RsrpDbm), facts.get(Metric::SinrCb)), (Some(5), Some(-91), Some(80)));
}

#[test]
fn unknown_is_left_out_and_never_a_strong_signal() {
    let unknown = facts(at::read, &["+CESQ: 99,99,255,255,255,255\r\nOK\r\n", "+CSQ: 99,99\r\nOK\r\n", "+CEREG: 0,4\r\nOK\r\n"]);
    assert_eq!(unknown.into_values(), [(Metric::Registration, registration::UNKNOWN)]);
    let searching = "+QENG: \"servingcell\",\"SEARCH\"\r\n\r\nOK\r\n";
    assert_eq!(facts(at::read, &[searching]).into_values(), [(Metric::Registration, registration::SEARCHING)]);
    let dashes = "+QENG: \"servingcell\",\"LIMSRV\",\"LTE\",\"FDD\",432,35,-,-,-,-,-,-,-,-,-,-,-\r\nOK\r\n";
    let values = facts(at::read, &[dashes]).into_values();
    assert_eq!(values, [(Metric::Registration, 0), (Metric::Rat, 4), (Metric::Plmn, 43_235)]);
    assert!(facts(hilink::read, &["<error><code>125003</code><message></message></error>"]).is_empty(), "a login is wanted");
    assert!(facts(mmcli::read, &["error: couldn't find modem", "{}"]).is_empty());
    assert!(facts(hilink::read, &["<rsrp>-150dBm</rsrp><sinr>99dB</sinr>"]).is_empty());
}

#[test]
fn sims_that_are_missing_or_locked_are_told_apart() {
    let state = |read: fn(&str, &mut Facts), output: &str| facts(read, &[output]).get(Metric::SimState);
    assert_eq!(state(at::read, "+CME ERROR: 10\r\n"), Some(sim::ABSENT));
    assert_eq!(state(at::read, "+CME ERROR: SIM failure\r\n"), Some(sim::FAILED));
    assert_eq!(state(at::read, "+CPIN: SIM PUK\r\nOK\r\n"), Some(sim::PUK));
    assert_eq!(state(mmcli::read, r#"{"modem":{"generic":{"state":"failed","state-failed-reason":"sim-missing"}}}"#), Some(sim::ABSENT));
    assert_eq!(state(mmcli::read, r#"{"modem":{"generic":{"state":"locked","unlock-required":"sim-pin"}}}"#), Some(sim::PIN));
    assert_eq!(state(uqmi::read, r#"{"card_application_state":"pin1_or_upin_pin_required"}"#), Some(sim::PIN));
    assert_eq!(state(hilink::read, "<SimStatus>255</SimStatus>"), Some(sim::ABSENT));
}

#[test]
fn ubus_knows_the_bearer() {
    let up = r#"{"up":true,"pending":false,"uptime":86400,"l3_device":"wwan0","ipv4-address":[{"address":"10.71.3.9","mask":32}],"ipv6-address":[]}"#;
    assert_eq!(facts(ubus::read, &[up]).get(Metric::BearerUp), Some(1));
    assert_eq!(facts(ubus::read, &[r#"{"up":true,"ipv4-address":[]}"#]).get(Metric::BearerUp), Some(0));
    assert_eq!(facts(ubus::read, &[r#"{"up":false}"#]).get(Metric::BearerUp), Some(0));
    assert!(facts(ubus::read, &["Command failed: Not found"]).is_empty());
}

#[test]
fn an_answer_ends_with_its_result_code() {
    assert!(at::is_complete("\r\n+CSQ: 23,99\r\n\r\nOK\r\n"));
    assert!(at::is_complete("AT+CPIN?\r\r\n+CME ERROR: 10\r\n"));
    for partial in ["\r\n+CSQ: 23,99\r\n", "\r\nOK", "", "\r\n+COPS: 0,0,\"OK\"\r\n"] {
        assert!(!at::is_complete(partial), "{partial:?}");
    }
}

#[test]
fn ussd_texts_tell_the_data_left_in_both_languages() {
    let latin = at::ussd("\r\nOK\r\n\r\n+CUSD: 0,\"Baghimandeh: 1,250.5 MB ta 1405/09/01\",15\r\n").unwrap();
    assert_eq!(at::balance_kib(&latin), Some(1_280_512));
    let persian = "باقیمانده بسته شما ۲٫۵ گیگابایت";
    let hex: String = persian.encode_utf16().map(|unit| format!("{unit:04X}")).collect();
    let decoded = at::ussd(&format!("+CUSD: 0,\"{hex}\",72\r\n")).unwrap();
    assert_eq!(decoded, persian);
    assert_eq!(at::balance_kib(&decoded), Some(2_621_440));
    assert_eq!(at::balance_kib("1. Kharid 2. Mojudi"), None);
    assert_eq!(at::balance_kib("1) 500 Toman 300MB"), Some(300 * 1024));
    assert_eq!(at::ussd("+CUSD: 2\r\n"), None);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,200}", digits in "[0-9,.+\"A-F:-]{0,80}") {
        let mut facts = Facts::default();
        for text in [text.clone(), format!("+QENG: \"servingcell\",{digits}\r\n"), format!("+CEREG: {digits}\r\n"), format!("<rsrp>{digits}</rsrp>")] {
            uqmi::read(&text, &mut facts);
            mmcli::read(&text, &mut facts);
            at::read(&text, &mut facts);
            hilink::read(&text, &mut facts);
            ubus::read(&text, &mut facts);
            let _ = at::ussd(&text);
            let _ = at::balance_kib(&text);
        }
        for (metric, value) in facts.into_values() {
            let (least, most) = range(metric);
            prop_assert!((least..=most).contains(&value));
        }
    }
}
