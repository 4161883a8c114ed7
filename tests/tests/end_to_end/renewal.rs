//! Certificates renew themselves, and an authority is replaced without anybody going to a village: a real agent against the
//! real collector.
//!
//! Certificates are given for an hour, and begin a day in the past: each is due for renewal when it is given. An agent looks
//! after its first acknowledgement and then by the hour; restarting it stands for the hour.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_tests::log::stored;
use rusta_tests::programs::{Running, eventually, free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

/// What openssl says of the agent's certificate.
fn certificate(stage: &Stage, what: &str) -> String {
    run_ok(std::process::Command::new("openssl").args(["x509", "-noout", what, "-in"]).arg(stage.path("one/identity/agent.crt")))
}

fn more_arrives(stage: &Stage, agent: &Running) {
    let before = stored(&stage.path("collector/log")).len();
    eventually(Duration::from_secs(30), &format!("more reports arrive from {}", agent.pid()), || {
        (stored(&stage.path("collector/log")).len() > before + 2).then_some(())
    });
}

#[test]
fn a_certificate_renews_itself_and_an_authority_is_replaced_from_the_office() {
    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let data = stage.path("collector");
    let agents = format!("{{ listen: \"{port}\", names: [\"127.0.0.1\"], certificate_validity: 1h }}");
    stage.write("collector.yaml", &format!("data_dir: {}\nagents: {agents}\nhttp: {{ listen: \"{http}\" }}\n", data.display()));
    stage.import(&VILLAGES);
    let mut collector = stage.serve(None, http);
    let url = format!("https://{port}");
    stage.enroll(None, "one", &url);
    let (first, first_issuer) = (certificate(&stage, "-serial"), certificate(&stage, "-issuer"));
    let key = std::fs::read(stage.path("one/identity/agent.key")).unwrap();

    let targets = "links:\n  - { name: gov0, network: gov }\ntargets: []\n";
    stage.configure_agent("one", &[url], "1s", targets);
    let mut agent = stage.run_agent(None, "one");
    let renewed = eventually(Duration::from_secs(30), "the certificate renews itself", || {
        Some(certificate(&stage, "-serial")).filter(|now| *now != first)
    });
    more_arrives(&stage, &agent);

    run_ok(stage.collector().args(["agents", "rotate-authority"]));
    more_arrives(&stage, &agent);
    let refused = run(stage.collector().args(["agents", "retire-authority"]));
    assert_eq!(refused.code, Some(1), "an authority was retired that an agent still needs: {}", refused.stdout);
    assert!(refused.stderr.contains("locked out"), "{}", refused.stderr);

    agent.kill();
    let agent = stage.run_agent(None, "one");
    eventually(Duration::from_secs(30), "the new authority has signed", || (certificate(&stage, "-issuer") != first_issuer).then_some(()));
    assert_ne!(certificate(&stage, "-serial"), renewed);
    assert_eq!(std::fs::read(stage.path("one/identity/agent.key")).unwrap(), key, "the key left the device or was replaced");
    run_ok(stage.collector().args(["agents", "retire-authority"]));
    more_arrives(&stage, &agent);
    collector.kill();
    let _collector = stage.serve(None, http);
    more_arrives(&stage, &agent);
    let audit = rusqlite::Connection::open(data.join("state.sqlite")).unwrap();
    let told =
        |action: &str| -> i64 { audit.query_row("SELECT count(*) FROM audit WHERE action = ?1", [action], |row| row.get(0)).unwrap() };
    assert_eq!((told("authority.rotate"), told("authority.retire")), (1, 1), "the audit log does not tell of the rotation");
}
