//! Single sign-on against real directories: an OpenID provider of PyPI (built on Authlib) and Debian's slapd.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusta_tests::http;
use rusta_tests::programs::{Running, eventually, free_port, run_ok};
use rusta_tests::stage::{Stage, Village};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];
const PASSWORD: &str = "a long enough password";

/// A browser: it keeps cookies and follows nothing by itself.
#[derive(Default)]
struct Browser(Vec<(String, String)>);

struct Page {
    status: u16,
    location: String,
    text: String,
}

impl Browser {
    fn ask(&mut self, at: SocketAddr, what: &str, form: &str) -> Page {
        let cookies: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers = format!("Cookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n", cookies.join("; "));
        let answer = http::ask_as(at, &at.to_string(), what, &headers, form.as_bytes()).unwrap();
        for line in answer.head.lines().filter(|line| line.to_lowercase().starts_with("set-cookie: ")) {
            let (name, value) = line["set-cookie: ".len()..].split(';').next().unwrap().split_once('=').unwrap();
            self.0.retain(|(held, _)| held != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        let location = answer.head.lines().find_map(|line| line.to_lowercase().starts_with("location: ").then(|| line[10..].to_owned()));
        Page { status: answer.status, location: location.unwrap_or_default(), text: answer.text() }
    }

    fn holds(&self, cookie: &str) -> bool {
        self.0.iter().any(|(name, _)| name == cookie)
    }
}

struct Target {
    stage: Stage,
    people: SocketAddr,
    collector: Option<Running>,
}

impl Target {
    /// A collector of one village with a local administrator `boss`, that knows people by `sign_in` as well.
    fn start(stage: Stage, people: SocketAddr, sign_in: &str) -> Target {
        let agents = SocketAddr::from(([127, 0, 0, 1], free_port()));
        stage.configure_collector(agents, &["127.0.0.1"], people, &format!("sign_in:\n{sign_in}"));
        let text = std::fs::read_to_string(stage.path("collector.yaml")).unwrap();
        stage.write("collector.yaml", &text.replace("anonymous: viewer", "anonymous: none"));
        run_ok(stage.collector().arg("check"));
        stage.import(&VILLAGES);
        let mut add = stage.collector().args(["users", "add", "boss", "--role", "admin"]).stdin(Stdio::piped()).spawn().unwrap();
        add.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        assert!(add.wait().unwrap().success());
        let collector = Some(stage.serve(None, people));
        Target { stage, people, collector }
    }

    /// Fills the form in; returns the page and the browser.
    fn sign_in(&self, name: &str, password: &str) -> (Page, Browser) {
        let mut browser = Browser::default();
        let form = browser.ask(self.people, "GET /login", "");
        let csrf = form.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let part = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let filled = format!("csrf={csrf}&name={}&password={}", part(name), part(password));
        (browser.ask(self.people, "POST /login", &filled), browser)
    }

    fn audited(&self, actor: &str) -> Vec<(String, String)> {
        let db = rusqlite::Connection::open(self.stage.path("collector/state.sqlite")).unwrap();
        let mut rows = db.prepare("SELECT action, subject FROM audit WHERE actor = ?1 ORDER BY id").unwrap();
        rows.query_map([actor], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }
}

fn wait_for(what: &str, at: SocketAddr, program: &mut Running) {
    eventually(Duration::from_secs(60), what, || {
        assert!(program.ended().is_none(), "{what}: {}", program.output());
        TcpStream::connect(at).is_ok().then_some(())
    });
}

fn provider(stage: &Stage, at: SocketAddr) -> Running {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/python/bin/python");
    assert!(python.exists(), "scripts/test installs the OpenID provider of PyPI");
    let mut command = Command::new(python);
    command.args(["-m", "oidc_provider_mock", "--require-nonce", "--port", &at.port().to_string()]);
    for claims in [
        r#"{"sub": "u-1", "preferred_username": "zahra", "groups": ["staff", "noc-admins"]}"#,
        r#"{"sub": "u-2", "preferred_username": "reza", "groups": ["staff"]}"#,
        r#"{"sub": "u-3", "preferred_username": "boss", "groups": ["noc-admins"]}"#,
    ] {
        command.args(["--user-claims", claims]);
    }
    let mut running = Running::start("provider", command, &stage.path(""));
    wait_for("the OpenID provider listens", at, &mut running);
    running
}

/// Lets somebody sign in at the provider to which a page led, and returns the address it sends the browser back to.
fn at_the_provider(provider: SocketAddr, led_to: &str, sub: &str) -> String {
    let path = led_to.split_once(&provider.to_string()).unwrap_or_else(|| panic!("{led_to}")).1;
    let answer = Browser::default().ask(provider, &format!("POST {path}"), &format!("sub={sub}"));
    assert_eq!(answer.status, 302, "{}", answer.text);
    answer.location.split_once("/login/openid/back").map(|(_, query)| format!("/login/openid/back{query}")).unwrap()
}

#[test]
fn an_openid_provider_vouches_for_people_and_its_groups_say_what_they_may() {
    let stage = Stage::new(rusta_tests::programs!());
    let [people, at] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut running = provider(&stage, at);
    stage.write("openid.secret", "the client's secret\n");
    let sign_in = format!(
        "  openid: {{ issuer: \"http://{at}\", client_id: rusta, client_secret_file: {}, public_url: \"http://{people}\", label: Province ID }}\n  \
         groups: [{{ group: noc-admins, role: admin }}]\n",
        stage.path("openid.secret").display()
    );
    let target = Target::start(stage, people, &sign_in);
    let mut browser = Browser::default();
    let form = browser.ask(people, "GET /login", "");
    assert!(form.text.contains("href=\"/login/openid?next=") && form.text.contains("Province ID"), "{}", form.text);

    let begin = |browser: &mut Browser| {
        let led = browser.ask(people, "GET /login/openid?next=%2Fadmin", "");
        assert_eq!(led.status, 303, "{}", led.text);
        for part in ["code_challenge_method=S256", "code_challenge=", "nonce=", "state=", "response_type=code", "scope=openid"] {
            assert!(led.location.contains(part), "{part} is not in {}", led.location);
        }
        led.location
    };
    let led_to = begin(&mut browser);
    let back = at_the_provider(at, &led_to, "u-1");

    // The answer to another browser's question, and to none.
    let mut other = Browser::default();
    begin(&mut other);
    for stranger in [&mut other, &mut Browser::default()] {
        assert_eq!(stranger.ask(people, &format!("GET {back}"), "").status, 401);
        assert!(!stranger.holds("rusta_session"));
    }
    let kept = browser.0.clone();
    let entered = browser.ask(people, &format!("GET {back}"), "");
    assert_eq!((entered.status, entered.location.as_str()), (303, "/admin"), "{}", entered.text);
    assert!(browser.holds("rusta_session") && !browser.holds("rusta_openid"));
    let admin = browser.ask(people, "GET /admin", "");
    assert!(admin.status == 200 && admin.text.contains("zahra"), "{}", admin.text);

    // The same answer again, in the same browser.
    assert_eq!(Browser(kept).ask(people, &format!("GET {back}"), "").status, 401, "a code serves once");

    // She typed her password there just now. When that is long ago something dangerous sends her to the provider again.
    let db = rusqlite::Connection::open(target.stage.path("collector/state.sqlite")).unwrap();
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    let confirmed: i64 = db.query_row("SELECT confirmed_at FROM sessions", [], |row| row.get(0)).unwrap();
    assert!(confirmed > 1_700_000_000_000, "the provider says when: {confirmed}");
    db.execute("UPDATE sessions SET confirmed_at = 0", []).unwrap();
    let csrf = admin.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let dangerous = browser.ask(people, "POST /admin/users", &format!("csrf={csrf}&what=remove&name=boss"));
    assert!(dangerous.status == 403 && dangerous.text.contains("/login/openid?again=1"), "{}", dangerous.text);
    let again = browser.ask(people, "GET /login/openid?again=1&next=%2Fadmin", "");
    assert!(again.location.contains("prompt=login") && again.location.contains("max_age=0"), "{}", again.location);

    // In no group that may come in; and one who calls himself like an account of this collector.
    for sub in ["u-2", "u-3"] {
        let mut browser = Browser::default();
        let led_to = begin(&mut browser);
        let back = at_the_provider(at, &led_to, sub);
        assert_eq!(browser.ask(people, &format!("GET {back}"), "").status, 401, "{sub}");
        assert!(!browser.holds("rusta_session"));
    }
    let told = target.audited("directory:openid");
    let expected = [("user.add", "zahra"), ("login.failed", "reza"), ("login.failed", "boss")];
    assert_eq!(told, expected.map(|(action, subject)| (action.to_owned(), subject.to_owned())));
    assert!(target.audited("user:zahra").contains(&("login".to_owned(), "zahra".to_owned())));
    run_ok(target.stage.collector().args(["audit", "verify"]));

    // While it is down accounts of this collector open, and a page says why the button does not.
    running.kill();
    let down = Browser::default().ask(people, "GET /login/openid", "");
    // What was learnt of the provider holds for a while: the way there is known, the way back is not answered.
    assert!([303, 502].contains(&down.status), "{}", down.text);
    assert_eq!(target.sign_in("boss", PASSWORD).0.status, 303);
    assert_eq!(target.sign_in("zahra", PASSWORD).0.status, 401, "an account of a directory has no password here");
    let said = target.collector.as_ref().unwrap().output();
    assert!(!said.contains("the client's secret"), "{said}");
}

/// slapd with TLS: two people and two groups, one of whom is in the first.
fn slapd(stage: &Stage, at: SocketAddr) -> Running {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    stage.write("ldap/crt.pem", &made.cert.pem());
    stage.write("ldap/key.pem", &made.signing_key.serialize_pem());
    std::fs::create_dir_all(stage.path("ldap/db")).unwrap();
    let dir = stage.path("ldap").display().to_string();
    let config = stage.write(
        "ldap/slapd.conf",
        &format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {dir}/pid\nTLSCertificateFile {dir}/crt.pem\n\
             TLSCertificateKeyFile {dir}/key.pem\nTLSCACertificateFile {dir}/crt.pem\nsecurity tls=128\ndatabase mdb\nsuffix \"dc=example\"\n\
             directory {dir}/db\nrootdn \"cn=admin,dc=example\"\naccess to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"cn=rusta,dc=example\" read by * none\n"
        ),
    );
    let person = |name: &str, word: &str| {
        format!(
            "dn: uid={name},ou=people,dc=example\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\nuserPassword: {word}\n\n"
        )
    };
    let group = |name: &str, member: &str| {
        format!("dn: cn={name},ou=groups,dc=example\nobjectClass: groupOfNames\ncn: {name}\nmember: uid={member},ou=people,dc=example\n\n")
    };
    let ldif = [
        "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: example\n\n".to_owned(),
        "dn: cn=rusta,dc=example\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: rusta\nuserPassword: searches\n\n".to_owned(),
        "dn: ou=people,dc=example\nobjectClass: organizationalUnit\nou: people\n\n".to_owned(),
        "dn: ou=groups,dc=example\nobjectClass: organizationalUnit\nou: groups\n\n".to_owned(),
        person("Mina", "her own word"),
        person("reza", "his own word"),
        group("noc", "Mina"),
        group("staff", "reza"),
    ];
    let ldif = stage.write("ldap/people.ldif", &ldif.concat());
    run_ok(Command::new("/usr/sbin/slapadd").arg("-f").arg(&config).arg("-l").arg(ldif));
    let mut command = Command::new("/usr/sbin/slapd");
    command.arg("-f").arg(&config).args(["-h", &format!("ldaps://{at}"), "-d", "0"]);
    let mut running = Running::start("slapd", command, &stage.path(""));
    wait_for("slapd listens", at, &mut running);
    running
}

#[test]
fn an_ldap_server_knows_people_and_its_groups_say_what_they_may() {
    let stage = Stage::new(rusta_tests::programs!());
    let [people, at] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut running = slapd(&stage, at);
    stage.write("ldap.secret", "searches\n");
    let sign_in = format!(
        "  ldap: {{ url: \"ldaps://{at}\", ca: {0}/ldap/crt.pem, bind_dn: \"cn=rusta,dc=example\", password_file: {0}/ldap.secret, \
         base: \"ou=people,dc=example\", group_base: \"ou=groups,dc=example\" }}\n  groups: [{{ group: noc, role: operator, region: \"09\" }}]\n",
        stage.path("").display()
    );
    let target = Target::start(stage, people, &sign_in);
    let (entered, mut browser) = target.sign_in("mina", "her own word");
    assert_eq!(entered.status, 303, "{}", entered.text);
    assert_eq!(browser.ask(people, "GET /sites", "").status, 200);
    assert_eq!(browser.ask(people, "GET /admin", "").status, 403, "an operator");
    let row = run_ok(target.stage.collector().args(["users", "list"]));
    assert!(row.contains("Mina\toperator\t09\tldap"), "the name as the directory writes it: {row}");

    let wrong = [
        ("Mina", "her own words"),
        ("Mina", ""),
        ("*", "her own word"),
        ("Mina)(uid=*", "her own word"),
        ("Min*", "her own word"),
        ("reza", "his own word"),
        ("nobody", "her own word"),
        ("boss", "her own word"),
    ];
    for (name, word) in wrong {
        let (page, browser) = target.sign_in(name, word);
        assert!(page.status == 401 && !browser.holds("rusta_session"), "{name} {word}: {}", page.status);
    }
    assert!(target.audited("directory:ldap").contains(&("login.failed".to_owned(), "reza".to_owned())), "in no group");
    // Something dangerous asks the directory for the password again.
    let account = browser.ask(people, "GET /account", "");
    let csrf = account.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (word, status) in [("her+own+words", 401), ("her+own+word", 303)] {
        assert_eq!(browser.ask(people, "POST /account/confirm", &format!("csrf={csrf}&next=%2F&password={word}")).status, status);
    }

    // Who does not have the server's certificate asks nobody.
    running.kill();
    let (down, _) = target.sign_in("Mina", "her own word");
    assert_eq!(down.status, 502, "{}", down.text);
    assert_eq!(target.sign_in("boss", PASSWORD).0.status, 303, "accounts of this collector stay the way in");
    let said = target.collector.as_ref().unwrap().output();
    assert!(!said.contains("searches") && !said.contains("her own word"), "{said}");
}
