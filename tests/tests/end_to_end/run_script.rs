//! `scripts/run`, as a newcomer meets it.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusta_tests::http;
use rusta_tests::netns::{Lab, possible};
use rusta_tests::programs::{Running, Said, eventually, free_port, run};
use rusta_tests::stage::Stage;

fn the_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scripts/run")
}

/// Puts both programs under their installed names into a folder.
fn programs(stage: &Stage) -> PathBuf {
    let programs = rusta_tests::programs!();
    let folder = stage.path("programs");
    std::fs::create_dir_all(&folder).unwrap();
    for (program, name) in [(programs.agent, "rusta-agent"), (programs.collector, "rusta-collector")] {
        let place = folder.join(name);
        if !place.exists() && std::fs::hard_link(&program, &place).is_err() {
            std::fs::copy(&program, &place).unwrap();
        }
    }
    folder
}

/// Adds to `command` the script with what every run of these tests needs.
fn add_script(command: &mut Command, stage: &Stage, arguments: &[&str]) {
    command.arg(the_script()).arg("--programs").arg(programs(stage)).arg("--data").arg(stage.path("data")).args(arguments);
}

fn script(stage: &Stage, arguments: &[&str]) -> Said {
    let mut command = Command::new("bash");
    add_script(&mut command, stage, arguments);
    run(&mut command)
}

/// Reads the figure from the last line.
fn last_figure(said: &Said) -> serde_json::Value {
    assert_eq!(said.code, Some(0), "{said:?}");
    let last = said.stdout.lines().last().unwrap();
    let json: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {last}"));
    let figure = json["items"].get(0).or(json.get(0)).unwrap_or(&json).clone();
    assert_eq!(figure["id"], "connected_share_now", "{last}");
    figure
}

fn ports() -> [String; 2] {
    [free_port().to_string(), free_port().to_string()]
}

#[test]
fn it_shows_the_share_of_this_machine_and_goes_on_with_its_data() {
    let stage = Stage::new(rusta_tests::programs!());
    let [http, agents] = ports();
    let runs = [(); 2].map(|()| script(&stage, &["--for", "25s", "--http", &http, "--agents", &agents]));
    for said in &runs {
        let figure = last_figure(said);
        assert_eq!((figure["value"].as_f64(), figure["denominator"].as_f64()), (Some(1.0), Some(1.0)), "{said:?}");
    }
    assert!(stage.path("data/identity/agent.crt").exists());
}

/// Without a login there is nothing to see; the link's button is good once, and the server's log never has it.
fn the_link_signs_in_once(stage: &Stage, said: &str, port: &str) {
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    assert_eq!(http::get(address, "/").unwrap().status, 303);
    assert_eq!(http::get(address, "/api/v1/kpis?id=connected_share_now").unwrap().status, 401);
    let link = said.split("/login/link?secret=").nth(1).unwrap_or_else(|| panic!("{said}"));
    let secret: String = link.chars().take_while(char::is_ascii_alphanumeric).collect();
    let asked = http::get(address, &format!("/login/link?secret={secret}")).unwrap();
    assert!(asked.status == 200 && asked.text().contains("demo"), "{}", asked.text());
    let take = || {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        http::ask_as(address, &address.to_string(), "POST /login/link", form, format!("secret={secret}").as_bytes()).unwrap()
    };
    let taken = take();
    assert_eq!(taken.status, 303, "{}", taken.text());
    let cookie = taken.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_else(|| panic!("{}", taken.head));
    let session = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let admin = http::ask_as(address, &address.to_string(), "GET /admin", &session, b"").unwrap();
    assert_eq!(admin.status, 200, "{}", admin.text());
    assert_eq!(take().status, 410);
    assert!(!std::fs::read_to_string(stage.path("data/collector.txt")).unwrap().contains(&secret));
}

#[test]
fn ctrl_c_stops_both_programs() {
    let stage = Stage::new(rusta_tests::programs!());
    let [http, agents] = ports();
    let mut command = Command::new("bash");
    add_script(&mut command, &stage, &["--http", &http, "--agents", &agents]);
    let mut running = Running::start("run", command, &stage.path(""));
    eventually(Duration::from_secs(60), "the page's address is shown", || running.output().contains("the page:").then_some(()));
    eventually(Duration::from_secs(60), "a link to sign in is shown", || running.output().contains("sign in:").then_some(()));
    the_link_signs_in_once(&stage, &running.output(), &http);
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait(Duration::from_secs(30)).code(), Some(0), "{}", running.output());
    for port in [http, agents] {
        assert!(TcpListener::bind(format!("127.0.0.1:{port}")).is_ok(), "port {port} is still in use");
    }
}

#[test]
fn without_icmp_the_other_probes_go_on() {
    if !possible() || run(Command::new("id").arg("-u")).stdout.trim() != "0" {
        eprintln!("left out: needs root and namespaces");
        return;
    }
    let mut lab = Lab::new();
    let machine = lab.namespace("machine");
    let stage = Stage::new(rusta_tests::programs!());
    let open = |path: PathBuf| std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    open(stage.path(""));
    programs(&stage);
    std::fs::create_dir_all(stage.path("data")).unwrap();
    open(stage.path("data"));
    // A fresh namespace allows pings to no group, and nobody holds no capability.
    let mut command = machine.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", "bash"]);
    add_script(&mut command, &stage, &["--for", "25s"]);
    let said = run(command.env("HOME", stage.path("data")));
    assert_eq!(said.stderr.lines().filter(|line| line.contains("ICMP is not permitted")).count(), 1, "{said:?}");
    assert_eq!(last_figure(&said)["value"].as_f64(), Some(1.0), "{said:?}");
}

#[test]
fn a_used_port_is_one_clear_sentence() {
    let stage = Stage::new(rusta_tests::programs!());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, free) = (taken.local_addr().unwrap().port().to_string(), free_port().to_string());
    let said = script(&stage, &["--http", &port, "--agents", &free]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(1), 1), "{said:?}");
    assert!(said.stderr.contains(&format!("port {port}")) && said.stderr.contains("--http"), "{}", said.stderr);
    assert!(!stage.path("data").exists());
}

#[test]
fn a_missing_build_tool_is_one_clear_sentence() {
    let stage = Stage::new(rusta_tests::programs!());
    let tools = stage.path("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let [http, agents] = ports();
    // A machine on which only the plainest tools are: /usr/bin without cargo is out of reach, so they are linked here.
    for tool in ["bash", "dirname", "sed", "env"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{tool}"), tools.join(tool)).unwrap();
    }
    let mut command = Command::new("/bin/bash");
    command.arg(the_script()).arg("--data").arg(stage.path("data")).args(["--http", &http, "--agents", &agents]);
    let said = run(command.env_clear().env("PATH", &tools).env("HOME", stage.path("home")));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("cargo is missing") || said.stderr.contains("C compiler"), "{}", said.stderr);
}
