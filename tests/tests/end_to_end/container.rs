//! Both packages on one Debian with a real systemd: installed, used as root by the README's commands, upgraded, removed, purged.
//!
//! The system is the one `scripts/test` laid out in `target/debian`; each test boots a layer of its own over it, without a
//! network but its loopback.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusta_tests::programs::{Said, eventually, run, run_ok};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A booted system.
struct Machine {
    nspawn: Child,
    leader: String,
    root: PathBuf,
    _folder: tempfile::TempDir,
}

impl Machine {
    fn boot() -> Machine {
        let system = repository().join("target/debian");
        assert!(system.join("usr/bin/deb-systemd-invoke").exists(), "scripts/test lays out {}", system.display());
        let folder = tempfile::tempdir().unwrap();
        let part = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let (layers, root) = (part("layers"), part("root"));
        // The layer lies in memory: an overlay cannot lie on an overlay, and the folder may be on one.
        run_ok(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&layers));
        let (upper, work) = (layers.join("upper"), layers.join("work"));
        std::fs::create_dir(&upper).unwrap();
        std::fs::create_dir(&work).unwrap();
        let options = format!("lowerdir={},upperdir={},workdir={}", system.display(), upper.display(), work.display());
        run_ok(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&root));
        let mut command = Command::new("systemd-nspawn");
        command.args(["--quiet", "--register=no", "--keep-unit", "--private-network", "--boot", "-D"]).arg(&root);
        let nspawn = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let leader = eventually(Duration::from_secs(60), "the container has its first process", || {
            // A helper of the start may be there before it.
            let said = run(Command::new("pgrep").args(["-x", "systemd", "-P", &nspawn.id().to_string()]));
            said.stdout.lines().next().map(str::to_owned)
        });
        let machine = Machine { nspawn, leader, root, _folder: folder };
        eventually(Duration::from_secs(120), "systemd has booted", || {
            let said = machine.try_sh("systemctl is-system-running");
            ["running", "degraded"].contains(&said.stdout.trim()).then_some(())
        });
        machine
    }

    /// Runs a line of shell as root inside.
    fn try_sh(&self, line: &str) -> Said {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.leader, "-a", "--", "/bin/sh", "-c", line]);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env_remove("XDG_RUNTIME_DIR");
        run(&mut command)
    }

    fn sh(&self, line: &str) -> String {
        let said = self.try_sh(line);
        assert_eq!(said.code, Some(0), "{line}\n{}{}\n{}", said.stdout, said.stderr, self.journal());
        said.stdout.trim().to_owned()
    }

    fn journal(&self) -> String {
        self.try_sh("journalctl --no-pager -n 60 -u rusta-collector -u rusta-agent").stdout
    }

    fn eventually(&self, line: &str, expected: &str) {
        let mut last = String::new();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while std::time::Instant::now() < deadline {
            last = self.try_sh(line).stdout.trim().to_owned();
            if last == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        panic!("`{line}` says {last:?}, not {expected:?}\n{}", self.journal());
    }

    /// Reads a page of the machine's own port.
    fn page(&self, path: &str) -> Said {
        let script = format!(
            "import urllib.request,urllib.error\ntry: print(urllib.request.urlopen('http://127.0.0.1:8080{path}').status)\n\
             except urllib.error.HTTPError as e: print(e.code, e.read().decode())\nexcept OSError as e: print(e)"
        );
        run(Command::new("nsenter").args(["-t", &self.leader, "-n", "--", "/usr/bin/python3", "-c", &script]))
    }

    fn copy_in(&self, from: &Path, to: &str) {
        run_ok(Command::new("cp").arg("-r").arg(from).arg(self.root.join(to.trim_start_matches('/'))));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.try_sh("systemctl poweroff --force --force");
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        for mount in [&self.root, &self.root.with_file_name("layers")] {
            let _ = run(Command::new("umount").arg("-l").arg(mount));
        }
    }
}

/// Packs both programs, without their symbols as they are shipped.
fn packages(folder: &Path, version: &str) -> Vec<PathBuf> {
    let programs = rusta_tests::programs!();
    let mut made = Vec::new();
    for (name, program, words) in
        [("rusta-agent", &programs.agent, &["agent", "x86_64"][..]), ("rusta-collector", &programs.collector, &["collector"][..])]
    {
        let binary = folder.join(name);
        run_ok(Command::new("strip").arg("-o").arg(&binary).arg(program));
        let mut command = Command::new(repository().join("scripts/package"));
        command.args(words).arg("--binary").arg(&binary).arg("--out").arg(folder).args(["--fast", "--version", version]);
        made.extend(run_ok(&mut command).lines().filter(|line| line.ends_with(".deb")).map(PathBuf::from));
    }
    assert_eq!(made.len(), 2);
    made
}

