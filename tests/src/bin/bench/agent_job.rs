//! The same job for everybody: every 10 s ten pings, two HTTP and two TCP checks and the counters of four interfaces,
//! a report a minute, or every five, over mTLS on a line of its own, in namespaces.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use rusta_tests::netns::{Lab, Namespace};
use rusta_tests::programs::{Programs, Running, run_ok};
use rusta_tests::stage::{Stage, Village};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::start_collectd;
use crate::process;

/// A program is steady so long after its second report: the first leaves within seconds of the start, when not every
/// interface has been seen, and the next brings the table of them all, once and for ever.
const STARTED: Duration = Duration::from_secs(30);

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

/// Answers every request with a short page, for as long as the benchmark lives.
fn serve_pages(core: &Namespace, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let listener = core.enter(|| TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
        }
    });
}

fn targets() -> String {
    let mut text = String::from(
        "links:\n  - { name: gov0, network: gov, interface: gov0 }\n  - { name: rep0, network: internet, interface: rep0 }\ntargets:\n",
    );
    let mut add = |name: String, rung: &str, probe: String| {
        text += &format!("  - {{ name: {name}, link: gov0, rung: {rung}, every: 10s, timeout: 3s, {probe} }}\n");
    };
    for n in 0..10 {
        add(format!("ping-{n}"), "gateway", format!("icmp: {{ address: 10.84.0.{}, count: 1 }}", 10 + n));
    }
    for n in 0..2 {
        add(format!("page-{n}"), "service", format!("http: {{ url: \"http://10.84.0.1:800{n}/\", status: [200] }}"));
        add(format!("port-{n}"), "core", format!("tcp: {{ address: \"10.84.0.1:800{n}\" }}"));
    }
    add("router".into(), "device", "host: { interfaces: [lo, gov0, rep0, spare0] }".into());
    text
}

/// Packets and bytes on the IP layer that the core exchanged over the report's line.
fn report_traffic(core: &Namespace) -> [u64; 2] {
    let chains = ["INPUT", "OUTPUT"].map(|chain| run_ok(core.command("iptables").args(["-nvxL", chain])));
    let counted = chains.iter().flat_map(|text| text.lines().filter(|line| line.contains("rep")));
    counted.fold([0; 2], |sum, line| {
        let mut columns = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        sum.map(|before| before + columns.next().unwrap_or(0))
    })
}

/// Runs the job with the agent for `seconds`, and then with collectd where that is installed.
pub fn measure(programs: &Programs, seconds: u64) -> Value {
    let job = Job::new(programs, 1);
    let agent = job.run_agent();
    let ours = cost(&agent, &job.core, seconds);
    drop(agent);
    let folder = TempDir::new().unwrap();
    let theirs = start_collectd(&job.core, &job.village, &folder).map(|collectd| cost(&collectd, &job.core, seconds));
    let ratio = theirs.as_ref().and_then(|theirs| Some(ours["cpu_s_per_hour"].as_f64()? / theirs["cpu_s_per_hour"].as_f64()?));
    let mut line = json!({ "bench": "agent_job", "seconds": seconds, "collectd": theirs, "cpu_ratio_to_collectd": ratio });
    line["binary_bytes"] = std::fs::metadata(&programs.agent).unwrap().len().into();
    line.as_object_mut().unwrap().extend(ours.as_object().unwrap().clone());
    line
}

/// Counts the report's bytes at five-minute reporting for `seconds`, made up to whole intervals.
pub fn measure_rare_reports(programs: &Programs, seconds: u64) -> Value {
    let seconds = seconds.next_multiple_of(300);
    let job = Job::new(programs, 5);
    let _agent = job.run_agent();
    std::thread::sleep(Duration::from_secs(300) + STARTED);
    let before = report_traffic(&job.core);
    std::thread::sleep(Duration::from_secs(seconds));
    let after = report_traffic(&job.core);
    let [packets, bytes] = [0, 1].map(|place| (after[place] - before[place]) as f64 * 60.0 / seconds as f64);
    json!({ "bench": "agent_job_5m", "seconds": seconds, "report_bytes_per_minute": bytes, "report_packets_per_minute": packets })
}

/// A village with what the job probes, and a collector that knows it; what needs another thing stands before it.
struct Job {
    _collector: Running,
    stage: Stage,
    core: Namespace,
    village: Namespace,
    _lab: Lab,
}

impl Job {
    /// Sets the job up, with a report every so many minutes.
    fn new(programs: &Programs, minutes: u64) -> Job {
        let mut lab = Lab::new();
        let (core, village) = (lab.namespace("core"), lab.namespace("village"));
        lab.join((&core, "gov", "10.84.0.1/24"), (&village, "gov0", "10.84.0.2/24"));
        lab.join((&core, "rep", "10.84.1.1/24"), (&village, "rep0", "10.84.1.2/24"));
        // The fourth interface of the job; not every kernel has the `dummy` kind.
        village.ip(&["link", "add", "spare0", "type", "veth", "peer", "name", "spare1"]);
        for n in 0..10 {
            core.ip(&["address", "add", &format!("10.84.0.{}/24", 10 + n), "dev", "gov"]);
        }
        run_ok(core.command("iptables").args(["-A", "INPUT", "-i", "rep"]));
        run_ok(core.command("iptables").args(["-A", "OUTPUT", "-o", "rep"]));
        serve_pages(&core, "10.84.0.1:8000");
        serve_pages(&core, "10.84.0.1:8001");

        let stage = Stage::new(programs.clone());
        let http: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        stage.configure_collector("10.84.1.1:8443".parse().unwrap(), &["10.84.1.1"], http, "");
        stage.import(&VILLAGES);
        let collector = stage.serve(Some(&core), http);
        let url = "https://10.84.1.1:8443".to_string();
        stage.enroll(Some(&village), "one", &url);
        stage.configure_agent("one", &[url], &format!("{minutes}m, links: [rep0]"), &targets());
        Job { _collector: collector, stage, core, village, _lab: lab }
    }

    fn run_agent(&self) -> Running {
        self.stage.run_agent(Some(&self.village), "one")
    }
}

/// What a program costs in `seconds`, once it is steady.
fn cost(program: &Running, core: &Namespace, seconds: u64) -> Value {
    std::thread::sleep(Duration::from_secs(60) + STARTED);
    let (before, traffic_before) = (process::read(program.pid()), report_traffic(core));
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, traffic_after) = (process::read(program.pid()), report_traffic(core));
    let per_second = |from: u64, to: u64| (to - from) as f64 / seconds as f64;
    json!({
        "cpu_s_per_hour": per_second(before.cpu_ns, after.cpu_ns) * 3600.0 / 1e9,
        "rss_kib": after.rss_kib, "private_kib": after.private_kib, "private_dirty_kib": after.private_dirty_kib,
        "context_switches_per_s": per_second(before.switches, after.switches),
        // Three packets a report on a machine at rest: an answer that comes late is one more, the bare acknowledgement before it.
        "report_packets_per_minute": per_second(traffic_before[0], traffic_after[0]) * 60.0,
        "report_bytes_per_minute": per_second(traffic_before[1], traffic_after[1]) * 60.0,
    })
}
