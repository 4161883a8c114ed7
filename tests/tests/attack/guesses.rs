//! An administrator's password is guessed at, by three hundred at once: how many guesses are looked at, what they cost, and
//! who is kept out by them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use rusta_tests::programs::run_ok;

use crate::stand::Stand;

const PASSWORD: &str = "a long enough password";

/// Guesses sent at once.
const GUESSES: usize = 300;

/// Three checks at once take 57 MiB; three hundred connections at once about half a MiB each.
const MEMORY_KIB: u64 = 208 * 1024;

/// Sends a form as a browser does; returns the status and the cookies that came.
fn post(stand: &Stand, form: &str, cookies: &str) -> (u16, Vec<String>) {
    let length = form.len();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nCookie: {cookies}\r\nContent-Length: {length}",
        stand.http
    );
    ask(stand, &format!("{head}\r\n\r\n{form}"))
}

fn ask(stand: &Stand, request: &str) -> (u16, Vec<String>) {
    let mut stream = TcpStream::connect(stand.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no answer: {head}"));
    let cookies = head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")).map(|line| line.split(';').next().unwrap().to_owned());
    (status, cookies.collect())
}

/// Opens the form and returns its cookie and its token.
fn door(stand: &Stand) -> (String, String) {
    let (_, cookies) = ask(stand, &format!("GET /login HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", stand.http));
    let cookie = cookies.into_iter().find(|cookie| cookie.starts_with("rusta_door=")).unwrap();
    let token = cookie.split_once('=').unwrap().1.to_owned();
    (cookie, token)
}

fn filled(token: &str, password: &str) -> String {
    format!("csrf={token}&name=boss&password={}", password.replace(' ', "+"))
}

#[test]
fn three_hundred_guesses_at_once_are_five_and_keep_the_owner_out_of_no_device_of_his() {
    let stand = Stand::start();
    let mut add = stand.stage.collector();
    add.args(["users", "add", "boss", "--role", "admin"]).stdin(std::process::Stdio::piped());
    let mut child = add.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());

    let (cookie, token) = door(&stand);
    let (status, cookies) = post(&stand, &filled(&token, PASSWORD), &cookie);
    assert_eq!(status, 303, "the owner is let in");
    let device = cookies.into_iter().find(|cookie| cookie.starts_with("rusta_device=")).unwrap();

    let base = stand.memory_from_now();
    let before = stand.metric("rusta_password_checks_total");
    let (cookie, token) = door(&stand);
    let together = Arc::new(Barrier::new(GUESSES));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..GUESSES)
            .map(|guess| {
                let (stand, cookie, form, together) = (&stand, &cookie, filled(&token, &format!("guess number {guess}")), together.clone());
                scope.spawn(move || {
                    together.wait();
                    post(stand, &form, cookie).0
                })
            })
            .collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    let checked = stand.metric("rusta_password_checks_total") - before;
    let mut counts = BTreeMap::new();
    statuses.iter().for_each(|status| *counts.entry(*status).or_insert(0) += 1);
    println!("{GUESSES} guesses at once: {checked} passwords checked, answers {counts:?}");
    assert_eq!(checked, 5);
    assert_eq!(counts, BTreeMap::from([(401, 5), (429, GUESSES - 5)]));
    stand.assert_memory_within(base, MEMORY_KIB);

    let (cookie, token) = door(&stand);
    assert_eq!(post(&stand, &filled(&token, PASSWORD), &cookie).0, 429, "a stranger has to wait, also with the right word");
    let (status, _) = post(&stand, &filled(&token, PASSWORD), &format!("{cookie}; {device}"));
    assert_eq!(status, 303, "the owner's own device does not");
    assert!(stand.audited("login.failed") <= 5, "{} rows", stand.audited("login.failed"));
    println!("{}", run_ok(stand.stage.collector().args(["audit", "verify"])));
}
