//! What people install: the packages `scripts/package` makes, and the units that start the agent from them.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusta_tests::programs::{Running, eventually, run, run_ok};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Packs a program as `scripts/package` packs the static one, and returns the two files.
fn packages(agent: &Path, folder: &Path) -> [PathBuf; 2] {
    let script = repository().join("scripts/package");
    let mut command = Command::new(script);
    command.args(["agent", "x86_64", "--fast", "--binary"]).arg(agent).arg("--out").arg(folder).env("SOURCE_DATE_EPOCH", "1795262400");
    let paths: Vec<PathBuf> = run_ok(&mut command).lines().map(PathBuf::from).collect();
    paths.try_into().unwrap()
}

/// Asserts what is installed: each path with its mode, and nothing beside them.
fn assert_files(root: &Path, expected: &[(&str, u32)]) {
    let listed = run_ok(Command::new("find").arg(root).args(["-type", "f", "-printf", "%P %m\n"]));
    let found: BTreeSet<&str> = listed.lines().collect();
    let expected: Vec<String> = expected.iter().map(|(path, mode)| format!("{path} {mode:o}")).collect();
    assert_eq!(found, expected.iter().map(String::as_str).collect());
}

fn assert_shell_reads(script: &Path) {
    run_ok(Command::new("dash").arg("-n").arg(script));
}

#[test]
fn packages_hold_the_program_its_units_and_a_configuration_that_is_kept() {
    let programs = rusta_tests::programs!();
    let folder = tempfile::tempdir().unwrap();
    // Without its symbols, as it is shipped: packing them takes a minute.
    let agent = folder.path().join("rusta-agent");
    run_ok(Command::new("strip").arg("-o").arg(&agent).arg(&programs.agent));
    let [deb, ipk] = packages(&agent, folder.path());
    let version = env!("CARGO_PKG_VERSION");
    let unpacked = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };

    let (root, control) = (unpacked("deb"), unpacked("deb-control"));
    run_ok(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&root));
    run_ok(Command::new("dpkg-deb").arg("-e").arg(&deb).arg(&control));
    assert_files(
        &root,
        &[
            ("usr/bin/rusta-agent", 0o755),
            ("lib/systemd/system/rusta-agent.service", 0o644),
            ("etc/rusta/agent.yaml", 0o640),
            ("usr/lib/sysusers.d/rusta-agent.conf", 0o644),
            ("usr/lib/tmpfiles.d/rusta-agent.conf", 0o644),
            ("usr/share/bash-completion/completions/rusta-agent", 0o644),
            ("usr/share/doc/rusta-agent/changelog.gz", 0o644),
            ("usr/share/doc/rusta-agent/copyright", 0o644),
            ("usr/share/lintian/overrides/rusta-agent", 0o644),
            ("usr/share/man/man8/rusta-agent.8.gz", 0o644),
        ],
    );
    assert_eq!(std::fs::read(root.join("usr/bin/rusta-agent")).unwrap(), std::fs::read(&agent).unwrap());
    assert_eq!(read(control.join("conffiles")), "/etc/rusta/agent.yaml\n");
    let about = read(control.join("control"));
    assert!(about.contains(&format!("Version: {version}\n")) && about.contains("Architecture: amd64\n"), "{about}");
    for script in ["postinst", "prerm", "postrm"] {
        assert_eq!(std::fs::metadata(control.join(script)).unwrap().permissions().mode() & 0o777, 0o755);
        assert_shell_reads(&control.join(script));
    }

    let (outer, root, control) = (unpacked("ipk"), unpacked("ipk-data"), unpacked("ipk-control"));
    run_ok(Command::new("tar").arg("-xzf").arg(&ipk).arg("-C").arg(&outer));
    assert_eq!(read(outer.join("debian-binary")), "2.0\n");
    run_ok(Command::new("tar").arg("-xpzf").arg(outer.join("data.tar.gz")).arg("-C").arg(&root));
    run_ok(Command::new("tar").arg("-xpzf").arg(outer.join("control.tar.gz")).arg("-C").arg(&control));
    assert_files(
        &root,
        &[
            ("usr/sbin/rusta-agent", 0o755),
            ("etc/init.d/rusta-agent", 0o755),
            ("etc/config/rusta", 0o600),
            ("etc/uci-defaults/50-rusta-agent", 0o644),
            ("etc/capabilities/rusta-agent.json", 0o644),
            ("etc/hotplug.d/tty/50-rusta-agent", 0o644),
            ("etc/hotplug.d/usbmisc/50-rusta-agent", 0o644),
            ("usr/share/acl.d/rusta-agent.json", 0o644),
            ("lib/upgrade/keep.d/rusta-agent", 0o644),
        ],
    );
    // What the agent must not lose lies in what a sysupgrade keeps.
    assert_eq!(read(root.join("lib/upgrade/keep.d/rusta-agent")), "/etc/rusta/\n");
    for json in ["etc/capabilities/rusta-agent.json", "usr/share/acl.d/rusta-agent.json"] {
        serde_json::from_str::<serde_json::Value>(&read(root.join(json))).unwrap();
    }
    for script in ["postinst", "prerm"] {
        let text = read(control.join(script));
        assert!(text.ends_with(&format!("default_{script} $0 $@\n")), "{text}");
        assert_eq!(std::fs::metadata(control.join(script)).unwrap().permissions().mode() & 0o777, 0o755);
        assert_shell_reads(&control.join(script));
    }
    assert_eq!(read(control.join("conffiles")), "/etc/config/rusta\n");
    let about = read(control.join("control"));
    assert!(about.contains(&format!("Version: {version}-r1\n")) && about.contains("Require-User: rusta:rusta\n"), "{about}");
    for script in ["etc/init.d/rusta-agent", "etc/uci-defaults/50-rusta-agent", "etc/hotplug.d/tty/50-rusta-agent"] {
        assert_shell_reads(&root.join(script));
    }
}

