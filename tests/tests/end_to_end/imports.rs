//! What an import takes away: it is said, much of it is refused unless asked for, and a part can be laid over the rest.

use std::net::SocketAddr;
use std::path::Path;

use rusta_tests::programs::{free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};

const LINKS: &[(&str, &str, &str, &str)] = &[("gov0", "gov", "primary", "fibre")];

const NAMES: [&str; 12] = ["v01", "v02", "v03", "v04", "v05", "v06", "v07", "v08", "v09", "v10", "v11", "v12"];
const OTHERS: [&str; 3] = ["w01", "w02", "w03"];

fn villages(names: &[&'static str]) -> Vec<Village> {
    names.iter().map(|site| Village { site, links: LINKS }).collect()
}

fn stage() -> Stage {
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(agents, &["127.0.0.1"], http, "");
    stage
}

/// Moves the registry in `inventory` into another province and another folder.
fn as_another_province(stage: &Stage) {
    std::fs::create_dir_all(stage.path("other")).unwrap();
    for name in ["regions.csv", "sites.csv", "links.csv"] {
        let text = std::fs::read_to_string(stage.path("inventory").join(name)).unwrap();
        let moved = text.replace("0901", "1501").replace("\n09,", "\n15,").replace(",09,", ",15,").replace("نمونه", "دیگر");
        std::fs::write(stage.path("other").join(name), moved).unwrap();
    }
}

fn sites(stage: &Stage) -> Vec<String> {
    let folder = stage.path("exported");
    run_ok(stage.collector().args(["inventory", "export"]).arg(&folder));
    let text = std::fs::read_to_string(folder.join("sites.csv")).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

fn import(stage: &Stage, folder: &Path, how: &[&str]) -> rusta_tests::programs::Said {
    run(stage.collector().args(["inventory", "import"]).args(how).arg(folder))
}

#[test]
fn an_import_says_what_disappears_and_drops_a_province_only_when_asked_to() {
    let stage = stage();
    // The other province's files first: both come from one writer.
    stage.import(&villages(&OTHERS));
    as_another_province(&stage);
    std::fs::remove_dir_all(stage.path("collector")).unwrap();
    stage.import(&villages(&NAMES));
    let (inventory, other) = (stage.path("inventory"), stage.path("other"));

    let refused = import(&stage, &other, &[]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for said in ["gone: 12 of 12 sites: v01, v02", "12 of 12 links", "10 %", "--merge", "--replace", "چیزی تغییر نکرد"] {
        assert!(refused.stderr.contains(said), "`{said}` is not in:\n{}", refused.stderr);
    }
    assert_eq!(sites(&stage).len(), 12, "nothing was changed");
    let told = import(&stage, &other, &["--dry-run"]);
    assert!(told.code == Some(0) && told.stderr.contains("12 of 12 sites would be gone"), "{told:?}");

    let merged = import(&stage, &other, &["--merge"]);
    assert!(merged.code == Some(0) && !merged.stdout.contains("gone"), "{merged:?}");
    assert_eq!(sites(&stage).len(), 15, "the province that was not named stayed");

    // One list of one province.
    let list = std::fs::read_to_string(other.join("sites.csv")).unwrap().replacen(",B", ",A", 1);
    let one = stage.write("one/sites.csv", &list);
    let merged = import(&stage, &one, &["--merge"]);
    assert_eq!(merged.code, Some(0), "{merged:?}");
    let after = sites(&stage);
    assert_eq!(after.len(), 15);
    assert_eq!(after.iter().filter(|line| line.contains(",A,")).count(), 1, "{after:?}");
    let bad = stage.write("two/sites.csv", &list.replacen("1501010001000000", "1501010001999999", 1));
    let faulty = import(&stage, &bad, &["--merge"]);
    assert!(faulty.code == Some(2) && faulty.stderr.contains("sites.csv:2:region_code"), "{faulty:?}");

    let replaced = import(&stage, &other, &["--replace"]);
    assert!(replaced.code == Some(0) && replaced.stdout.contains("gone: 12 of 15 sites: v01"), "{replaced:?}");
    assert_eq!(sites(&stage).len(), 3);

    // A village that was struck off is within the limit, and said all the same.
    run_ok(stage.collector().args(["inventory", "import", "--replace"]).arg(&inventory));
    for name in ["regions.csv", "sites.csv", "links.csv"] {
        let text = std::fs::read_to_string(inventory.join(name)).unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("v12")).collect();
        std::fs::write(inventory.join(name), kept.join("\n")).unwrap();
    }
    let said = import(&stage, &inventory, &[]);
    assert!(said.code == Some(0) && said.stdout.contains("gone: 1 of 12 sites: v12"), "{said:?}");
}

#[test]
fn a_token_is_for_a_site_of_the_registry() {
    let stage = stage();
    stage.import(&villages(&NAMES));
    let token = |site: &str| run(stage.collector().args(["agents", "token", "--site", site]));
    let refused = token("v011");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stdout.is_empty() && refused.stderr.contains("v011") && refused.stderr.contains("v01"), "{refused:?}");
    assert!(token("NOPE-1").stderr.contains("no site `NOPE-1`"), "{:?}", token("NOPE-1"));
    assert!(token("V01").stderr.contains("did you mean `v01`"), "{:?}", token("V01"));
    assert_eq!(token("v01").code, Some(0));
}
