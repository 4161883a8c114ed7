//! What an agent makes of an assignment is known where the assignment comes from: the version in force, and the one refused and why.

use std::net::SocketAddr;
use std::time::Duration;

use rusta_tests::http;
use rusta_tests::programs::{eventually, free_port};
use rusta_tests::stage::{Stage, Village};
use serde_json::Value;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

#[test]
fn the_version_in_force_and_the_one_refused_are_told_where_they_come_from() {
    let stage = Stage::new(rusta_tests::programs!());
    let [port, web] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], web, "");
    let profile = format!(
        "- name: all\n  networks: [gov]\n  targets:\n    - {{ name: core, rung: core, every: 1s, timeout: 500ms, tcp: {{ address: \"{web}\" }} }}\n"
    );
    std::fs::create_dir_all(stage.path("inventory")).unwrap();
    stage.write("inventory/profiles.yaml", &profile);
    stage.import(&VILLAGES);
    let _collector = stage.serve(None, web);
    let url = format!("https://{port}");
    stage.enroll(None, "one", &url);
    stage.configure_agent("one", &[url], "1s", "links: []\ntargets: []\n");
    let _agent = stage.run_agent(None, "one");
    let assignment = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        eventually(Duration::from_secs(90), what, || {
            let site: Value = serde_json::from_str(&http::get(web, "/api/v1/sites/one").ok()?.text()).ok()?;
            Some(site["agent"]["assignment"].clone()).filter(is_it)
        })
    };
    let good = assignment("an assignment is in force", &|told| told["in_force"].is_string());
    assert_eq!((&good["refused"], good["reason"].as_str()), (&Value::Null, Some("")));

    // The same links, and one by an interface this router does not have.
    stage.import_changed(&VILLAGES, |name, text| match name {
        "links.csv" => text.replace("access\n", "access,interface\n").replace("fibre\n", "fibre,eth99\n"),
        _ => text,
    });
    let refused = assignment("an assignment is refused", &|told| told["refused"].is_string());
    assert_eq!(refused["in_force"], good["in_force"], "the one before stays");
    assert!(refused["reason"].as_str().unwrap().contains("unknown interface `eth99`"), "{refused}");
    for page in ["/sites/one", "/agents"] {
        let text = http::get(web, page).unwrap().text();
        assert!(text.contains("برنامه سنجش ردشده") && text.contains("eth99"), "{page}");
    }
    let metrics = http::get(web, "/metrics").unwrap().text();
    assert!(metrics.lines().any(|line| line.starts_with("rusta_agents_assignment_refused") && line.ends_with(" 1")), "{metrics}");
}
