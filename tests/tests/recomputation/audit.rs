//! Random worlds, recomputed by a program that was written from the definitions' text alone (`tests/recomputation`): real
//! uploads over mTLS, the figures asked over the API. They must agree to the second.
//!
//! `RUSTA_AUDIT_WORLDS=200 cargo test -p rusta-tests --test recomputation audit` searches longer, `RUSTA_AUDIT_SEED=N` repeats
//! one search, `RUSTA_AUDIT_JOBS=N` runs so many worlds at once.

use std::path::Path;
use std::process::Command;

use rusta_tests::programs::run;

fn from_environment(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

#[test]
fn an_auditor_who_knows_only_the_text_finds_the_same_figures() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("recomputation/compare.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(env!("CARGO_BIN_EXE_lab-collector"));
    command.args(["--worlds", &from_environment("RUSTA_AUDIT_WORLDS", "4"), "--jobs", &from_environment("RUSTA_AUDIT_JOBS", "2")]);
    if let Ok(seed) = std::env::var("RUSTA_AUDIT_SEED") {
        command.args(["--seed", &seed]);
    }
    let said = run(&mut command);
    println!("{}", said.stdout);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}
