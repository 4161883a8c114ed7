//! schemathesis reads `/openapi.json` and asks the live API everything it can think of: no answer is a failure of ours, and
//! each is one the description promises.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusta_tests::programs::{free_port, run, run_ok};
use rusta_tests::random::Random;
use rusta_tests::stage::Stage;

/// Questions for each address and phase: a minute's work.
const EXAMPLES: &str = "40";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

#[test]
fn the_api_keeps_its_own_description() {
    let program = repository().join("target/python/bin/schemathesis");
    assert!(program.is_file(), "{} is missing: scripts/test installs it from PyPI", program.display());
    let seed = Random::from_clock().seed();
    println!("RUSTA_SEED={seed}");
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(agents, &["127.0.0.1"], http, "");
    let open = std::fs::read_to_string(stage.path("collector.yaml")).unwrap();
    stage.write("collector.yaml", &open.replace("anonymous: viewer", "anonymous: none"));
    let inventory = stage.path("province");
    run_ok(stage.collector().args(["inventory", "generate", "--size", "demo", "--seed", "7", "--out"]).arg(&inventory));
    run_ok(stage.collector().args(["inventory", "import"]).arg(&inventory));
    let token = run_ok(stage.collector().args(["users", "token", "add", "schemathesis"]));
    let _collector = stage.serve(None, http);
    let mut command = Command::new(program);
    command.current_dir(stage.path("")).args(["run", &format!("http://{http}/openapi.json")]);
    command.arg("--header").arg(format!("Authorization: Bearer {}", token.trim()));
    command.args(["--max-examples", EXAMPLES, "--seed", &(seed % 1_000_000).to_string(), "--workers", "1", "--no-color"]);
    command.args(["--generation-database", "none", "--continue-on-failure"]);
    // A cursor, a code or a period is a string that only some strings are; the refusal of the others is a promise too.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    let said = run(&mut command);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
}
