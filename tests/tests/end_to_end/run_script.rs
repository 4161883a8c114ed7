//! `scripts/run`, as a newcomer meets it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusta_tests::programs::{Said, free_port, run};
use rusta_tests::stage::Stage;

/// Puts both programs under their installed names into a folder.
fn programs(stage: &Stage) -> PathBuf {
    let programs = rusta_tests::programs!();
    let folder = stage.path("programs");
    std::fs::create_dir_all(&folder).unwrap();
    for (program, name) in [(programs.agent, "rusta-agent"), (programs.collector, "rusta-collector")] {
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(program, link).unwrap();
        }
    }
    folder
}

fn script(stage: &Stage, arguments: &[&str]) -> Said {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new("bash");
    command.arg(repository.join("scripts/run")).arg("--programs").arg(programs(stage)).arg("--data").arg(stage.path("data"));
    run(command.args(arguments))
}

fn ports() -> [String; 2] {
    [free_port().to_string(), free_port().to_string()]
}

#[test]
fn it_shows_the_share_of_this_machine_and_goes_on_with_its_data() {
    let stage = Stage::new(rusta_tests::programs!());
    let [http, agents] = ports();
    let runs = [(); 2].map(|()| script(&stage, &["--for", "25s", "--http", &http, "--agents", &agents]));
    for said in &runs {
        assert_eq!(said.code, Some(0), "{said:?}");
        let last = said.stdout.lines().last().unwrap();
        let json: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {last}"));
        let figure = json["items"].get(0).unwrap_or(&json);
        assert_eq!(figure["id"], "connected_share_now", "{last}");
        assert_eq!((figure["value"].as_f64(), figure["denominator"].as_f64()), (Some(1.0), Some(1.0)), "{last}");
    }
    assert!(stage.path("data/identity/agent.crt").exists());
    let left: Vec<_> = std::fs::read_dir(stage.path("data")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".pid")), "{left:?}");
}

#[test]
fn a_used_port_is_one_clear_sentence() {
    let stage = Stage::new(rusta_tests::programs!());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, free) = (taken.local_addr().unwrap().port().to_string(), free_port().to_string());
    let said = script(&stage, &["--http", &port, "--agents", &free]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(1), 1), "{said:?}");
    assert!(said.stderr.contains(&format!("port {port}")) && said.stderr.contains("--http"), "{}", said.stderr);
    assert!(!stage.path("data").exists());
}

#[test]
fn a_missing_build_tool_is_one_clear_sentence() {
    let stage = Stage::new(rusta_tests::programs!());
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tools = stage.path("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let [http, agents] = ports();
    // A machine on which only the plainest tools are: /usr/bin without cargo is out of reach, so they are linked here.
    for tool in ["bash", "dirname", "sed", "env"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{tool}"), tools.join(tool)).unwrap();
    }
    let mut command = Command::new("/bin/bash");
    command.arg(repository.join("scripts/run")).arg("--data").arg(stage.path("data")).args(["--http", &http, "--agents", &agents]);
    let said = run(command.env_clear().env("PATH", &tools).env("HOME", stage.path("home")));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("cargo is missing") || said.stderr.contains("C compiler"), "{}", said.stderr);
}
