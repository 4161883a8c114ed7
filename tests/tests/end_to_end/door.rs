//! Who is let in at the people's port: under which name, from where, and by which way.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use rusta_tests::http;
use rusta_tests::programs::{Running, eventually, free_port, run, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

/// A collector whose `http:` section has these keys beside `listen`.
fn serve(keys: &str) -> (Stage, SocketAddr, Running) {
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, people] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(agents, &["127.0.0.1"], people, "");
    let text = std::fs::read_to_string(stage.path("collector.yaml")).unwrap();
    stage.write("collector.yaml", &text.replace("anonymous: viewer", keys));
    stage.import(&VILLAGES);
    let collector = stage.serve(None, people);
    (stage, people, collector)
}

fn under(people: SocketAddr, host: &str, path: &str) -> http::Response {
    http::ask_as(people, host, &format!("GET {path}"), "", b"").unwrap()
}

/// A page of an attacker's whose name was made to resolve to 127.0.0.1 read the whole province.
#[test]
fn a_name_that_was_rebound_to_this_machine_reads_nothing() {
    let (_stage, people, _collector) = serve("anonymous: viewer, hosts: [rusta.example]");
    for ours in [people.to_string(), format!("localhost:{}", people.port()), "rusta.example".to_string()] {
        assert_eq!(under(people, &ours, "/api/v1/kpis?id=connected_share_now").status, 200, "{ours}");
    }
    for foreign in ["evil.example".to_string(), format!("evil.example:{}", people.port()), "127.0.0.1.evil.example".to_string()] {
        for path in ["/", "/api/v1/sites", "/metrics", "/openapi.json", "/login", "/healthz", "/static/rusta.css"] {
            let answer = under(people, &foreign, path);
            assert_eq!(answer.status, 421, "{foreign} {path}: {}", answer.text());
            assert!(!answer.text().contains("Sample"), "{}", answer.text());
        }
    }
}

/// The default let everybody on this machine look, and `kpi --period now` relied on it.
#[test]
fn only_the_shell_of_the_server_asks_without_a_login() {
    let (stage, people, _collector) = serve("public_status: false");
    for path in ["/", "/sites", "/kpis"] {
        assert_eq!(http::get(people, path).unwrap().status, 303, "{path}");
    }
    for path in ["/api/v1/kpis?id=connected_share_now", "/api/v1/sites", "/metrics"] {
        assert_eq!(http::get(people, path).unwrap().status, 401, "{path}");
    }
    let said = run_ok(stage.collector().args(["kpi", "--period", "now", "--id", "connected_share_now", "--json"]));
    assert!(said.contains("connected_share_now"), "{said}");
    let explained = run_ok(stage.collector().args(["explain", "connected_share_now", "--region", "09", "--period", "now", "--json"]));
    assert!(explained.contains("figures"), "{explained}");
    let socket = std::fs::metadata(stage.path("collector/shell.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
}

/// nginx in front of the people's port on the same machine.
fn nginx(stage: &Stage, people: SocketAddr) -> (SocketAddr, Running) {
    let front = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let dir = stage.path("nginx");
    std::fs::create_dir_all(&dir).unwrap();
    let dir = dir.display();
    let text = format!(
        "daemon off; pid {dir}/pid; error_log {dir}/error.log; user root;\nevents {{}}\nhttp {{ access_log off; client_body_temp_path {dir}/body; \
         proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
         server {{ listen {front}; location / {{ proxy_pass http://{people};\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n"
    );
    let config = stage.write("nginx.conf", &text);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(stage.path("")).arg("-c").arg(config);
    let running = Running::start("nginx", command, &stage.path(""));
    eventually(Duration::from_secs(20), "nginx listens", || std::net::TcpStream::connect(front).is_ok().then_some(()));
    (front, running)
}

#[test]
fn behind_a_proxy_the_province_is_not_shown_and_the_audit_has_the_visitors_address() {
    let (stage, people, _collector) = serve("anonymous: viewer, trusted_proxies: [127.0.0.1]");
    let (front, _nginx) = nginx(&stage, people);
    assert_eq!(http::get(front, "/").unwrap().status, 303, "whoever comes through the proxy does not sit at this machine");
    // The visitor is 127.0.0.2, and says he is somebody else.
    let jar = stage.path("jar");
    let curl = |more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-s", "--interface", "127.0.0.2", "-H", "X-Forwarded-For: 192.0.2.77"]).args(more);
        run(command.arg("-b").arg(&jar).arg("-c").arg(&jar).arg(format!("http://{front}/login")))
    };
    let form = curl(&[]).stdout;
    let csrf = form.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{form}"));
    let said = curl(&["-o", "/dev/null", "-w", "%{http_code}", "-d", &format!("csrf={csrf}&name=zahra&password=wrong-wrong-wrong")]);
    assert_eq!(said.stdout, "401", "{said:?}");
    let db = rusqlite::Connection::open(stage.path("collector/state.sqlite")).unwrap();
    let mut audit = db.prepare("SELECT * FROM audit WHERE action LIKE 'login%'").unwrap();
    let columns = audit.column_count();
    let words = |row: &rusqlite::Row<'_>| {
        let word = |at: usize| row.get_ref(at).ok().and_then(|value| value.as_str().ok().map(str::to_owned)).unwrap_or_default();
        Ok((0..columns).map(word).collect::<Vec<_>>().join(" "))
    };
    let rows: Vec<String> = audit.query_map([], words).unwrap().map(Result::unwrap).collect();
    assert!(rows.iter().any(|row| row.contains("127.0.0.2")), "{rows:?}");
    assert!(!rows.iter().any(|row| row.contains("192.0.2.77")), "{rows:?}");
}

#[test]
fn a_proxy_that_nobody_declared_shows_nothing_either() {
    let (stage, people, _collector) = serve("anonymous: viewer");
    let (front, _nginx) = nginx(&stage, people);
    assert_eq!(http::get(people, "/").unwrap().status, 200);
    assert_eq!(http::get(front, "/").unwrap().status, 303);
    assert_eq!(http::get(front, "/api/v1/sites").unwrap().status, 401);
}

/// Behind a proxy that ends TLS the cookies went without `Secure`: the first plain request of a browser gave them away.
#[test]
fn cookies_are_for_tls_only_where_a_declared_proxy_says_that_it_was() {
    let (_stage, people, _collector) = serve("trusted_proxies: [127.0.0.1]");
    let form = |headers: &str| http::ask_as(people, "localhost", "GET /login", headers, b"").unwrap().head.to_lowercase();
    for headers in ["X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "Forwarded: for=192.0.2.1;proto=https\r\n"] {
        let head = form(headers);
        let cookie = head.lines().find(|line| line.starts_with("set-cookie: rusta_door=")).unwrap();
        assert!(cookie.contains("; secure") && head.contains("strict-transport-security: max-age="), "{headers}: {head}");
    }
    for headers in ["", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"] {
        let head = form(headers);
        assert!(!head.contains("; secure") && !head.contains("strict-transport-security"), "{headers}: {head}");
    }
    let (_stage, people, _collector) = serve("trusted_proxies: [192.0.2.9]");
    let head = http::ask_as(people, "localhost", "GET /login", "X-Forwarded-Proto: https\r\n", b"").unwrap().head.to_lowercase();
    assert!(!head.contains("; secure"), "somebody nobody declared: {head}");
}
