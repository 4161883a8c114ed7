//! Random worlds, recomputed by a program that was written from the definitions' text alone (`tests/recomputation`): real
//! uploads over mTLS, the figures asked over the API and the command line. They must agree to the second.
//!
//! `scripts/fuzz audit [WORLDS] [SEED]` searches two hundred worlds from a seed on, and a month; `RUSTA_AUDIT_JOBS=N` runs so many at once. A world's seed, printed with each difference, makes it again on the same day.
//! `RUSTA_AUDIT_LEVEL`: 6 (cuts, works, hours, loss), 7 (boots without a clock, several devices of a site, vantages, modems), 8
//! (weeks, splits), 9 (a month with a split).

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use rusta_tests::programs::run;

fn from_environment(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

fn audit(worlds: &str, level: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("recomputation/compare.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(env!("CARGO_BIN_EXE_lab-collector"));
    command.args(["--worlds", worlds, "--level", level, "--jobs", &from_environment("RUSTA_AUDIT_JOBS", "2")]);
    command.args(["--seed", &from_environment("RUSTA_AUDIT_SEED", "901")]);
    let said = run(&mut command);
    println!("{}", said.stdout);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}

#[test]
fn an_auditor_who_knows_only_the_text_finds_the_same_figures_of_days_and_weeks_in_random_worlds() {
    audit(&from_environment("RUSTA_AUDIT_WORLDS", "3"), &from_environment("RUSTA_AUDIT_LEVEL", "8"));
}

#[test]
#[ignore = "takes a quarter of an hour: scripts/fuzz audit"]
fn an_auditor_who_knows_only_the_text_finds_the_same_figures_of_a_month_in_which_a_county_splits() {
    audit(&from_environment("RUSTA_AUDIT_MONTHS", "1"), "9");
}
