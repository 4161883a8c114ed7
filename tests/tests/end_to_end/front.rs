//! What stands in front of a collector: real proxies that let it through, and real servers that answer in its place.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusta_tests::log::{spooled, stored};
use rusta_tests::programs::{Running, eventually, free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};
use rusta_wire::BatchId;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

/// A collector whose agent has an identity. The agent's targets are two ports of loopback.
struct Front {
    stage: Stage,
    agents: SocketAddr,
    http: SocketAddr,
}

impl Front {
    fn new() -> Front {
        let stage = Stage::new(rusta_tests::programs!());
        let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        stage.configure_collector(agents, &["127.0.0.1"], http, "");
        stage.import(&VILLAGES);
        Front { stage, agents, http }
    }

    fn url(port: u16) -> String {
        format!("https://127.0.0.1:{port}")
    }

    fn report_to(&self, ports: &[u16]) {
        let targets = format!(
            "links:\n  - {{ name: gov0, network: gov }}\ntargets:\n  \
             - {{ name: core, link: gov0, rung: core, every: 1s, timeout: 500ms, tcp: {{ address: \"127.0.0.1:{}\" }} }}\n",
            free_port()
        );
        let urls: Vec<String> = ports.iter().map(|port| Front::url(*port)).collect();
        self.stage.configure_agent("one", &urls, "1s", &targets);
    }

    /// Runs the agent for a while with nobody to report to, and lists what it owes then.
    fn owing(&self) -> BTreeSet<BatchId> {
        self.report_to(&[free_port()]);
        let mut agent = self.stage.run_agent(None, "one");
        std::thread::sleep(Duration::from_secs(6));
        agent.kill();
        self.spooled()
    }

    fn spooled(&self) -> BTreeSet<BatchId> {
        spooled(&self.stage.path("one/spool")).iter().map(|batch| batch.id).collect()
    }

    fn stored(&self) -> BTreeSet<BatchId> {
        stored(&self.stage.path("collector/log")).iter().map(|batch| batch.id).collect()
    }

    fn arrives(&self, what: &str, owed: &BTreeSet<BatchId>) {
        eventually(Duration::from_secs(120), what, || self.stored().is_superset(owed).then_some(()));
    }