/// Whoever packs, wherever and whenever: the same program gives the same bytes.
#[test]
fn the_same_files_give_the_same_packages() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let program = Path::new("/bin/true");
    packages(program, &first);
    // Another user's habits, and another clock: the files' own dates do not count.
    let script = repository().join("scripts/package");
    let line = format!(
        "umask 077; export TZ=Asia/Tehran LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1795262400; touch {config}; exec {script} agent x86_64 --fast \
         --binary {program} --out {out}",
        config = repository().join("configs/agent.yaml").display(),
        script = script.display(),
        program = program.display(),
        out = second.display()
    );
    run_ok(Command::new("sh").arg("-c").arg(line));
    let mut names = 0;
    for entry in std::fs::read_dir(&first).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(std::fs::read(first.join(&name)).unwrap() == std::fs::read(second.join(&name)).unwrap(), "{name:?} differs");
        names += 1;
    }
    assert_eq!(names, 4, "two packages, and beside each what it is made of");
}

/// The feed's Makefile, the script and the workspace say one thing.
#[test]
fn the_feed_installs_what_the_script_packs() {
    let feed = read(repository().join("configs/openwrt/feed/rusta-agent/Makefile"));
    let script = read(repository().join("scripts/package"));
    assert!(feed.contains(&format!("PKG_VERSION:={}\n", env!("CARGO_PKG_VERSION"))), "the feed names another version");
    for file in std::fs::read_dir(repository().join("configs/openwrt/feed/rusta-agent/files")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let places = |text: &str, sign: &str| -> BTreeSet<String> {
            let lines = text.lines().filter(|line| line.contains(&format!("files/{name} ")));
            lines.map(|line| line.rsplit(sign).next().unwrap().trim_end_matches('"').to_owned()).collect()
        };
        let (fed, packed) = (places(&feed, "$(1)/"), places(&script, "$data/"));
        assert!(!fed.is_empty() && fed == packed, "{name}: {fed:?} in the feed, {packed:?} in the script");
    }
}

/// An architecture whose processor the toolchain does not know is refused before anything is built.
#[test]
fn only_known_architectures_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let pack = |arch: &str| {
        let mut command = Command::new(repository().join("scripts/package"));
        run(command.args(["agent", "--openwrt", arch, "--binary", "/bin/true", "--out"]).arg(folder.path()))
    };
    for arch in [
        "aarch64_cortex-a53",
        "aarch64_cortex-a72",
        "aarch64_generic",
        "arm_cortex-a7_neon-vfpv4",
        "arm_cortex-a9",
        "arm_cortex-a15_neon-vfpv4",
        "mipsel_24kc",
        "mips_24kc",
        "x86_64",
    ] {
        // MIPS has the slim one only.
        let name = if arch.starts_with("mips") { "rusta-agent-slim" } else { "rusta-agent" };
        let said = pack(arch);
        assert!(said.stdout.trim().ends_with(&format!("{name}_{}-r1_{arch}.ipk", env!("CARGO_PKG_VERSION"))), "{said:?}");
    }
    let refused = pack("sparc");
    assert!(refused.code == Some(2) && refused.stderr.contains("print-architecture"), "{refused:?}");
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("rusta-agent.service");
    let text = read(repository().join("configs/systemd/rusta-agent.service"));
    // The page is in the package, not on this machine.
    let text: String = text.lines().filter(|line| !line.starts_with("Documentation=")).map(|line| format!("{line}\n")).collect();
    let agent = rusta_tests::programs!().agent;
    std::fs::write(&unit, text.replace("/usr/bin/rusta-agent", &agent.display().to_string())).unwrap();
    let said = run(Command::new("systemd-analyze").args(["verify"]).arg(&unit));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
}

