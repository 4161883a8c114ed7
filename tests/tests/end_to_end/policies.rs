//! What an agent does of its own accord, with the real program: how often it looks, whose bytes it spends, which time it
//! believes, and what it tells of a moment in which it stood still.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusta_tests::log::{Round, rounds_of, stored};
use rusta_tests::netns::{Lab, possible};
use rusta_tests::programs::{Running, eventually, free_port, run_ok};
use rusta_tests::router::{self, Router, true_seconds};
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{Metric, Outcome};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("apn0", "apn", "primary", "lte")] }];

/// No target may be looked at more often than this, whatever its rounds come to.
const CLOSEST: Duration = Duration::from_secs(8);

/// An agent that reports to nobody: what it measured stays in its spool.
fn configure_alone(stage: &Stage, links_and_targets: &str) {
    let folder = stage.path("one");
    let text = format!(
        "report: {{ every: 2s }}\nspool: {{ dir: {0}/spool, max_bytes: 8MiB, sync: batch }}\nstatus_socket: {0}/agent.sock\n{links_and_targets}\n",
        folder.display()
    );
    stage.write("one/agent.yaml", &text);
}

fn rounds(stage: &Stage, target: &str, metric: Metric) -> Vec<Round> {
    rounds_of(&stage.path("one/spool"), target, metric)
}

/// A failure, then no evidence, made the round due at once for ever: a plugin ran 48 times a second, and a modem whose port
/// another program held gave 105,000 samples in 43 s.
#[test]
fn rounds_that_prove_nothing_after_a_failure_come_no_sooner() {
    let stage = Stage::new(rusta_tests::programs!());
    let runs = stage.path("runs");
    let plugin = stage.write("check", "#!/bin/sh\necho run >> \"$1\"\n[ $(wc -l < \"$1\") = 1 ] && exit 2\nexit 3\n");
    run_ok(Command::new("chmod").arg("755").arg(&plugin).arg(stage.path("")));
    // Root's agent runs it as nobody.
    stage.write("runs", "");
    run_ok(Command::new("chmod").arg("666").arg(&runs));
    // A modem that is silent once; then somebody else locks its port for good.
    let holder = stage.write(
        "holder.py",
        "import fcntl, os, pty, sys, time, tty\nmaster, port = pty.openpty()\ntty.setraw(port)\nopen(sys.argv[1] + '.part', 'w').write(os.ttyname(port))\n\
         os.rename(sys.argv[1] + '.part', sys.argv[1])\nos.read(master, 1)\ntime.sleep(2)\nwhile True:\n    try:\n        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)\n        \
         break\n    except OSError:\n        time.sleep(0.1)\nprint('held', flush=True)\ntime.sleep(600)\n",
    );
    let mut command = Command::new("/usr/bin/python3");
    command.arg(holder).arg(stage.path("port"));
    let holder = Running::start("holder", command, &stage.path(""));
    let port = eventually(Duration::from_secs(20), "the modem's port", || std::fs::read_to_string(stage.path("port")).ok());
    configure_alone(
        &stage,
        &format!(
            "links: [{{ name: apn0, network: apn }}]\ntargets:\n  - {{ name: plugin, link: apn0, rung: service, every: 60s, exec: {{ command: [{}, {}] }} }}\n  \
             - {{ name: modem, link: apn0, rung: modem, every: 60s, timeout: 1s, modem: {{ reader: at, device: {port} }} }}",
            plugin.display(),
            runs.display()
        ),
    );
    let _agent = stage.run_agent(None, "one");
    eventually(Duration::from_secs(120), "two rounds after the failure", || {
        let of = |target| rounds(&stage, target, Metric::ExitCode);
        (of("plugin").len() >= 3 && of("modem").len() >= 3 && holder.output().contains("held")).then_some(())
    });
    for target in ["plugin", "modem"] {
        let rounds = rounds(&stage, target, Metric::ExitCode);
        let outcomes: Vec<Outcome> = rounds.iter().map(|round| round.outcome).collect();
        assert_eq!(outcomes[0].verdict(), rusta_wire::Verdict::Failure, "{target}: {outcomes:?}");
        assert_eq!(outcomes[2].verdict(), rusta_wire::Verdict::NoEvidence, "{target}: {outcomes:?}");
        for pair in rounds.windows(2) {
            assert!(pair[1].at.since(pair[0].at) >= CLOSEST, "{target}: {rounds:?}");
        }
    }
    let lines = std::fs::read_to_string(&runs).unwrap().lines().count();
    assert!(lines <= rounds(&stage, "plugin", Metric::ExitCode).len() + 1, "the plugin ran {lines} times");
}

