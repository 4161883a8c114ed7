//! From the word on a sheet of paper to the first report: invitations, with both real programs.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_tests::log::stored;
use rusta_tests::programs::{Running, eventually, free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 2] = [
    Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] },
    Village { site: "two", links: &[("gov0", "gov", "primary", "fibre")] },
];

fn stage() -> (Stage, SocketAddr) {
    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    stage.import(&VILLAGES);
    (stage, http)
}

/// Puts another token or fingerprint into an invitation.
fn with(invitation: &str, part: usize, text: &str) -> String {
    let mut parts: Vec<&str> = invitation.splitn(4, ':').collect();
    parts[part] = text;
    parts.join(":")
}

#[test]
fn one_word_enrols_when_the_line_comes_up_and_again_changes_nothing() {
    let (stage, http) = stage();
    let invitation = run_ok(stage.collector().args(["agents", "token", "--site", "one"])).trim().to_owned();
    assert!(invitation.starts_with("rusta1:") && !invitation.contains(char::is_whitespace), "{invitation}");
    let dir = stage.path("one/identity");

    // Nobody answers yet.
    let mut enrol = stage.agent();
    enrol.args(["enroll", &invitation, "--dir"]).arg(&dir);
    let mut enrolling = Running::start("enrol", enrol, &stage.path(""));
    eventually(Duration::from_secs(30), "it says what it waits for", || enrolling.output().contains("tried again").then_some(()));
    assert!(enrolling.ended().is_none());
    let _collector = stage.serve(None, http);
    assert_eq!(enrolling.wait(Duration::from_secs(120)).code(), Some(0), "{}", enrolling.output());
    let token = invitation.split(':').nth(1).unwrap();
    assert!(!enrolling.output().contains(token), "the token is told: {}", enrolling.output());

    let certificate = std::fs::read(dir.join("agent.crt")).unwrap();
    let again = run_ok(stage.agent().args(["enroll", &invitation, "--dir"]).arg(&dir));
    assert!(again.contains("enrolled already"), "{again}");
    assert_eq!(std::fs::read(dir.join("agent.crt")).unwrap(), certificate);

    // The same paper in another router is worth nothing, and says so at once.
    let other = run(stage.agent().args(["enroll", &invitation, "--dir"]).arg(stage.path("other")));
    assert_eq!(other.code, Some(1), "{}{}", other.stdout, other.stderr);
    assert!(other.stderr.contains("token") && !other.stderr.contains(token), "{}", other.stderr);
    assert!(!stage.path("other/agent.crt").exists());
    for bad in ["rusta1:half", "https://collector.example"] {
        assert_eq!(run(stage.agent().args(["enroll", bad, "--dir"]).arg(stage.path("other"))).code, Some(2), "{bad}");
    }
}

/// Somebody on the way who answers as the collector would: nothing is told him.
#[test]
fn the_token_is_told_to_nobody_but_the_authority_of_the_fingerprint() {
    let (stage, http) = stage();
    let _collector = stage.serve(None, http);
    let invitation = run_ok(stage.collector().args(["agents", "token", "--site", "one"])).trim().to_owned();
    let print = invitation.split(':').nth(2).unwrap();
    let openssl = run_ok(std::process::Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(stage.ca()));
    assert!(openssl.trim().replace(':', "").to_lowercase().ends_with(print), "{openssl} {print}");

    let false_print = with(&invitation, 2, &print.chars().rev().collect::<String>());
    let mut enrol = stage.agent();
    enrol.args(["enroll", &false_print, "--dir"]).arg(stage.path("one/identity"));
    let mut enrolling = Running::start("enrol", enrol, &stage.path(""));
    eventually(Duration::from_secs(30), "it says who answers", || {
        enrolling.output().contains("not the collector of the invitation").then_some(())
    });
    assert!(enrolling.ended().is_none());
    enrolling.kill();
    // The token is as good as before: nobody has seen it.
    run_ok(stage.agent().args(["enroll", &invitation, "--dir"]).arg(stage.path("one/identity")));
}

/// A router set up in the office, with the word in its file: it enrols by itself and reports.
#[test]
fn an_agent_enrols_itself_by_the_word_in_its_file() {
    let (stage, http) = stage();
    let invitation = run_ok(stage.collector().args(["agents", "token", "--site", "one"]));
    let at = stage.path("one");
    let text = format!(
        "collector: {{ invitation: \"{}\", identity_dir: {0}/identity }}\nreport: {{ every: 1s }}\nspool: {{ dir: {0}/spool }}\n\
         status_socket: {0}/agent.sock\nlinks: [{{ name: gov0 }}]\n",
        at.display()
    )
    .replacen(&at.display().to_string(), invitation.trim(), 1);
    stage.write("one/agent.yaml", &text);
    let agent = stage.run_agent(None, "one");
    eventually(Duration::from_secs(30), "it says that it is not enrolled", || agent.output().contains("not enrolled yet").then_some(()));
    let _collector = stage.serve(None, http);
    eventually(Duration::from_secs(120), "it reports", || (stored(&stage.path("collector/log")).len() > 2).then_some(()));
    assert!(!agent.output().contains(invitation.split(':').nth(1).unwrap()), "{}", agent.output());
}

#[test]
fn a_contractors_sheet_has_a_word_and_a_code_for_each_site() {
    let (stage, http) = stage();
    let list = stage.write("round.txt", "# Tuesday\none\n\ntwo # the school\n");
    let sheet = stage.path("sheet.html");
    run_ok(stage.collector().args(["agents", "tokens", "--list"]).arg(&list).arg("--sheet").arg(&sheet));
    let page = std::fs::read_to_string(&sheet).unwrap();
    assert_eq!((page.matches("<svg").count(), page.matches("rusta1:").count()), (2, 3), "{page}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&sheet).unwrap().permissions().mode() & 0o77, 0);

    let listed = run_ok(stage.collector().args(["agents", "tokens", "--region", "0901", "--kind", "dehyari"]));
    let words: Vec<(&str, &str)> = listed.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(words.iter().map(|(site, _)| *site).collect::<Vec<_>>(), ["one", "two"]);
    let _collector = stage.serve(None, http);
    let told = run_ok(stage.agent().args(["enroll", words[1].1, "--dir"]).arg(stage.path("two/identity")));
    assert!(told.contains("for site two"), "{told}");

    // One wrong line, and nothing is made.
    let tokens = || -> i64 {
        let state = rusqlite::Connection::open(stage.path("collector/state.sqlite")).unwrap();
        state.query_row("SELECT count(*) FROM tokens", [], |row| row.get(0)).unwrap()
    };
    let before = tokens();
    let wrong = stage.write("wrong.txt", "one\nnope\none\n");
    let said = run(stage.collector().args(["agents", "tokens", "--list"]).arg(&wrong));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("wrong.txt:2") && said.stderr.contains("wrong.txt:3"), "{}", said.stderr);
    assert_eq!(run(stage.collector().args(["agents", "tokens", "--region", "77"])).code, Some(2));
    assert_eq!(run(stage.collector().args(["agents", "tokens", "--kind", "pop"])).code, Some(2));
    assert_eq!(tokens(), before);
}
