//! Every page in a real browser: both languages, office and phone, light and dark, with and without script.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusta_tests::programs::{free_port, run, run_ok};
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

#[test]
fn every_page_is_sound_in_a_real_browser() {
    let tests = repository().join("tests/browser");
    if !there_is_a_browser(&tests) {
        return;
    }
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, http] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}").parse().unwrap());
    stage.configure_collector(agents, &["127.0.0.1"], http, "");
    let inventory = stage.path("province");
    run_ok(stage.collector().args(["inventory", "generate", "--size", "demo", "--seed", "7", "--out"]).arg(&inventory));
    run_ok(stage.collector().args(["inventory", "import"]).arg(&inventory));
    let _collector = stage.serve(None, http);
    let screenshots = repository().join("target/screenshots");
    let said = run(Command::new("node").arg(tests.join("pages.mjs")).arg(format!("http://{http}")).arg(&screenshots));
    assert_eq!(said.code, Some(0), "{}\n{}\nscreenshots are in {}", said.stdout, said.stderr, screenshots.display());
}