/// Expands a set of system calls as systemd defines it.
fn members(set: &str) -> BTreeSet<String> {
    let listed = run_ok(Command::new("systemd-analyze").args(["syscall-filter", set]));
    let words = listed.lines().skip(1).map(str::trim).filter(|word| !word.is_empty() && !word.starts_with('#'));
    words.flat_map(|word| if word.starts_with('@') { members(word) } else { [word.to_string()].into() }).collect()
}

/// What the unit's `SystemCallFilter=` lines leave to the agent, read in their order.
fn permitted() -> BTreeSet<String> {
    let mut permitted = BTreeSet::new();
    let unit = read(repository().join("configs/systemd/rusta-agent.service"));
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        for word in line.trim_start_matches('~').split_whitespace() {
            let set = if word.starts_with('@') { members(word) } else { [word.to_string()].into() };
            if line.starts_with('~') {
                permitted.retain(|call| !set.contains(call));
            } else {
                permitted.extend(set);
            }
        }
    }
    permitted
}

const WATCH: &str = r#"
links: [{ name: lo0, network: gov, interface: lo }]
targets:
  - { name: loopback, link: lo0, rung: device, every: 5s, timeout: 2s, icmp: { address: 127.0.0.1, count: 1 } }
  - { name: host, link: lo0, rung: device, every: 5s, timeout: 2s, host: { interfaces: [lo] } }
  - { name: plugin, link: lo0, rung: service, every: 5s, timeout: 2s, exec: { command: [/bin/true] } }
  - { name: door, link: lo0, rung: core, every: 5s, timeout: 2s, tcp: { address: "127.0.0.1:9" } }
  - { name: page, link: lo0, rung: core, every: 5s, timeout: 2s, http: { url: "https://127.0.0.1:9/" } }
  - { name: path, link: lo0, rung: core, every: 5s, timeout: 2s, path: { address: 127.0.0.1 } }
  - { name: name, link: lo0, rung: naming, every: 5s, timeout: 2s, dns: { server: 127.0.0.1, name: a.example, type: A } }
"#;

const NOBODY: u32 = 65_534;

/// The agent gives up its capabilities when it starts. A filter without that call would kill it there, on every machine
/// where people installed the package.
#[test]
fn the_units_filter_permits_every_call_the_agent_makes() {
    let (folder, programs) = (tempfile::tempdir().unwrap(), rusta_tests::programs!());
    let at = folder.path().display();
    // Where the unit's user may run it, whoever owns the folder it was built in.
    let agent = folder.path().join("rusta-agent");
    std::fs::copy(&programs.agent, &agent).unwrap();
    let config = folder.path().join("agent.yaml");
    std::fs::write(&config, format!("spool: {{ dir: {at}/spool }}\nstatus_socket: {at}/socket\n{WATCH}")).unwrap();
    let trace = folder.path().join("trace");
    // As the unit has it: no root, one capability.
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    command
        .args(["--inh-caps=+net_raw", "--ambient-caps=+net_raw", "strace", "-f", "-qq", "-o"])
        .arg(&trace)
        .arg(&agent)
        .args(["run", "--config"])
        .arg(&config);
    let mut running = Running::start("agent", command, folder.path());
    eventually(Duration::from_secs(60), "every target is measured", || {
        let said = run(Command::new(&agent).args(["status", "--json", "--config"]).arg(&config));
        let status: serde_json::Value = serde_json::from_str(&said.stdout).ok()?;
        let targets = status["links"][0]["targets"].as_array()?.clone();
        (targets.len() == 7 && targets.iter().all(|target| !target["outcome"].is_null())).then_some(())
    });
    running.signal(Signal::SIGTERM);
    running.wait(Duration::from_secs(20));
    let traced = read(&trace);
    let call = |line: &str| Some(line.split_whitespace().nth(1)?.split_once('(')?.0.to_string());
    let made: BTreeSet<String> = traced.lines().filter_map(call).filter(|name| !name.starts_with(['<', '+', '-'])).collect();
    assert!(made.len() > 40 && made.contains("capset"), "{made:?}");
    let permitted = permitted();
    let refused: Vec<_> = made.iter().filter(|call| !permitted.contains(*call)).collect();
    assert!(refused.is_empty(), "the unit's filter refuses {refused:?}");
}
