//! Calls through a killed collector, to gateways that say nothing, lie, cut the connection and break: everybody hears of
//! the trouble and of its end once.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use rusta_tests::ear::{Ear, Heard, Says};
use rusta_tests::http;
use rusta_tests::programs::{eventually, run, run_ok};

use crate::villages::Villages;

const SMS_OK: &str = r#"{"return":{"status":200}}"#;
const BOT_OK: &str = r#"{"ok":true}"#;

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Reads one field of a form.
fn field(heard: &Heard, name: &str) -> String {
    let fields = heard.body.split('&').filter_map(|field| field.split_once('='));
    fields.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next().unwrap_or_default()
}

/// Counts the texts an SMS gateway would deliver: it knows the local ids it has seen.
fn texts(sms: &Ear) -> BTreeMap<String, usize> {
    let mut texts = BTreeMap::new();
    sms.heard().iter().for_each(|heard| *texts.entry(field(heard, "localid")).or_default() += 1);
    texts
}

fn count(ear: &Ear) -> usize {
    ear.heard().len()
}

#[test]
fn everybody_hears_once_although_gateways_fail_and_the_collector_is_killed_over_a_call() {
    // The SMS gateway takes the first text and never says so; it knows repeats.
    let sms = Ear::http(listener(), |nth, _| if nth == 0 { Says::Nothing } else { Says::Answer(200, SMS_OK) });
    // The mail server takes the first mail and cuts the connection.
    let mail = Ear::mail(listener(), |nth, _| if nth == 0 { Says::HangUp } else { Says::Answer(250, "taken") });
    // The first bot takes the first message and never says so; nobody may ask it again.
    let mute = Ear::http(listener(), |nth, _| if nth == 0 { Says::Nothing } else { Says::Answer(200, BOT_OK) });
    // The second bot is broken, then says 200 and no.
    let liar = Ear::http(listener(), |nth, _| if nth == 0 { Says::Answer(503, "") } else { Says::Answer(200, r#"{"ok":false}"#) });
    let good = Ear::http(listener(), |_, _| Says::Answer(200, BOT_OK));
    let oncall = format!(
        "channels:\n\
         - {{ name: sms, preset: kavenegar, url: \"http://{}/send\", options: {{ sender: \"1000\" }} }}\n\
         - {{ name: mail, preset: smtp, options: {{ host: 127.0.0.1, port: \"{}\", tls: none, from: \"rusta@example.ir\" }} }}\n\
         - {{ name: mute, preset: bale, url: \"http://{}/mute\" }}\n\
         - {{ name: liar, preset: bale, url: \"http://{}/liar\" }}\n\
         - {{ name: good, preset: bale, url: \"http://{}/good\" }}\n\
         people:\n\
         - {{ name: texted, addresses: {{ sms: \"09121110001\" }} }}\n\
         - {{ name: mailed, addresses: {{ mail: \"mailed@example.ir\", good: \"1\" }} }}\n\
         - {{ name: muted, addresses: {{ mute: \"2\", good: \"3\" }} }}\n\
         - {{ name: lied, addresses: {{ liar: \"4\", good: \"5\" }} }}\n\
         routes:\n\
         - name: noc\n  \
           ticket: [{{ people: [texted, mailed, muted, lied], channels: [sms, mail, mute, liar, good] }}]\n",
        sms.address,
        mail.address.port(),
        mute.address,
        liar.address,
        good.address
    );
    let mut villages = Villages::start(&oncall);
    villages.set(5, false);
    eventually(Duration::from_secs(120), "the gateways have the first calls in hand", || {
        (count(&sms) == 1 && count(&mute) == 1 && count(&mail) == 1 && count(&liar) >= 1).then_some(())
    });
    let ask = |villages: &Villages, arguments: &[&str]| run_ok(villages.stage.collector().arg("alerts").args(arguments));
    // A call cut short by the kill would be sent again by this bot, which nobody may hear from twice below.
    eventually(Duration::from_secs(60), "the mail's place was taken", || {
        ask(&villages, &["why", "1"]).contains("mailed: good: delivered").then_some(())
    });
    villages.restart_collector();

    // By the good bot: the mail that may have arrived, the mute bot's message that may have, and what the liar refused.
    let chats = || {
        let mut chats: Vec<_> = good.heard().iter().map(|heard| heard.json()["chat_id"].as_str().unwrap().to_owned()).collect();
        chats.sort();
        chats
    };
    eventually(Duration::from_secs(180), "everybody heard of the trouble", || {
        (count(&sms) == 2 && chats() == ["1", "3", "5"]).then_some(())
    });
    assert_eq!(texts(&sms).len(), 1, "one text, asked for twice with one id: {:?}", sms.heard());
    assert_eq!((count(&mail), count(&mute)), (1, 1), "who may have delivered it is not asked again");
    assert!((1..=2).contains(&count(&liar)), "broken once, then a lie, unless the kill fell on the second call");

    villages.set(5, true);
    eventually(Duration::from_secs(180), "everybody heard of the end", || {
        (texts(&sms).len() == 2 && count(&mail) == 2 && count(&mute) == 2 && chats() == ["1", "3", "5", "5"]).then_some(())
    });
    let ends = mail.heard()[1].body.clone();
    assert!(ends.contains("Subject:"), "{ends}");
    assert!(good.heard()[3].json()["text"].as_str().unwrap().starts_with("برطرف شد"), "{:?}", good.heard()[3]);

    let ask = |arguments: &[&str]| ask(&villages, arguments);
    let why = ask(&["why", "1"]);
    for reason in ["one case of: class-b-down", "called lied, mailed, muted, texted", "over: 4 told", "texted: sms: delivered"] {
        assert!(why.contains(reason), "{reason}: {why}");
    }
    assert!(ask(&["why", "site-5"]).contains("incident/1 group pass"));
    let fired: serde_json::Value = serde_json::from_str(&ask(&["test", "class-b-down", "--json"])).unwrap();
    assert_eq!((fired["items"].as_array().unwrap().len(), &fired["items"][0]["incident"]), (1, &serde_json::json!(1)), "{fired}");
    let silent: serde_json::Value = serde_json::from_str(&ask(&["test", "agent-silent", "--json"])).unwrap();
    assert_eq!(silent["items"], serde_json::json!([]), "the log has nobody silent for an hour");
}

#[test]
fn announced_work_is_nobodys_emergency_and_its_end_is() {
    let ear = Ear::http(listener(), |_, _| Says::Answer(202, "{}"));
    let villages = Villages::start(&format!(
        "channels: [{{ name: pager, preset: webhook, url: \"http://{}/\" }}]\nroutes: [{{ name: noc, ticket: [{{ systems: [pager] }}] }}]\n",
        ear.address
    ));
    let state = || http::get(villages.http, "/api/v1/sites/site-5").unwrap().json()["state"].clone();
    eventually(Duration::from_secs(60), "the site is up", || (state() == "up").then_some(()));
    let ask = |arguments: &[&str]| run_ok(villages.stage.collector().args(["alerts", "maintenance"]).args(arguments));
    let refused = run(villages.stage.collector().args(["alerts", "maintenance", "add", "--from", "1405-08-01 02:00"]).args([
        "--until",
        "1405-08-01 01:00",
        "--reason",
        "splice",
        "site/site-5",
    ]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let hour = |hours: i64| {
        let at = rusta_collector::clock::now().0 + hours * 3_600_000;
        rusta_collector::persian::Moment::at(rusta_wire::UnixMs(at)).rfc3339()
    };
    ask(&["add", "--from", &hour(-1), "--until", &hour(2), "--reason", "splice", "site/site-5"]);
    eventually(Duration::from_secs(60), "the running collector knows", || (state() == "maintenance").then_some(()));
    villages.set(5, false);
    villages.set(7, false);
    eventually(Duration::from_secs(120), "the other fault is told", || (count(&ear) == 1).then_some(()));
    let code = |nth: usize| ear.heard()[nth].json()["payload"]["custom_details"]["sites"][0]["code"].clone();
    assert_eq!(code(0), "site-7");
    ask(&["end", "1"]);
    eventually(Duration::from_secs(120), "what still fails after the work is told", || (count(&ear) == 2).then_some(()));
    assert_eq!(code(1), "site-5");
    assert!(ask(&["list"]).contains("(ended "));
}

#[test]
fn a_second_host_hears_that_all_is_well_as_long_as_it_is() {
    let host = Ear::http(listener(), |_, _| Says::Answer(200, ""));
    let mut villages = Villages::start(&format!("deadman: {{ url: \"http://{}/well\", every: 1s }}\n", host.address));
    let told = |more: usize| {
        let before = count(&host);
        eventually(Duration::from_secs(60), "the second host is told", || (count(&host) >= before + more).then_some(()));
    };
    told(3);
    assert_eq!(host.heard()[0].request, "POST /well HTTP/1.1");
    villages.collector.kill();
    let silent_from = count(&host);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(count(&host), silent_from, "a dead collector is silent");
    villages.restart_collector();
    told(2);
}
