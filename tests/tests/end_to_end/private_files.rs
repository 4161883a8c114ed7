//! What the collector keeps and writes is its owner's alone, also where others may write beside it.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rusta_tests::programs::{eventually, free_port, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn stage() -> (Stage, SocketAddr) {
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, people] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(agents, &["127.0.0.1"], people, "");
    (stage, people)
}

/// Every file and folder under a path.
fn all(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if std::fs::symlink_metadata(path).unwrap().is_dir() {
        found.extend(std::fs::read_dir(path).unwrap().flat_map(|entry| all(&entry.unwrap().path())));
    }
    found
}

/// The directory was 0755 and the state database 0644.
#[test]
fn nobody_else_reads_what_is_kept() {
    let (stage, people) = stage();
    let data = stage.path("collector");
    stage.import(&VILLAGES);
    assert!(all(&data).iter().all(|path| mode(path) & 0o077 == 0), "what a command makes");
    // As an earlier collector, or a hand, left it.
    for path in all(&data) {
        std::fs::set_permissions(&path, Permissions::from_mode(if path.is_dir() { 0o755 } else { 0o644 })).unwrap();
    }
    let collector = stage.serve(None, people);
    eventually(std::time::Duration::from_secs(10), "everything is closed to others", || {
        let open: Vec<_> = all(&data).into_iter().filter(|path| mode(path) & 0o077 != 0).collect();
        open.is_empty().then_some(())
    });
    assert!(collector.output().contains("other users could read"), "{}", collector.output());
}

/// `FILE.partial` was followed wherever it led, and the file was readable for everybody.
#[test]
fn what_is_written_for_people_follows_no_link_and_is_theirs_alone() {
    let (stage, people) = stage();
    stage.import(&VILLAGES);
    let _collector = stage.serve(None, people);
    let folder = stage.path("shared");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o1777)).unwrap();
    let victim = stage.write("victim", "precious");
    let command = |words: &[&str], out: &Path| {
        for planted in ["", ".partial", ".copy", ".part"] {
            let mut name = out.as_os_str().to_owned();
            name.push(planted);
            let _again = std::fs::remove_file(&name);
            symlink(&victim, &name).unwrap();
        }
        run_ok(stage.collector().args(words).arg(out));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious", "{words:?}");
        assert!(std::fs::symlink_metadata(out).unwrap().is_file(), "{words:?}");
        assert_eq!(mode(out), 0o600, "{words:?}");
    };
    command(&["backup", "--out"], &folder.join("backup"));
    for form in ["report.xlsx", "report.csv", "report.html"] {
        command(&["report", "--period", "1405-08", "--out"], &folder.join(form));
    }
    command(&["inventory", "export"], &folder.join("registry.xlsx"));
    let explained = folder.join("explained.csv");
    command(&["explain", "connected_share_now", "--region", "09", "--period", "now", "--out"], &explained);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "nothing half made is left: {left:?}");
    // A whole folder, and a backup restored.
    run_ok(stage.collector().args(["inventory", "export"]).arg(folder.join("registry")));
    assert!(all(&folder.join("registry")).iter().all(|path| mode(path) & 0o077 == 0));
    let restored = stage.path("restored");
    run_ok(stage.collector().arg("--data-dir").arg(&restored).arg("restore").arg(folder.join("backup")));
    assert!(all(&restored).iter().all(|path| mode(path) & 0o077 == 0));
}