    /// A server certificate for 127.0.0.1 that agents of this collector trust.
    fn certificate(&self) -> (PathBuf, PathBuf) {
        let (key, csr, crt) = (self.stage.path("front.key"), self.stage.path("front.csr"), self.stage.path("front.crt"));
        let extensions = self.stage.write("front.ext", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
        let ca = self.stage.ca();
        run_ok(
            Command::new("openssl")
                .args([
                    "req",
                    "-new",
                    "-nodes",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-subj",
                    "/CN=front",
                    "-keyout",
                ])
                .arg(&key)
                .arg("-out")
                .arg(&csr),
        );
        run_ok(
            Command::new("openssl")
                .args(["x509", "-req", "-days", "30", "-set_serial", "77", "-in"])
                .arg(&csr)
                .arg("-CA")
                .arg(&ca)
                .arg("-CAkey")
                .arg(ca.with_extension("key"))
                .arg("-extfile")
                .arg(&extensions)
                .arg("-out")
                .arg(&crt),
        );
        (crt, key)
    }

    /// Starts nginx with these servers in its `http` block; each has TLS, HTTP/2 and the trusted certificate.
    fn nginx(&self, servers: &str) -> Running {
        let (crt, key) = self.certificate();
        let folder = self.stage.path("nginx");
        std::fs::create_dir_all(&folder).unwrap();
        let dir = folder.display();
        let text = format!(
            "daemon off; pid {dir}/pid; error_log {dir}/error.log; user root;\nevents {{}}\nhttp {{\n\
             access_log {dir}/access.log; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;\n\
             uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; client_body_buffer_size 1m; ssl_protocols TLSv1.3;\n\
             ssl_certificate {}; ssl_certificate_key {}; ssl_verify_client optional_no_ca;\n{servers}\n}}\n",
            crt.display(),
            key.display()
        );
        start_nginx(&self.stage, &text)
    }
}

fn start_nginx(stage: &Stage, text: &str) -> Running {
    let config = stage.write("nginx.conf", text);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(stage.path("")).arg("-c").arg(config);
    Running::start("nginx", command, &stage.path(""))
}

fn is_there(what: &str, port: u16, program: &mut Running) {
    eventually(Duration::from_secs(20), what, || {
        assert!(program.ended().is_none(), "{what}: {}", program.output());
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(())
    });
}

fn access_log(front: &Front) -> String {
    std::fs::read_to_string(front.stage.path("nginx/access.log")).unwrap_or_default()
}

/// A captive portal's page with 200 freed 26 of 48 samples; 400, 404, 408, 413, 421, 426 and 451 dropped them as refused.
#[test]
fn no_answer_of_another_server_costs_or_frees_a_batch() {
    let front = Front::new();
    let collector = front.stage.serve(None, front.http);
    front.stage.enroll(None, "one", &Front::url(front.agents.port()));
    let owed = front.owing();
    assert!(owed.len() >= 3, "{owed:?}");
    let statuses = [200, 201, 204, 302, 400, 401, 403, 404, 405, 408, 409, 413, 421, 422, 426, 429, 451, 500, 502, 503, 504];
    let ports: Vec<u16> = statuses.iter().map(|_| free_port()).collect();
    let mut servers = String::new();
    for (status, port) in statuses.iter().zip(&ports) {
        let page =
            if *status == 302 { "https://portal.example/".to_string() } else { "<html><body>Please log in</body></html>".to_string() };
        writeln!(
            servers,
            "server {{ listen 127.0.0.1:{port} ssl http2; default_type text/html; location / {{ return {status} \"{page}\"; }} }}"
        )
        .unwrap();
    }
    let mut nginx = front.nginx(&servers);
    ports.iter().for_each(|port| is_there("nginx", *port, &mut nginx));
    // The collector is the last of the way: whoever answers before it is asked once.
    let mut all = ports.clone();
    all.push(front.agents.port());
    front.report_to(&all);
    let mut agent = front.stage.run_agent(None, "one");
    front.arrives("everything owed arrives behind 21 servers that are no collector", &owed);
    let asked = access_log(&front);
    let seen: BTreeSet<&str> = asked.lines().filter_map(|line| line.split("\" ").nth(1)?.split(' ').next()).collect();
    assert_eq!(seen, statuses.map(|s| s.to_string()).iter().map(String::as_str).collect(), "{asked}");
    // And what it measured meanwhile: all of it, once the agent is stopped and the collector has everything.
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(agent.wait(Duration::from_secs(60)).success());
    let all_spooled = front.spooled();
    front.arrives("everything arrives", &all_spooled);
    drop(collector);
}

/// A proxy that ends TLS and passes on only the first batch of each body: the collector's 200 speaks of another upload.
#[test]
fn a_proxy_that_eats_half_of_a_body_costs_nothing() {
    let front = Front::new();
    let _collector = front.stage.serve(None, front.http);
    let identity = front.stage.enroll(None, "one", &Front::url(front.agents.port()));
    let owed = front.owing();
    let (eats, whole) = (free_port(), free_port());
    let up = format!(
        "proxy_pass https://127.0.0.1:{}; proxy_ssl_certificate {i}/agent.crt; proxy_ssl_certificate_key {i}/agent.key; proxy_http_version 1.1;",
        front.agents.port(),
        i = identity.display()
    );
    // Up to where the second batch begins, or the first 30 bytes.
    let servers = format!(
        "map $request_body $half {{ default \"\"; \"~^(?<first>RU\\x01\\x02[\\s\\S]*?)RU\\x01\\x02\" $first; \"~^(?<some>[\\s\\S]{{30}})\" $some; }}\n\
         server {{ listen 127.0.0.1:{eats} ssl http2; location / {{ proxy_set_body $half; {up} }} }}\n\
         server {{ listen 127.0.0.1:{whole} ssl http2; keepalive_requests 3; client_max_body_size 900; http2_max_field_size 8k;\n\
           location / {{ add_header x-long {} always; {up} }} }}\n",
        "a".repeat(3_000)
    );
    let mut nginx = front.nginx(&servers);
    [eats, whole].iter().for_each(|port| is_there("nginx", *port, &mut nginx));
    front.report_to(&[eats]);
    let mut agent = front.stage.run_agent(None, "one");
    eventually(Duration::from_secs(60), "the proxy is asked three times", || (access_log(&front).lines().count() >= 3).then_some(()));
    agent.kill();
    let passed = access_log(&front);
    assert!(passed.contains("\" 200 ") || passed.contains("\" 400 ") || passed.contains("\" 409 "), "{passed}");
    let said = run(front.stage.agent().args(["run", "--help"]));
    assert_eq!(said.code, Some(0));
    // The other server passes bodies whole, but small ones, and says goodbye after three requests: HTTP/2 of nginx, not of hyper.
    front.report_to(&[whole]);
    let before = access_log(&front).lines().count();
    let _agent = front.stage.run_agent(None, "one");
    let all = front.spooled();
    assert!(all.is_superset(&owed));
    front.arrives("everything arrives through nginx, in small pieces and over several connections", &all);
    eventually(Duration::from_secs(60), "more than two connections' worth of requests", || {
        (access_log(&front).lines().skip(before).filter(|line| line.contains("\" 200 ")).count() >= 7).then_some(())
    });
}

/// The examples of `configs/proxy/`, in front of the collector as they are but for the ports.
#[test]
fn reports_pass_the_example_proxies() {
    let front = Front::new();
    let _collector = front.stage.serve(None, front.http);
    front.stage.enroll(None, "one", &Front::url(front.agents.port()));
    let example = |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/proxy").join(name)).unwrap();
    let there = |text: String, listens: &str, port: u16| {
        assert!(text.contains(listens) && text.contains("127.0.0.1:8443"));
        text.replace(listens, &format!("127.0.0.1:{port}")).replace("127.0.0.1:8443", &front.agents.to_string())
    };
    let (nginx_port, haproxy_port) = (free_port(), free_port());
    let nginx = there(example("nginx.conf"), "0.0.0.0:9443", nginx_port)
        .replace("/run/nginx.pid", &front.stage.path("nginx.pid").display().to_string())
        .replace("/var/log/nginx", &front.stage.path("").display().to_string())
        .replace("load_module modules/", "load_module /usr/lib/nginx/modules/");
    let mut nginx = start_nginx(&front.stage, &format!("daemon off;\n{nginx}"));
    let haproxy = front.stage.write("haproxy.cfg", &there(example("haproxy.cfg"), "0.0.0.0:9444", haproxy_port));
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(haproxy);
    let mut haproxy = Running::start("haproxy", command, &front.stage.path(""));
    is_there("nginx", nginx_port, &mut nginx);
    is_there("haproxy", haproxy_port, &mut haproxy);
    for port in [nginx_port, haproxy_port] {
        front.report_to(&[port]);
        let before = front.stored().len();
        let mut agent = front.stage.run_agent(None, "one");
        eventually(Duration::from_secs(60), "reports pass", || (front.stored().len() >= before + 4).then_some(()));
        agent.kill();
    }
}

/// HAProxy that ends TLS and HTTP/2: early hints before each answer (1xx), small windows, one request in four reset, and restarts,
/// both ordered ones, which say goodbye, and others.
#[test]
fn no_reset_no_window_and_no_restart_of_a_proxy_costs_a_batch() {
    let front = Front::new();
    let _collector = front.stage.serve(None, front.http);
    let identity = front.stage.enroll(None, "one", &Front::url(front.agents.port()));
    let owed = front.owing();
    let (crt, key) = front.certificate();
    let pem = |name: &str, parts: [PathBuf; 2]| {
        let text = parts.map(|part| std::fs::read_to_string(part).unwrap()).concat();
        front.stage.write(name, &text)
    };
    let ours = pem("front.pem", [crt, key]);
    let agents = pem("agent.pem", [identity.join("agent.crt"), identity.join("agent.key")]);
    let port = free_port();
    let config = front.stage.write(
        "haproxy.cfg",
        &format!(
            "global\n    maxconn 100\n    tune.h2.initial-window-size 1024\ndefaults\n    mode http\n    timeout connect 5s\n    \
             timeout client 60s\n    timeout server 60s\nfrontend agents\n    bind 127.0.0.1:{port} ssl crt {} alpn h2\n    \
             http-request early-hint Link \"</>; rel=preload\"\n    http-request reject if {{ rand(4) eq 0 }}\n    \
             http-response set-header x-long {}\n    default_backend collector\nbackend collector\n    \
             server one {} ssl verify none crt {}\n",
            ours.display(),
            "a".repeat(4_000),
            front.agents,
            agents.display()
        ),
    );
    let start = || {
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&config);
        let mut haproxy = Running::start("haproxy", command, &front.stage.path(""));
        is_there("haproxy", port, &mut haproxy);
        haproxy
    };
    front.report_to(&[port]);
    let mut haproxy = start();
    let mut agent = front.stage.run_agent(None, "one");
    front.arrives("everything owed arrives through a proxy that resets requests", &owed);
    for ending in [nix::sys::signal::Signal::SIGUSR1, nix::sys::signal::Signal::SIGKILL, nix::sys::signal::Signal::SIGTERM] {
        let before = front.stored().len();
        eventually(Duration::from_secs(60), "reports pass", || (front.stored().len() >= before + 3).then_some(()));
        haproxy.signal(ending);
        std::thread::sleep(Duration::from_secs(2));
        haproxy.kill();
        haproxy = start();
    }
    let before = front.stored().len();
    eventually(Duration::from_secs(120), "reports pass after the last restart", || (front.stored().len() >= before + 3).then_some(()));
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(agent.wait(Duration::from_secs(60)).success());
    let waiting: BTreeSet<BatchId> = front.spooled();
    let stored = front.stored();
    assert!(stored.is_superset(&owed));
    // What this agent numbered has no gap.
    let before = owed.iter().map(|id| id.sequence.0).max();
    let numbers: BTreeSet<u64> = stored.union(&waiting).map(|id| id.sequence.0).filter(|n| Some(*n) > before).collect();
    let (first, last) = (numbers.first().unwrap(), numbers.last().unwrap());
    assert_eq!(numbers.len() as u64, last - first + 1, "{numbers:?}");
}