/// All that an interface moved since the router's boot was counted as use of the plan: 0 packets in 150 s, and a site that
/// never appears.
#[test]
fn a_small_plan_reports_at_once_on_an_interface_that_has_moved_more() {
    if !possible() {
        return;
    }
    let mut lab = Lab::new();
    let (core, village) = (lab.namespace("core"), lab.namespace("village"));
    lab.join((&core, "apn", "10.86.1.1/24"), (&village, "apn0", "10.86.1.2/24"));
    let listener = core.enter(|| TcpListener::bind("10.86.1.1:7000").unwrap());
    let reader = std::thread::spawn(move || {
        let mut taken = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut taken).unwrap();
        taken.len()
    });
    village.enter(|| std::net::TcpStream::connect("10.86.1.1:7000").unwrap().write_all(&vec![7; 6 << 20]).unwrap());
    assert_eq!(reader.join().unwrap(), 6 << 20);

    let stage = Stage::new(rusta_tests::programs!());
    let http: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    stage.configure_collector("0.0.0.0:8443".parse().unwrap(), &["10.86.1.1"], http, "");
    stage.import(&VILLAGES);
    let _collector = stage.serve(Some(&core), http);
    let url = "https://10.86.1.1:8443".to_string();
    stage.enroll(Some(&village), "one", &url);
    stage.configure_agent(
        "one",
        &[url],
        "10s, links: [apn0]",
        "links:\n  - { name: apn0, network: apn, interface: apn0, metered: true, plan: { bytes: 3MiB } }\ntargets:\n  \
         - { name: gateway, link: apn0, rung: gateway, every: 10s, icmp: { address: 10.86.1.1, count: 1, size: 0 } }\n",
    );
    let _agent = stage.run_agent(Some(&village), "one");
    eventually(Duration::from_secs(60), "the site is heard", || (!stored(&stage.path("collector/log")).is_empty()).then_some(()));
}

/// Days since 1970 at which the kept plan's cycle began.
fn kept_cycle(stage: &Stage) -> Option<i64> {
    let copies = ["plans", "plans.2"].map(|name| std::fs::read(stage.path("one/spool").join(name)).unwrap_or_default());
    let copies = copies.iter().filter_map(|copy| serde_json::from_slice::<serde_json::Value>(copy).ok());
    copies.max_by_key(|copy| copy["#"]["cycle"].as_i64().unwrap_or(i64::MAX))?["apn0"]["cycle"].as_i64()
}

/// One boot in 2036 kept its billing cycle, and the plan was never renewed again.
#[test]
fn a_wrong_clock_costs_no_billing_cycle_and_the_collector_puts_a_kept_one_right() {
    if !router::possible() {
        return;
    }
    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    stage.import(&VILLAGES);
    let url = format!("https://{port}");
    let mut collector = stage.serve(None, http);
    stage.enroll(None, "one", &url);
    collector.kill();
    let links = format!(
        "links: [{{ name: apn0, network: apn, plan: {{ bytes: 1GiB, cycle_day: 1, calendar: gregorian }} }}]\n\
         targets: [{{ name: t, link: apn0, rung: core, every: 1s, timeout: 900ms, tcp: {{ address: '127.0.0.1:{}' }} }}]",
        http.port()
    );
    stage.configure_agent("one", &[url], "1s", &links);
    let router = Router::new(&stage, "one");
    let today = true_seconds() / 86_400;

    for wrong in [2_100_000_000, 300] {
        router.set_wall_clock(wrong);
        let before = rounds(&stage, "t", Metric::ConnectUs).len();
        let mut boot = router.boot();
        eventually(Duration::from_secs(60), "the agent measures", || {
            (rounds(&stage, "t", Metric::ConnectUs).len() > before + 3).then_some(())
        });
        boot.agent.signal(Signal::SIGTERM);
        boot.agent.wait(Duration::from_secs(60));
        assert_eq!(kept_cycle(&stage), Some(0), "a cycle was believed of a clock that nobody keeps right");
    }

    // What an earlier program kept of its boot in 2036: 2036-04-01.
    let kept: PathBuf = stage.path("one/spool/plans");
    std::fs::write(&kept, r#"{"apn0":{"cycle":24198,"used":1000,"own_reserved":1000,"counter":0,"boot":0}}"#).unwrap();
    let mut boot = router.boot();
    let mut collector = stage.serve(None, http);
    eventually(Duration::from_secs(150), "the collector's time begins the cycle", || {
        kept_cycle(&stage).filter(|cycle| (today - 31..=today + 1).contains(cycle))
    });
    boot.agent.kill();
    collector.kill();
}

/// With stalls of 2.5 s a connect of 4,997 ms was `ok` under a timeout of 1 s, and four silences were told that nobody kept.
#[test]
fn an_agent_that_stands_still_tells_no_wrong_times_and_no_silence_of_others() {
    let stage = Stage::new(rusta_tests::programs!());
    let library = stage.path("slow_disk.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/slow_disk.c");
    run_ok(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let target =
        |n: u32| format!("  - {{ name: t{n}, link: gov0, rung: core, every: 1s, timeout: 1s, tcp: {{ address: \"{address}\" }} }}\n");
    let targets: String = (0..5).map(target).collect();
    configure_alone(&stage, &format!("links: [{{ name: gov0, network: gov }}]\ntargets:\n{targets}"));
    let mut command = stage.agent();
    command.arg("run").arg("--config").arg(stage.path("one/agent.yaml"));
    command.env("LD_PRELOAD", &library).env("RUSTA_DISK_MS", "2500");
    let agent = Running::start("one", command, &stage.path(""));
    let all = || (0..5).flat_map(|n| rounds(&stage, &format!("t{n}"), Metric::ConnectUs)).collect::<Vec<_>>();
    eventually(Duration::from_secs(120), "a hundred rounds beside a slow flash", || (all().len() >= 100).then_some(()));
    let beside = all();
    assert!(beside.iter().all(|round| round.outcome == Outcome::Ok), "{beside:?}");

    for _ in 0..5 {
        agent.signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(2_500));
        agent.signal(Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(1_300));
    }
    let before = all().len();
    eventually(Duration::from_secs(60), "it goes on", || (all().len() >= before + 20).then_some(()));
    for round in all() {
        assert!(matches!(round.outcome, Outcome::Ok | Outcome::NotRun), "a silence that nobody kept: {round:?}");
        assert!(round.value.is_none_or(|connect_us| connect_us < 1_000_000), "{round:?}");
    }
}
