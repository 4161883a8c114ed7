//! The manual pages and completions that the packages carry are those of the programs.

use std::path::Path;

use clap::Command;

/// Writes the files anew instead of comparing them: `RUSTA_WRITE=1 cargo nextest run -p rusta-tests manual`.
const WRITE: &str = "RUSTA_WRITE";

/// Renders one page for the program and all its commands: a section for each, as `git(1)` and `systemctl(1)` have it.
fn page(mut command: Command, example: &str) -> String {
    command.build();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).section("8").date("2026-11-30").manual("Rusta");
    man.render(&mut text).unwrap();
    for inner in command.get_subcommands() {
        sections(inner, &name, &mut text);
    }
    text.extend_from_slice(
        format!(".SH FILES\n.I {example}\n.SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage or configuration.\n").as_bytes(),
    );
    String::from_utf8(text).unwrap()
}

fn sections(command: &Command, above: &str, text: &mut Vec<u8>) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{above} {}", command.get_name());
    let man = clap_mangen::Man::new(command.clone());
    text.extend_from_slice(format!(".SH {}\n", name.to_uppercase()).as_bytes());
    let mut part = Vec::new();
    man.render_description_section(&mut part).unwrap();
    man.render_synopsis_section(&mut part).unwrap();
    man.render_options_section(&mut part).unwrap();
    // Inside a command's section its parts are subsections.
    text.extend_from_slice(String::from_utf8(part).unwrap().replace("\n.SH ", "\n.SS ").replacen(".SH ", ".SS ", 1).as_bytes());
    for inner in command.get_subcommands() {
        sections(inner, &name, text);
    }
}

fn completion(mut command: Command) -> String {
    let (name, mut script) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(clap_complete::Shell::Bash, &mut command, name, &mut script);
    String::from_utf8(script).unwrap()
}

#[test]
fn the_packages_manual_pages_and_completions_are_the_programs_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("configs/debian");
    let agent = rusta_agent::cli::command();
    let collector = rusta_collector::cli::command();
    let files = [
        ("rusta-agent.8", page(agent.clone(), "/etc/rusta/agent.yaml")),
        ("rusta-agent.bash", completion(agent)),
        ("rusta-collector.8", page(collector.clone(), "/etc/rusta/collector.yaml")),
        ("rusta-collector.bash", completion(collector)),
    ];
    for (name, made) in files {
        let path = folder.join(name);
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "{} is not what the command line says: run with {WRITE}=1 to write it anew", path.display());
    }
}