#[test]
fn both_packages_live_on_one_debian_through_install_upgrade_remove_and_purge() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    std::fs::create_dir(&first).unwrap();
    std::fs::create_dir(&second).unwrap();
    let debs = packages(&first, env!("CARGO_PKG_VERSION"));
    let said = run(Command::new("lintian")
        .args(["--no-cfg", "--fail-on", "error,warning", "--allow-root", "--tag-display-limit", "0"])
        .args(&debs));
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);

    let machine = Machine::boot();
    machine.sh("mkdir -p /srv/packages");
    let install = |files: &[PathBuf]| {
        machine.sh("rm -f /srv/packages/*");
        files.iter().for_each(|file| machine.copy_in(file, "/srv/packages/"));
        machine.sh("DEBIAN_FRONTEND=noninteractive dpkg -i /srv/packages/*.deb");
    };
    install(&debs);
    for unit in ["rusta-agent", "rusta-collector"] {
        assert_eq!(machine.sh(&format!("systemctl is-enabled {unit}")), "enabled");
    }
    machine.eventually("systemctl is-active rusta-collector", "active");
    let owner = |path: &str| machine.sh(&format!("stat -c '%U %a' {path}"));
    assert_eq!(owner("/var/lib/rusta-collector"), "rusta 700");
    assert_eq!(owner("/var/lib/rusta-agent"), "rusta-agent 700");

    // The README's commands, as root: what they write belongs to the service.
    machine.copy_in(&repository().join("configs/inventory"), "/srv/");
    let collector = "rusta-collector --config /etc/rusta/collector.yaml";
    machine.sh(&format!("{collector} inventory import /srv/inventory"));
    machine.sh(&format!("echo correct-horse-battery-staple | {collector} users add maryam --role admin"));
    let foreign = "find /var/lib/rusta-collector ! -user rusta -o /var/lib/rusta-collector -perm /077 | head";
    assert_eq!(machine.sh(&foreign.replace(" -o /var/lib/rusta-collector -perm /077", "")), "");
    let site = machine.sh("sed -n 's/^\\(09-V[0-9]*\\),.*/\\1/p' /srv/inventory/sites.csv | head -n 1");
    let token = machine.sh(&format!("{collector} agents token --bare --site {site} | grep -oE '[A-Za-z0-9_-]{{20,}}' | tail -n 1"));
    machine.sh("sed -i 's|https://collector.example:8443|https://127.0.0.1:8443|' /etc/rusta/agent.yaml");
    machine.sh("install -m 644 /var/lib/rusta-collector/authority/1.crt /srv/ca.crt");
    machine
        .sh(&format!("rusta-agent enroll --collector https://127.0.0.1:8443 --token {token} --ca /srv/ca.crt --dir /etc/rusta/identity"));
    assert_eq!(machine.sh("find /etc/rusta/identity ! -user rusta-agent"), "");
    machine.sh("systemctl restart rusta-agent");
    machine.eventually("systemctl is-active rusta-agent", "active");
    machine.sh("systemctl restart rusta-collector");
    eventually(Duration::from_secs(60), "the collector answers its people's port", || {
        machine.page("/readyz").stdout.trim().starts_with("200").then_some(())
    });
    // Root asks the running service without a login; nobody else reads what it keeps.
    let now = machine.sh(&format!("{collector} kpi --period now --id connected_share_now --json"));
    assert!(now.contains("connected_share_now"), "{now}");
    assert_eq!(machine.sh("find /var/lib/rusta-collector ! -type l -perm /077"), "");
    // An empty registry is a start like any other: nothing may have panicked.
    assert!(!machine.journal().contains("panicked"), "{}", machine.journal());
    // Somebody who is neither root nor the service is told what to type.
    let stranger = machine.try_sh(&format!("setpriv --reuid=nobody --regid=nogroup --clear-groups {collector} agents list"));
    assert_eq!(stranger.code, Some(2), "{}{}", stranger.stdout, stranger.stderr);

    // An upgrade runs the new programs, with the data of the old.
    let pid = |unit: &str| machine.sh(&format!("systemctl show -P MainPID {unit}"));
    let before = (pid("rusta-agent"), pid("rusta-collector"));
    let agents = machine.sh(&format!("{collector} agents list"));
    assert!(agents.contains(&site), "{agents}");
    install(&packages(&second, &format!("{}+next", env!("CARGO_PKG_VERSION"))));
    machine.eventually("systemctl is-active rusta-collector", "active");
    machine.eventually("systemctl is-active rusta-agent", "active");
    let after = (pid("rusta-agent"), pid("rusta-collector"));
    assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
    assert!(machine.sh(&format!("{collector} agents list")).contains(&site));
    // The old agent sent what it could before it made room for the new one.
    let drained = machine.sh("journalctl --no-pager -o cat -u rusta-agent | grep -c 'are still owed'");
    assert!(drained.parse::<u32>().unwrap() >= 1, "{drained}");

    // A removal stops what ran; a purge leaves no identity for the machine's next owner, and never a province's history.
    machine.sh("DEBIAN_FRONTEND=noninteractive dpkg -r rusta-agent rusta-collector");
    assert_eq!(machine.sh("cat /proc/[0-9]*/comm 2>/dev/null | grep rusta || true"), "");
    assert_eq!(owner("/var/lib/rusta-collector"), "rusta 700");
    // Only who asks for it keeps an identity over a purge.
    machine.sh("touch /etc/rusta/keep-state && DEBIAN_FRONTEND=noninteractive dpkg -P rusta-agent");
    machine.sh("[ -s /etc/rusta/identity/agent.key ] && [ -d /var/lib/rusta-agent/spool ]");
    machine.sh("rm /etc/rusta/keep-state && DEBIAN_FRONTEND=noninteractive dpkg -i /srv/packages/rusta-agent_*.deb");
    machine.sh("DEBIAN_FRONTEND=noninteractive dpkg -P rusta-agent rusta-collector");
    assert_eq!(machine.sh("ls -d /etc/rusta/identity /var/lib/rusta-agent 2>/dev/null || true"), "");
    assert_eq!(owner("/var/lib/rusta-collector"), "rusta 700");
    assert_eq!(machine.sh("systemctl list-unit-files --no-legend 'rusta*' || true"), "");
}
