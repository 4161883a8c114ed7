//! Every page in a real browser: both languages, office and phone, light and dark, with and without script, over a
//! province of two thousand sites in all kinds of trouble.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusta_tests::http;
use rusta_tests::programs::{eventually, free_port, run, run_ok};
use rusta_tests::province;
use rusta_tests::random::Random;
use rusta_tests::stage::Stage;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Tells whether the browser, the runtime and the packages `scripts/test` installs are there.
fn there_is_a_browser(tests: &Path) -> bool {
    let programs = ["node", "chromium"].iter().all(|program| Command::new(program).arg("--version").output().is_ok());
    let packages = tests.join("node_modules/puppeteer-core").is_dir() && tests.join("node_modules/axe-core").is_dir();
    if !(programs && packages) {
        eprintln!("without node, chromium and `npm ci` in tests/browser the pages are not looked at");
    }
    programs && packages
}

/// `RUSTA_PICTURES=DIR` writes the README's pictures too; `RUSTA_PAGES=site,kpis` looks at some pages only.
#[test]
fn every_page_is_sound_in_a_real_browser() {
    let tests = repository().join("tests/browser");
    if !there_is_a_browser(&tests) {
        return;
    }
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, port] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}").parse().unwrap());
    let yaml = format!(
        "data_dir: {}\nagents: {{ listen: \"{agents}\", names: [\"127.0.0.1\"] }}\n\
         http: {{ listen: \"{port}\", anonymous: viewer, public_status: true }}\n",
        stage.path("collector").display()
    );
    stage.write("collector.yaml", &yaml);
    let inventory = stage.path("province");
    run_ok(stage.collector().args(["inventory", "generate", "--size", "lorestan", "--seed", "7", "--out"]).arg(&inventory));
    run_ok(stage.collector().args(["inventory", "import"]).arg(&inventory));
    let mut random = Random::from_seed(7);
    let well_known = province::fill(&stage.path("collector"), province::Measured::Minutes, &mut random);
    let _collector = stage.serve(None, port);
    eventually(Duration::from_secs(300), "the engine has read the log and opened the incident", || {
        let answer = http::get(port, "/api/v1/incidents?limit=1").ok()?;
        (answer.status == 200 && answer.text().contains("\"id\"")).then_some(())
    });
    eventually(Duration::from_secs(300), "history has built the sites' weeks", || {
        let answer = http::get(port, &format!("/api/v1/sites/{}/series?hours=960", well_known)).ok()?;
        (answer.text().matches("\"restored_at\"").count() > 3).then_some(())
    });
    let screenshots = repository().join("target/screenshots");
    let mut look = Command::new("node");
    look.arg(tests.join("pages.mjs")).arg(format!("http://{port}")).arg(&screenshots);
    look.args([province::USER.0, province::USER.1, &well_known]).args(std::env::var_os("RUSTA_PICTURES"));
    let said = run(&mut look);
    assert_eq!(said.code, Some(0), "{}\n{}\nscreenshots are in {}", said.stdout, said.stderr, screenshots.display());
}
