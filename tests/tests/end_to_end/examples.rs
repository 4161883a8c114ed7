//! Examples that cannot rot: the real programs read every file of `configs/`, and know every command the README shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusta_tests::programs::{free_port, run, run_ok};
use rusta_tests::stage::Stage;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

#[test]
fn the_agent_takes_its_example() {
    let stage = Stage::new(rusta_tests::programs!());
    run_ok(stage.agent().arg("check").arg("--config").arg(repository().join("configs/agent.yaml")));
}

#[test]
fn the_collector_takes_its_example() {
    let mut command = Command::new(rusta_tests::programs!().collector);
    run_ok(command.arg("--config").arg(repository().join("configs/collector.yaml")).arg("check"));
}

#[test]
fn the_collector_takes_the_examples_of_what_alerts_and_who_is_called() {
    let stage = Stage::new(rusta_tests::programs!());
    let configs = repository().join("configs");
    let alerts = format!("alerts: {{ rules: {0}/alerts.yaml, oncall: {0}/oncall.yaml, channels: {0}/channels }}", configs.display());
    let nowhere = "127.0.0.1:1".parse().unwrap();
    stage.configure_collector(nowhere, &["127.0.0.1"], nowhere, &alerts);
    let check = |secrets: &[&str]| run(stage.collector().arg("check").envs(secrets.iter().map(|name| (*name, "secret"))));
    let said = check(&["BALE_TOKEN", "KAVENEGAR_KEY", "SMTP_PASSWORD"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let said = check(&["BALE_TOKEN", "SMTP_PASSWORD"]);
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("KAVENEGAR_KEY"), "{}", said.stderr);
}

#[test]
fn the_example_inventory_imports() {
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, http] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}").parse().unwrap());
    stage.configure_collector(agents, &["127.0.0.1"], http, "");
    run_ok(stage.collector().args(["inventory", "import"]).arg(repository().join("configs/inventory")));
}

/// Every line of a fenced `sh` block that calls one of the programs.
fn commands_in(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```sh").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.map(|line| line.split_whitespace().map(String::from).collect::<Vec<_>>());
    words.filter(|words| words.first().is_some_and(|first| first.starts_with("rusta-"))).collect()
}

#[test]
fn the_programs_know_every_command_of_the_readme() {
    let programs = rusta_tests::programs!();
    let commands = commands_in(&std::fs::read_to_string(repository().join("README.md")).unwrap());
    assert!(commands.len() >= 5, "only {commands:?}");
    for words in commands {
        let program = if words[0] == "rusta-agent" { &programs.agent } else { &programs.collector };
        let verbs: Vec<_> = words[1..].iter().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect();
        let verbs = verbs.into_iter().take_while(|word| !word.starts_with('-'));
        let said = run(Command::new(program).args(verbs).arg("--help"));
        assert_eq!(said.code, Some(0), "{words:?}: {}", said.stderr);
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(said.stdout.contains(option.as_str()), "{words:?}: {option} is not in the help:\n{}", said.stdout);
        }
    }
}
