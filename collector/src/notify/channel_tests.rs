//! Channels against servers that are slow, failing, lying and repeating: nothing lost, nothing sent twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusta_wire::UnixMs;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::channel::{Channel, Parcel, Sent, presets};
use super::desk::{Call, Kind};
use super::message::{Letter, Marks, Message, SiteLine};
use super::outbox::Outbox;
use super::setup::{ChannelUse, Person, Secret, Setup};
use super::text::render;
use super::*;
use crate::persian::Lang;
use crate::rules::Severity;
use crate::store::{Store, StoreError};

/// How a test gateway answers one request.
#[derive(Clone)]
enum Says {
    Answer(u16, &'static str),
    /// Takes the message and never answers.
    Nothing,
    /// Takes the message, answers after this long.
    Slowly(Duration, u16, &'static str),
    /// Closes the connection before reading.
    HangUp,
}

/// A gateway that remembers what it was told and answers from a list; the last answer repeats.
struct Gateway {
    url: String,
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Gateway {
    async fn start(says: Vec<Says>) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = heard.clone();
        tokio::spawn(async move {
            let mut turn = 0;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let say = says[turn.min(says.len() - 1)].clone();
                turn += 1;
                tokio::spawn(answer(stream, say, shared.clone()));
            }
        });
        Gateway { url, heard }
    }

    fn heard(&self) -> Vec<(String, String)> {
        self.heard.lock().unwrap().clone()
    }
}

async fn answer(stream: TcpStream, says: Says, heard: Arc<Mutex<Vec<(String, String)>>>) {
    if matches!(says, Says::HangUp) {
        return;
    }
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    heard.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
    let (wait, status, text) = match says {
        Says::Answer(status, text) => (Duration::ZERO, status, text),
        Says::Slowly(wait, status, text) => (wait, status, text),
        Says::Nothing | Says::HangUp => return tokio::time::sleep(Duration::from_secs(3600)).await,
    };
    tokio::time::sleep(wait).await;
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn ring() {
    // Another test of the process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn letter(kind: Kind) -> Letter {
    let sites = vec![SiteLine { code: "v-1".into(), name_fa: "علی‌آباد \"بالا\"".into(), name_en: "Ali Abad".into() }];
    let message = Message {
        titles: vec![("قطع نقطه حضور".into(), "PoP down".into())],
        root: ("مرکز نیشابور".into(), "Neyshabur PoP".into()),
        place: ("نیشابور".into(), "Neyshabur".into()),
        since: 1_763_700_000_000,
        cause: Some(("POP".into(), 92)),
        silent: false,
        marks: Marks { rule: "pop-down".into(), site: String::new(), region: "0901".into() },
        villages: 300,
        sites,
        value: None,
        path: "/incidents/7".into(),
    };
    Letter {
        kind,
        severity: Severity::Page,
        about: vec![message],
        key: "incident/7".into(),
        at: 1_763_700_090_000,
        fa: true,
        told_as: None,
    }
}

fn used(name: &str, preset: &str, url: &str) -> ChannelUse {
    let secret = std::env::temp_dir().join("rusta-test-secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let secrets = ["key", "token", "routing_key"].map(|name| (name.to_owned(), Secret::File(secret.clone())));
    let options = [("sender", "1000"), ("template", "42"), ("line", "public"), ("timeout_s", "1")];
    ChannelUse {
        name: name.into(),
        preset: preset.into(),
        url: Some(url.into()),
        secrets: secrets.into_iter().collect(),
        options: options.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect(),
        most_parts: None,
    }
}

async fn once(channel: &Channel, letter: &Letter) -> Sent {
    let text = render(letter, "http://rusta.example");
    channel.send(&Parcel { id: "incident/7@1:page:0:ali", address: "+989121234567", letter, text: &text }).await
}

#[tokio::test]
async fn every_preset_builds_and_knows_a_lie_in_a_good_status() {
    ring();
    let presets = presets(None).unwrap();
    let cases = [
        ("kavenegar", r#"{"return":{"status":200}}"#, r#"{"return":{"status":418,"message":"credit"}}"#),
        ("smsir", r#"{"status":1}"#, r#"{"status":10}"#),
        ("amoot", r#"{"Status":"Success"}"#, r#"{"Status":"CreditNotEnough"}"#),
        ("bale", r#"{"ok":true}"#, r#"{"ok":false}"#),
        ("eitaa", r#"{"ok":true}"#, r#"{"ok":false}"#),
        ("rubika", r#"{"status":"OK"}"#, r#"{"status":"INVALID_INPUT"}"#),
        ("telegram", r#"{"ok":true}"#, r#"{"ok":false}"#),
    ];
    assert_eq!(cases.len(), presets.len());
    for (preset, good, bad) in cases {
        let gateway = Gateway::start(vec![Says::Answer(200, good), Says::Answer(200, bad), Says::Answer(200, "<html>")]).await;
        let channel = Channel::build(&used("sms", preset, &gateway.url), &presets).unwrap();
        assert_eq!(once(&channel, &letter(Kind::Fire)).await, Sent::Delivered, "{preset}");
        assert!(matches!(once(&channel, &letter(Kind::Fire)).await, Sent::Refused(_)), "{preset}");
        assert!(matches!(once(&channel, &letter(Kind::Fire)).await, Sent::Refused(_)), "{preset}");
    }
}

#[tokio::test]
async fn kavenegar_gets_a_local_number_a_text_that_fits_and_an_id_it_recognises() {
    ring();
    let gateway = Gateway::start(vec![Says::Answer(200, r#"{"return":{"status":200}}"#)]).await;
    let mut kavenegar = used("sms", "kavenegar", &format!("{}/v1/{{secret.key}}/sms/send.json", gateway.url));
    kavenegar.most_parts = Some(2);
    let channel = Channel::build(&kavenegar, &presets(None).unwrap()).unwrap();
    assert!(channel.recognises_repeats());
    once(&channel, &letter(Kind::Fire)).await;
    once(&channel, &letter(Kind::Fire)).await;
    let heard = gateway.heard();
    assert!(heard[0].0.starts_with("POST /v1/s3cret/sms/send.json "));
    assert!(heard[0].1.contains("receptor=09121234567&") && heard[0].1.contains("localid="), "{}", heard[0].1);
    assert_eq!(heard[0].1, heard[1].1, "the same call is the same request");
}

#[tokio::test]
async fn what_an_answer_means() {
    ring();
    let presets = presets(None).unwrap();
    let build = |url: &str| Channel::build(&used("bot", "bale", url), &presets).unwrap();
    let says = |says: Says| async {
        let gateway = Gateway::start(vec![says]).await;
        once(&build(&gateway.url), &letter(Kind::Fire)).await
    };
    assert!(matches!(says(Says::Answer(429, "")).await, Sent::Later(..)));
    assert!(matches!(says(Says::Answer(503, "")).await, Sent::Later(..)));
    assert!(matches!(says(Says::Answer(401, "")).await, Sent::Refused(_)));
    assert!(matches!(says(Says::Answer(504, "")).await, Sent::Uncertain(_)));
    assert!(matches!(says(Says::Nothing).await, Sent::Uncertain(_)), "it may have been sent");
    assert!(matches!(says(Says::Slowly(Duration::from_millis(300), 200, r#"{"ok":true}"#)).await, Sent::Delivered));
    assert!(matches!(once(&build("http://127.0.0.1:1"), &letter(Kind::Fire)).await, Sent::Later(..)), "nobody listens");
}

#[tokio::test]
async fn the_webhook_speaks_pagerduty() {
    ring();
    let gateway = Gateway::start(vec![Says::Answer(202, "{}")]).await;
    let channel = Channel::build(&used("pager", "webhook", &gateway.url), &[]).unwrap();
    assert_eq!(once(&channel, &letter(Kind::Fire)).await, Sent::Delivered);
    assert_eq!(once(&channel, &letter(Kind::Resolve)).await, Sent::Delivered);
    let bodies = gateway.heard().iter().map(|(_, body)| serde_json::from_str::<serde_json::Value>(body).unwrap()).collect::<Vec<_>>();
    assert_eq!(bodies[0]["event_action"], "trigger");
    assert_eq!(bodies[1]["event_action"], "resolve");
    assert_eq!(bodies[0]["dedup_key"], bodies[1]["dedup_key"]);
    assert_eq!(bodies[0]["routing_key"], "s3cret");
    assert_eq!(bodies[0]["payload"]["severity"], "critical");
    assert_eq!(bodies[0]["payload"]["custom_details"]["sites"][0]["name_fa"], "علی‌آباد \"بالا\"");
}

#[tokio::test]
async fn the_modem_spool_holds_one_file_for_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = used("gsm", "spool", "");
    spool.options.insert("folder".into(), folder.path().display().to_string());
    for (form, prefix) in [("smstools", "rusta-"), ("gammu", "OUTA")] {
        spool.options.insert("form".into(), form.into());
        let channel = Channel::build(&spool, &[]).unwrap();
        assert_eq!(once(&channel, &letter(Kind::Fire)).await, Sent::Delivered);
        assert_eq!(once(&channel, &letter(Kind::Fire)).await, Sent::Delivered);
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mine = names.filter(|name| name.starts_with(prefix)).collect::<Vec<_>>();
        assert_eq!(mine.len(), 1, "{form}: {mine:?}");
    }
    let file =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().contains("rusta-")).unwrap();
    let body = std::fs::read(file).unwrap();
    assert!(body.starts_with(b"To: 989121234567\nAlphabet: UCS\n\n"));
}

/// A mail server that answers each DATA from a list.
async fn mail_server(answers: Vec<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Arc::new(Mutex::new(Vec::new()));
    let shared = mails.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(take_mails(BufReader::new(stream), answers.clone(), shared.clone()));
        }
    });
    (port, mails)
}

async fn take_mails(mut stream: BufReader<TcpStream>, answers: Vec<&'static str>, mails: Arc<Mutex<Vec<String>>>) {
    stream.write_all(b"220 test\r\n").await.unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
        let answer = match line.get(..4).unwrap_or("").to_ascii_uppercase().as_str() {
            "DATA" => {
                stream.write_all(b"354 go\r\n").await.unwrap();
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut mail).await.unwrap();
                }
                let mut mails = mails.lock().unwrap();
                mails.push(mail);
                answers[(mails.len() - 1).min(answers.len() - 1)]
            }
            "EHLO" => "250 test",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
        line.clear();
    }
}

#[test]
fn a_command_without_a_runtime_can_check_a_mail_channel() {
    ring();
    let mut mail = used("mail", "smtp", "");
    for (name, value) in [("host", "mail.example.ir"), ("from", "rusta@example.ir"), ("tls", "none")] {
        mail.options.insert(name.into(), value.into());
    }
    assert!(matches!(Channel::build(&mail, &[]), Ok(Channel::Smtp(_))));
}

#[tokio::test]
async fn mail_is_one_multipart_message_with_a_lasting_id() {
    ring();
    let (port, mails) = mail_server(vec!["250 taken", "451 greylisted", "550 no such user"]).await;
    let mut mail = used("mail", "smtp", "");
    for (name, value) in [("host", "127.0.0.1"), ("port", &port.to_string()), ("from", "rusta@example.ir"), ("tls", "none")] {
        mail.options.insert(name.into(), value.into());
    }
    let channel = Channel::build(&mail, &[]).unwrap();
    let letter = letter(Kind::Fire);
    let text = render(&letter, "http://rusta.example");
    let parcel = Parcel { id: "incident/7@1:page:0:ali", address: "ali@example.ir", letter: &letter, text: &text };
    assert_eq!(channel.send(&parcel).await, Sent::Delivered);
    assert!(matches!(channel.send(&parcel).await, Sent::Later(..)));
    assert!(matches!(channel.send(&parcel).await, Sent::Refused(_)));
    let mails = mails.lock().unwrap().clone();
    assert!(mails[0].contains("multipart/alternative") && mails[0].contains("text/html") && mails[0].contains("text/plain"));
    assert!(mails[0].contains("Message-ID: <incident.7.1.page.0.ali@rusta>"), "{}", mails[0]);
    assert!(text.html.contains("dir=\"rtl\"") && text.html.contains("علی‌آباد &quot;بالا&quot;"));
}

/// A person with two channels over one state database, and a clock the test moves.
struct Post {
    store: Store,
    delivery: Arc<Delivery>,
    _dir: tempfile::TempDir,
}

static NOW: AtomicI64 = AtomicI64::new(0);

impl Post {
    async fn new(channels: &[(&str, &str, &Gateway)]) -> Post {
        ring();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let addresses = channels.iter().map(|(name, ..)| ((*name).to_owned(), "09121234567".to_owned())).collect();
        let person = Person { lang: Lang::Fa, addresses, cap: 6, quiet: None };
        let setup = Arc::new(Setup { people: BTreeMap::from([("ali".to_owned(), person)]), ..Setup::default() });
        let built = channels.iter().map(|(name, preset, gateway)| {
            let mut used = used(name, preset, &gateway.url);
            if name.starts_with("patient") {
                used.options.insert("timeout_s".into(), "600".into());
            }
            ((*name).to_owned(), Channel::build(&used, &presets(None).unwrap()).unwrap())
        });
        let delivery = Arc::new(Delivery::new(setup, built.collect::<HashMap<_, _>>()));
        Post { store, delivery, _dir: dir }
    }

    /// Writes a call about a matter of its own to one channel.
    fn write_to(&self, channel: &str, id: &str) {
        let letter = Letter { key: format!("incident/{id}"), ..letter(Kind::Fire) };
        let call = Call { id: id.into(), to: "ali".into(), channels: vec![channel.into()], letter };
        self.store.write(|tx| Outbox::write(tx, &call, UnixMs(0))).unwrap();
    }

    fn write(&self, id: &str, kind: Kind, now: UnixMs) {
        let channels = self.delivery.channels.keys().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let call = Call { id: id.into(), to: "ali".into(), channels, letter: letter(kind) };
        self.store.write(|tx| Outbox::write(tx, &call, now)).unwrap();
    }

    async fn deliver(&self, now: UnixMs) {
        let clock = move || now;
        while deliver_due(&self.delivery, &self.store, clock).await.unwrap() > 0 {}
    }

    fn states(&self) -> Vec<(String, String)> {
        let calls = self.store.read(|tx| Outbox::about(tx, "incident/7")).unwrap();
        calls.into_iter().map(|call| (call.id, call.state)).collect()
    }
}

#[tokio::test]
async fn the_same_call_written_twice_is_sent_once() {
    let gateway = Gateway::start(vec![Says::Answer(200, r#"{"ok":true}"#)]).await;
    let post = Post::new(&[("bot", "bale", &gateway)]).await;
    post.write("a", Kind::Fire, UnixMs(0));
    post.write("a", Kind::Fire, UnixMs(5));
    post.deliver(UnixMs(10)).await;
    post.write("a", Kind::Fire, UnixMs(15));
    post.deliver(UnixMs(20)).await;
    assert_eq!(gateway.heard().len(), 1);
    assert_eq!(post.states(), [("a".to_owned(), "delivered".to_owned())]);
}

#[tokio::test]
async fn a_failing_channel_hands_over_to_the_next() {
    let bad = Gateway::start(vec![Says::Answer(500, "")]).await;
    let good = Gateway::start(vec![Says::Answer(200, r#"{"ok":true}"#)]).await;
    let post = Post::new(&[("a-bot", "bale", &bad), ("b-bot", "telegram", &good)]).await;
    post.write("a", Kind::Fire, UnixMs(0));
    for seconds in 0..60 {
        post.deliver(UnixMs(seconds * 1000)).await;
    }
    assert_eq!((bad.heard().len(), good.heard().len()), (3, 1), "three attempts within a minute, then the next");
    assert_eq!(post.states()[0].1, "delivered");
}

#[tokio::test]
async fn an_unanswered_attempt_is_repeated_once_where_no_other_channel_is_left() {
    let silent = Gateway::start(vec![Says::Nothing]).await;
    let good = Gateway::start(vec![Says::Answer(200, r#"{"ok":true}"#)]).await;
    let post = Post::new(&[("a-bot", "bale", &silent), ("b-bot", "telegram", &good)]).await;
    post.write("a", Kind::Fire, UnixMs(0));
    for minutes in 0..30 {
        post.deliver(UnixMs(minutes * 60_000)).await;
    }
    assert_eq!((silent.heard().len(), good.heard().len()), (1, 1));
    let alone = Gateway::start(vec![Says::Nothing]).await;
    let post = Post::new(&[("bot", "bale", &alone)]).await;
    post.write("a", Kind::Fire, UnixMs(0));
    for minutes in 0..30 {
        post.deliver(UnixMs(minutes * 60_000)).await;
    }
    assert_eq!(alone.heard().len(), 2, "heard twice rather than not at all, and not without end");
    assert_eq!(post.states()[0].1, "uncertain", "it says so instead of guessing");
}

#[tokio::test]
async fn a_gateway_that_recognises_repeats_is_asked_again_with_the_same_id() {
    let slow = Gateway::start(vec![Says::Nothing, Says::Answer(200, r#"{"return":{"status":200}}"#)]).await;
    let post = Post::new(&[("sms", "kavenegar", &slow)]).await;
    post.write("a", Kind::Fire, UnixMs(0));
    for seconds in 0..30 {
        post.deliver(UnixMs(seconds * 1000)).await;
    }
    let heard = slow.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].1, heard[1].1);
    assert_eq!(post.states()[0].1, "delivered");
}

#[tokio::test]
async fn everything_refused_is_tried_for_a_day_and_then_said_to_have_failed() {
    let bad = Gateway::start(vec![Says::HangUp]).await;
    let worse = Gateway::start(vec![Says::Answer(200, r#"{"ok":false}"#)]).await;
    let post = Post::new(&[("a-bot", "bale", &worse), ("b-bot", "telegram", &worse)]).await;
    drop(bad);
    post.write("a", Kind::Fire, UnixMs(0));
    post.deliver(UnixMs(3_600_000)).await;
    assert_eq!(post.states()[0].1, "waiting");
    for hours in 1..30 {
        post.deliver(UnixMs(hours * 3_600_000)).await;
    }
    assert_eq!(post.states()[0].1, "failed");
}

#[tokio::test]
async fn an_end_is_never_told_before_its_beginning() {
    let gateway = Gateway::start(vec![Says::Answer(503, ""), Says::Answer(200, r#"{"ok":true}"#)]).await;
    let post = Post::new(&[("bot", "bale", &gateway)]).await;
    post.write("fire", Kind::Fire, UnixMs(0));
    post.write("resolve", Kind::Resolve, UnixMs(1));
    post.deliver(UnixMs(2)).await;
    assert_eq!(gateway.heard().len(), 1, "the resolve waits for the fire");
    post.deliver(UnixMs(10_000)).await;
    post.deliver(UnixMs(10_001)).await;
    let said = gateway.heard().iter().map(|(_, body)| body.contains("برطرف")).collect::<Vec<_>>();
    assert_eq!(said, [false, false, true]);
}

#[tokio::test]
async fn a_call_cut_short_by_a_restart_is_one_of_which_nobody_knows() {
    let gateway = Gateway::start(vec![Says::Answer(200, r#"{"ok":true}"#)]).await;
    let second = Gateway::start(vec![Says::Answer(200, r#"{"ok":true}"#)]).await;
    let post = Post::new(&[("a-bot", "bale", &gateway), ("b-bot", "telegram", &second)]).await;
    post.write("a", Kind::Fire, UnixMs(0));
    let call = post.store.read(|tx| Outbox::due(tx, UnixMs(1), 9, &mut |_| true)).unwrap().remove(0);
    post.store.write(|tx| Outbox::begin(tx, call.number)).unwrap();
    NOW.store(5, Ordering::Relaxed);
    assert_eq!(post.delivery.recover(&post.store, UnixMs(NOW.load(Ordering::Relaxed))).unwrap(), 1);
    post.deliver(UnixMs(10)).await;
    assert_eq!((gateway.heard().len(), second.heard().len()), (0, 1), "the channel that may have sent it is not used again");
}

#[tokio::test]
async fn a_gateway_that_hangs_delays_no_other() {
    let hung = Gateway::start(vec![Says::Nothing]).await;
    let good = Gateway::start(vec![Says::Answer(200, r#"{"return":{"status":200}}"#)]).await;
    let post = Post::new(&[("patient-sms", "kavenegar", &hung), ("sms", "kavenegar", &good)]).await;
    (0..500).for_each(|n| post.write_to("patient-sms", &format!("h{n}")));
    let mut attempts = Attempts::new(post.delivery.clone(), post.store.clone());
    for n in 0..90 {
        post.write_to("sms", &format!("g{n}"));
        attempts.begin_due(UnixMs(1)).unwrap();
        attempts.settle_next(|| UnixMs(2)).await.unwrap();
    }
    let count = |state| post.store.read(|tx| Outbox::count(tx, state)).unwrap();
    assert_eq!((count("delivered"), good.heard().len()), (90, 90), "each was delivered while the other gateway hung");
    assert!(count("sending") < 100 && count("waiting") > 400, "{} at once at a gateway that hangs", count("sending"));
}

#[tokio::test]
async fn an_attempt_that_breaks_off_is_settled_at_once() {
    let hung = Gateway::start(vec![Says::Nothing]).await;
    let good = Gateway::start(vec![Says::Answer(200, r#"{"ok":true}"#)]).await;
    let post = Post::new(&[("patient-bot", "bale", &hung), ("second", "telegram", &good)]).await;
    post.write("a", Kind::Fire, UnixMs(0));
    let mut attempts = Attempts::new(post.delivery.clone(), post.store.clone());
    assert_eq!(attempts.begin_due(UnixMs(1)).unwrap(), 1);
    attempts.running.abort_all();
    attempts.settle_next(|| UnixMs(2)).await.unwrap();
    assert_eq!(post.states()[0].1, "waiting", "not left as being sent until the next start");
    post.deliver(UnixMs(3)).await;
    assert_eq!((post.states()[0].1.as_str(), good.heard().len()), ("delivered", 1), "by the channel that certainly did not send it");
}

#[tokio::test]
async fn a_call_is_kept_or_not_at_all() {
    let gateway = Gateway::start(vec![Says::Answer(200, "")]).await;
    let post = Post::new(&[("bot", "bale", &gateway)]).await;
    let call = Call { id: "a".into(), to: "ali".into(), channels: vec!["bot".into()], letter: letter(Kind::Fire) };
    let refused = post.store.write(|tx| {
        Outbox::write(tx, &call, UnixMs(0))?;
        Err::<(), _>(StoreError::Refused("the transaction fails".into()))
    });
    assert!(refused.is_err());
    assert!(post.states().is_empty());
}

#[tokio::test]
async fn the_second_host_hears_nothing_while_looks_fail() {
    fn clock() -> UnixMs {
        UnixMs(1_763_700_000_000)
    }
    ring();
    let host = Gateway::start(vec![Says::Answer(200, "")]).await;
    let setup = Setup { deadman: Some((host.url.clone(), Duration::from_millis(20))), ..Setup::default() };
    let delivery = Arc::new(Delivery::new(Arc::new(setup), HashMap::new()));
    let looked_at = Arc::new(AtomicI64::new(clock().0 - 61_000));
    let switch = tokio::spawn(task::switch_on(delivery, looked_at.clone(), clock));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(host.heard().is_empty(), "the last look is a minute old");
    looked_at.store(clock().0 - 1_000, Ordering::Relaxed);
    while host.heard().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    switch.abort();
}

#[test]
fn a_text_message_fits_and_isolates_what_runs_left_to_right() {
    for kind in [Kind::Fire, Kind::Escalate, Kind::Resolve] {
        for fa in [true, false] {
            let text = render(&Letter { fa, ..letter(kind) }, "http://rusta.example");
            assert!(parts(&fit(&text.short, 3)) <= 3);
            assert!(text.short.lines().any(|line| line.starts_with("http://rusta.example/incidents/7")));
            assert!(text.long.contains("v-1"));
        }
    }
    let persian = render(&letter(Kind::Fire), "http://rusta.example");
    assert!(persian.subject.starts_with("بحرانی: قطع نقطه حضور"), "{}", persian.subject);
    let english = render(&Letter { fa: false, ..letter(Kind::Resolve) }, "");
    assert!(english.subject.starts_with("RESOLVED: PoP down, Neyshabur PoP"), "{}", english.subject);
}

#[test]
fn a_text_message_does_not_say_down_of_what_nobody_measured() {
    let mut silent = letter(Kind::Fire);
    silent.about[0].silent = true;
    silent.about[0].titles.push(("قطع سایت رده الف".into(), "Class A site down".into()));
    let text = render(&silent, "http://rusta.example");
    assert!(text.short.contains("وضعیت نامشخص") && text.short.contains("مرکز نیشابور"), "{}", text.short);
    assert!(!text.short.contains("قطع") && !text.long.contains("قطع"), "{}", text.long);
    let english = render(&Letter { fa: false, ..silent.clone() }, "");
    assert!(english.subject.starts_with("CRITICAL: No reports, state unknown, Neyshabur PoP"), "{}", english.subject);
    let mut summary = Letter { kind: Kind::Summary, ..silent };
    assert!(!render(&summary, "").subject.contains("قطع"));
    summary.about.push(letter(Kind::Fire).about.remove(0));
    assert!(render(&summary, "").subject.contains("قطعی"), "one of them is measured");
}

#[test]
fn alertmanagers_alert_is_named_by_its_rule_and_leads_to_its_page() {
    let letter = letter(Kind::Fire);
    let alert = channel::alertmanager_alert(&letter, &render(&letter, "http://rusta.example"));
    assert_eq!(alert["labels"]["alertname"], "RustaPopDown");
    assert_eq!((&alert["labels"]["rule"], &alert["labels"]["region"]), (&"pop-down".into(), &"0901".into()));
    assert!(alert["labels"].get("site").is_none(), "an empty label is none: {alert}");
    assert_eq!(alert["generatorURL"], "http://rusta.example/incidents/7");
}
