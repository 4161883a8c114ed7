//! What packages are made of, and who made them: beside each lies a CycloneDX document, and a signature where there is a key.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusta_tests::programs::{run, run_ok};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

#[test]
fn a_package_says_what_it_is_made_of_and_a_changed_one_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    run_ok(Command::new("minisign").args(["-G", "-W", "-p"]).arg(path("pub")).arg("-s").arg(path("key")));
    let mut package = Command::new("scripts/package");
    package.current_dir(repository()).args(["agent", "x86_64", "--fast", "--binary", env!("CARGO_BIN_EXE_lab-agent"), "--out"]);
    let said = run_ok(package.arg(path("out")).arg("--sign").arg(path("key")));
    let packages: Vec<PathBuf> = said.lines().map(PathBuf::from).collect();
    assert_eq!(packages.len(), 2, "{said}");
    let lock: toml::Table = toml::from_str(&std::fs::read_to_string(repository().join("Cargo.lock")).unwrap()).unwrap();
    for package in packages {
        let beside = |ending: &str| PathBuf::from(format!("{}{ending}", package.display()));
        let verify = |file: &Path| run(Command::new("minisign").args(["-V", "-p"]).arg(path("pub")).arg("-m").arg(file)).code;
        assert_eq!((verify(&package), verify(&beside(".cdx.json"))), (Some(0), Some(0)), "{}", package.display());

        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(beside(".cdx.json")).unwrap()).unwrap();
        assert_eq!((&document["bomFormat"], &document["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
        assert_eq!(document["metadata"]["component"]["name"], "rusta-agent");
        let components = document["components"].as_array().unwrap();
        let named = |name: &str| components.iter().filter(|one| one["name"] == name).count();
        assert!(named("rustls") == 1 && named("ring") == 1 && named("async-snmp") == 1, "what the agent links");
        assert!(
            named("proptest") == 0 && named("rusqlite") == 0 && named("cc") == 0,
            "neither tests, nor the collector's, nor what builds"
        );
        for one in components.iter().filter(|one| one.get("purl").is_some()) {
            let locked =
                lock["package"].as_array().unwrap().iter().find(|locked| {
                    locked["name"].as_str() == one["name"].as_str() && locked["version"].as_str() == one["version"].as_str()
                });
            let locked = locked.unwrap_or_else(|| panic!("{one} is not in Cargo.lock"));
            assert_eq!(locked["checksum"].as_str(), one["hashes"][0]["content"].as_str(), "{one}");
            assert!(one["licenses"][0]["expression"].as_str().is_some_and(|licence| !licence.contains('/')), "{one}");
        }
        let refs: Vec<&str> = document["dependencies"].as_array().unwrap().iter().map(|one| one["ref"].as_str().unwrap()).collect();
        assert_eq!(refs.len(), components.len() + 1, "each part says what it depends on");

        let mut bytes = std::fs::read(&package).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&package, bytes).unwrap();
        assert_ne!(verify(&package), Some(0), "a changed package verifies");
    }
}
