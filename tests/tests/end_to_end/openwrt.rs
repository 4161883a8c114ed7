//! The life of the OpenWrt package: installed, set up by one word, rebooted, cut off, upgraded, flashed anew, removed.
//!
//! A root file system as OpenWrt lays it out (busybox, a read-only layer with an overlay for flash, `/tmp` in memory and `/var` a
//! link to it) with the stand-ins of `tests/openwrt` for opkg, procd, uci and sysupgrade, in namespaces of its own for processes
//! and mounts. The collector is real; the agent of another processor runs under its emulator.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusta_tests::log::stored;
use rusta_tests::programs::{Said, eventually, free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A router's memory chips: what is in its image, and what is written to its flash.
struct Router {
    base: PathBuf,
    _folder: tempfile::TempDir,
    on: Option<Child>,
    /// The first process, as this machine counts.
    init: String,
}

/// Puts a program of this machine and its libraries where its own loader finds them.
fn with_libraries(program: &Path, root: &Path) {
    for word in run(Command::new("ldd").arg(program)).stdout.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = root.join(word.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(word, to).unwrap();
    }
}

impl Router {
    /// Lays out the image for an architecture of opkg; `emulator` runs its programs.
    fn new(arch: &str, emulator: Option<&str>) -> Router {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().to_owned();
        // An overlay cannot lie on an overlay, and the folder may be on one.
        run_ok(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&base));
        let rom = base.join("rom");
        for dir in ["bin", "sbin", "usr/bin", "usr/sbin", "etc/init.d", "etc/config", "lib/functions", "usr/lib/opkg/info", "standin"] {
            std::fs::create_dir_all(rom.join(dir)).unwrap();
        }
        for dir in ["proc", "sys", "dev", "tmp", "overlay", "mnt"] {
            std::fs::create_dir_all(rom.join(dir)).unwrap();
        }
        std::os::unix::fs::symlink("tmp", rom.join("var")).unwrap();
        std::fs::copy("/usr/bin/busybox", rom.join("bin/busybox")).unwrap();
        for applet in run_ok(Command::new("busybox").arg("--list")).lines() {
            std::os::unix::fs::symlink("/bin/busybox", rom.join("usr/bin").join(applet)).unwrap();
        }
        std::os::unix::fs::symlink("/bin/busybox", rom.join("bin/sh")).unwrap();
        let standins = repository().join("tests/openwrt");
        for (name, to) in [
            ("functions.sh", "lib/functions.sh"),
            ("procd.sh", "lib/functions/procd.sh"),
            ("rc.common", "etc/rc.common"),
            ("procd", "sbin/procd"),
            ("uci", "sbin/uci"),
            ("sysupgrade", "sbin/sysupgrade"),
            ("opkg", "bin/opkg"),
            ("ubus", "bin/ubus"),
            ("boot", "standin/boot"),
            ("halt", "standin/halt"),
        ] {
            std::fs::copy(standins.join(name), rom.join(to)).unwrap();
        }
        for (name, text) in [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n"),
            ("etc/group", "root:x:0:\n"),
            ("etc/openwrt_release", "DISTRIB_ID='OpenWrt'\n"),
            ("etc/hosts", "127.0.0.1 localhost\n"),
            ("etc/opkg.conf", &format!("arch all 1\narch noarch 1\narch {arch} 10\n")),
            ("standin/run", "#!/bin/sh\nname=$1; shift\nexec /standin/$name \"$@\"\n"),
            // Where it is, procd jails.
            ("sbin/ujail", "#!/bin/sh\n"),
        ] {
            std::fs::write(rom.join(name), text).unwrap();
        }
        let setpriv = Path::new("/usr/bin/setpriv");
        std::fs::copy(setpriv, rom.join("standin/setpriv")).unwrap();
        with_libraries(setpriv, &rom);
        with_libraries(&rusta_tests::programs!().agent, &rom);
        if let Some(emulator) = emulator {
            std::fs::copy(format!("/usr/bin/{emulator}"), rom.join("standin/qemu")).unwrap();
        }
        for name in ["standin/run", "sbin/ujail"] {
            std::fs::set_permissions(rom.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut router = Router { base, _folder: folder, on: None, init: String::new() };
        router.erase();
        router
    }

    /// Makes the flash as it is after a new image was written to it.
    fn erase(&mut self) {
        for dir in ["flash/upper", "flash/work", "root"] {
            let _ = std::fs::remove_dir_all(self.base.join(dir));
            std::fs::create_dir_all(self.base.join(dir)).unwrap();
        }
    }

    fn flash(&self, path: &str) -> PathBuf {
        self.base.join("flash/upper").join(path.trim_start_matches('/'))
    }

    /// Switches the router on: another boot, an empty memory.
    fn boot(&mut self) {
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        std::fs::write(self.base.join("boot_id"), uuid).unwrap();
        let script = format!(
            "cd {}\n\
             mount -t overlay overlay -o lowerdir=rom,upperdir=flash/upper,workdir=flash/work root\n\
             mount -t tmpfs tmpfs root/tmp\nmount -t proc proc root/proc\nmount --rbind /dev root/dev\nmount --rbind /sys root/sys\n\
             mount --bind boot_id root/proc/sys/kernel/random/boot_id\n\
             exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot root /bin/sh -c '/standin/boot; while :; do sleep 60; done'",
            self.base.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-ec", &script]);
        let log = std::fs::File::options().create(true).append(true).open(self.base.join("console")).unwrap();
        let on = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.init = eventually(Duration::from_secs(60), "the router has its first process", || {
            run(Command::new("pgrep").args(["-P", &on.id().to_string()])).stdout.lines().next().map(str::to_owned)
        });
        self.on = Some(on);
        let mut last = String::new();
        for _ in 0..600 {
            last = self.try_sh("ls /tmp/booted").stdout;
            if !last.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("it does not boot: {last}{}", self.log());
    }

    /// Takes the power away: every process ends at once, and what was in memory is gone.
    fn power_cut(&mut self) {
        run_ok(Command::new("kill").args(["-KILL", &self.init]));
        self.on.take().unwrap().wait().unwrap();
    }

    fn reboot(&mut self) {
        self.sh("/standin/halt");
        self.power_cut();
        self.boot();
    }

    fn try_sh(&self, line: &str) -> Said {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init, "--mount", "--pid", "--root", "--wdns=/", "/bin/sh", "-c", line]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        run(&mut command)
    }

    fn sh(&self, line: &str) -> String {
        let said = self.try_sh(line);
        assert_eq!(said.code, Some(0), "{line}\n{}{}\n{}", said.stdout, said.stderr, self.log());
        said.stdout.trim().to_owned()
    }

    fn log(&self) -> String {
        let console = std::fs::read_to_string(self.base.join("console")).unwrap_or_default();
        format!("{console}\n{}", self.try_sh("tail -n 40 /tmp/log; ps").stdout)
    }

    fn eventually(&self, line: &str, expected: &str) {
        let mut last = String::new();
        for _ in 0..600 {
            let said = self.try_sh(line);
            last = format!("{}{}", said.stdout.trim(), said.stderr.trim());
            if last == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("`{line}` says {last:?}, not {expected:?}\n{}", self.log());
    }

    fn pid(&self) -> String {
        self.sh("cat /tmp/procd/rusta-agent/pid")
    }

    /// What the agent says of itself.
    fn status(&self) -> serde_json::Value {
        let program = if self.base.join("rom/standin/qemu").exists() { "/standin/qemu /usr/sbin/rusta-agent" } else { "rusta-agent" };
        eventually(Duration::from_secs(120), "the agent answers", || {
            serde_json::from_str(&self.try_sh(&format!("{program} status --json")).stdout).ok()
        })
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if self.on.is_some() {
            self.power_cut();
        }
        let _ = run(Command::new("umount").arg("-l").arg(&self.base));
    }
}

/// Packs a program for an architecture.
fn package(folder: &Path, binary: &Path, arch: &str, slim: bool, version: &str) -> PathBuf {
    let mut command = Command::new(repository().join("scripts/package"));
    command.args(["agent", "--openwrt", arch, "--fast", "--version", version, "--binary"]).arg(binary).arg("--out").arg(folder);
    if slim {
        command.arg("--slim");
    }
    PathBuf::from(run_ok(&mut command).trim())
}

/// One kind of router and the package for it.
struct Kind<'a> {
    arch: &'a str,
    slim: bool,
    emulator: Option<&'a str>,
    binary: PathBuf,
}

fn live(kind: &Kind<'_>) {
    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    stage.import(&VILLAGES);
    let invitation = run_ok(stage.collector().args(["agents", "token", "--site", "one"]));
    let mut collector = stage.serve(None, http);
    let reports = || stored(&stage.path("collector/log")).len();
    let more_arrive = |than: usize| {
        eventually(Duration::from_secs(180), "reports arrive", || (reports() > than).then_some(()));
    };

    let folder = tempfile::tempdir().unwrap();
    let name = if kind.slim { "rusta-agent-slim" } else { "rusta-agent" };
    let [first, second] = ["1.0.0", "1.0.1"].map(|version| package(folder.path(), &kind.binary, kind.arch, kind.slim, version));
    assert!(first.ends_with(format!("{name}_1.0.0-r1_{}.ipk", kind.arch)), "{first:?}");
    let mut router = Router::new(kind.arch, kind.emulator);
    router.boot();
    let install = |router: &Router, ipk: &Path| {
        std::fs::copy(ipk, format!("/proc/{}/root/tmp/package.ipk", router.init)).unwrap();
        router.try_sh("opkg install /tmp/package.ipk")
    };
    if kind.slim {
        let refused = install(&router, &first);
        assert!(refused.code != Some(0) && refused.stderr.contains("ca-bundle"), "{}", refused.stderr);
        router.sh("touch /usr/lib/opkg/info/ca-bundle.control");
    }
    let installed = install(&router, &first);
    assert_eq!(installed.code, Some(0), "{}{}", installed.stderr, router.log());

    // Installed is enabled and started, as its own user with raw sockets and nothing else, before anybody typed anything.
    router.sh("[ -x /etc/rc.d/S95rusta-agent ] && [ -x /etc/rc.d/K10rusta-agent ]");
    router.status();
    let about = router.sh(&format!("grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/{}/status", router.pid()));
    let uid = router.sh("sed -n 's/^rusta:x:\\([0-9]*\\):.*/\\1/p' /etc/passwd");
    assert!(about.contains(&format!("Uid:\t{uid}\t{uid}")) && about.contains("CapEff:\t0000000000002000"), "{about}");
    assert!(about.contains("CapBnd:\t0000000000002000") && about.contains("NoNewPrivs:\t1"), "{about}");

    // One word; `reload_config` calls what the trigger names.
    let triggers = router.sh("cat /tmp/procd/rusta-agent/triggers/all");
    assert!(
        triggers.contains("config.change rusta") && triggers.contains("interface.*.up 2000 /etc/init.d/rusta-agent reload"),
        "{triggers}"
    );
    let before = router.pid();
    router.sh(&format!("uci set rusta.main.report=2s; uci set rusta.main.invitation='{}'; uci commit rusta", invitation.trim()));
    router.sh("/etc/init.d/rusta-agent reload");
    more_arrive(1);
    assert_eq!(router.pid(), before, "a reload starts nothing anew");
    let agent = router.status()["agent"].clone();
    assert!(agent.is_string(), "{agent}");
    // The interface trigger changes nothing, and writes nothing to the flash.
    let stamp = "find /etc/rusta /etc/config -newer /tmp/stamp ! -path '*/spool*'";
    router.sh("touch /tmp/stamp && sleep 1 && /etc/init.d/rusta-agent reload");
    assert_eq!((router.pid(), router.sh(stamp)), (before, String::new()));

    // All that must survive is in flash.
    for file in ["etc/rusta/identity/agent.key", "etc/rusta/state/spool/time", "etc/config/rusta"] {
        eventually(Duration::from_secs(60), file, || router.flash(file).exists().then_some(()));
    }
    let told = reports();
    router.reboot();
    assert_eq!(router.status()["agent"], agent);
    more_arrive(told);

    // Cut off from the collector, then from the power: what was measured is told afterwards.
    collector.kill();
    let told = reports();
    eventually(Duration::from_secs(120), "reports wait in the spool", || {
        (router.status()["spool"]["frames"].as_u64().unwrap_or_default() > 3).then_some(())
    });
    router.power_cut();
    router.boot();
    let mut collector = stage.serve(None, http);
    more_arrive(told + 3);

    // A mistake stops nothing that runs, and gates no start: the agent is back by itself when it is mended.
    let before = router.pid();
    router.sh("uci set rusta.main.spool=rubbish; uci commit rusta; /etc/init.d/rusta-agent reload");
    router.eventually("grep -c 'rusta:.*rubbish' /tmp/log | grep -vx 0 >/dev/null && echo told", "told");
    assert_eq!(router.pid(), before);
    router.reboot();
    router.eventually("grep -c 'rusta:.*rubbish' /tmp/log | grep -vx 0 >/dev/null && echo told", "told");
    router.sh("uci set rusta.main.spool=2MiB; uci commit rusta; /etc/init.d/rusta-agent reload");
    assert_eq!(router.status()["agent"], agent);

    // A disk takes the state over while it is there.
    router.sh("mkdir -p /mnt/disk/rusta; uci set rusta.main.state=/mnt/disk/rusta; uci commit rusta; /etc/init.d/rusta-agent restart");
    router.eventually("ls -d /mnt/disk/rusta/spool", "/mnt/disk/rusta/spool");
    assert!(router.sh("cat /tmp/procd/rusta-agent/triggers/all").contains("mount.add /mnt/disk/rusta"));
    router.sh("rm -r /mnt/disk/rusta; /etc/init.d/rusta-agent restart");
    assert_eq!(router.status()["agent"], agent);

    // An upgrade runs the new program with what a person typed.
    let before = router.pid();
    let upgraded = install(&router, &second);
    assert_eq!(upgraded.code, Some(0), "{}", upgraded.stderr);
    assert!(router.sh("cat /tmp/log").contains("still owed"), "the old program did not drain");
    assert_eq!(router.status()["agent"], agent);
    assert_ne!(router.pid(), before);
    assert!(router.sh("cat /etc/config/rusta").contains(invitation.trim()));

    // A sysupgrade to an image without the package: identity, state and configuration wait for it.
    router.sh("sysupgrade");
    let kept = std::fs::read(format!("/proc/{}/root/tmp/sysupgrade.tgz", router.init)).unwrap();
    router.power_cut();
    router.erase();
    std::fs::write(router.flash("sysupgrade.tgz"), kept).unwrap();
    router.boot();
    assert_ne!(router.try_sh("ls /usr/sbin/rusta-agent").code, Some(0));
    if kind.slim {
        router.sh("touch /usr/lib/opkg/info/ca-bundle.control");
    }
    assert_eq!(install(&router, &second).code, Some(0), "{}", router.log());
    assert_eq!(router.status()["agent"], agent);
    let told = reports();
    more_arrive(told);

    // A removal stops what ran and leaves what a person typed.
    router.sh(&format!("opkg remove {name}"));
    assert_eq!(router.sh("ls /etc/rc.d /usr/sbin | grep rusta || true"), "");
    assert_eq!(router.sh("ps | grep '[r]usta-agent run' || true"), "");
    router.sh("[ -s /etc/config/rusta ] && [ -s /etc/rusta/identity/agent.key ]");
    collector.kill();
}

/// The program this workspace builds, packed for this machine's processor.
#[test]
fn the_openwrt_package_lives_through_a_routers_years() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("rusta-agent");
    run_ok(Command::new("strip").arg("-o").arg(&binary).arg(&rusta_tests::programs!().agent));
    live(&Kind { arch: "x86_64", slim: false, emulator: None, binary });
}

/// Builds the static program of a router, quickly and larger than it is installed.
fn built(words: &[&str]) -> PathBuf {
    let said = run_ok(Command::new(repository().join("scripts/build-agent")).arg("--fast").args(words));
    repository().join(said.split(' ').next().unwrap())
}

#[test]
#[ignore = "builds a static agent of its own: cargo nextest run --run-ignored all -E 'test(package_lives_on)'"]
fn the_slim_openwrt_package_lives_on_x86_64() {
    live(&Kind { arch: "x86_64", slim: true, emulator: None, binary: built(&["--slim", "x86_64"]) });
}

#[test]
#[ignore = "builds a static agent of its own: cargo nextest run --run-ignored all -E 'test(package_lives_on)'"]
fn the_slim_openwrt_package_lives_on_mipsel() {
    live(&Kind { arch: "mipsel_24kc", slim: true, emulator: Some("qemu-mipsel-static"), binary: built(&["--slim", "mipsel"]) });
}

#[test]
#[ignore = "builds a static agent of its own: cargo nextest run --run-ignored all -E 'test(package_lives_on)'"]
fn the_openwrt_package_lives_on_arm() {
    live(&Kind { arch: "arm_cortex-a7_neon-vfpv4", slim: false, emulator: Some("qemu-arm-static"), binary: built(&["armv7"]) });
}

#[test]
#[ignore = "builds a static agent of its own: cargo nextest run --run-ignored all -E 'test(package_lives_on)'"]
fn the_openwrt_package_lives_on_aarch64() {
    live(&Kind { arch: "aarch64_cortex-a53", slim: false, emulator: Some("qemu-aarch64-static"), binary: built(&["aarch64"]) });
}
