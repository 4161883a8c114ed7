//! What the tests of the probes share: networks of their own, real daemons, and certificates.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{Measurement, Probe, ProbeConfig, Prober, Settings, WallTime};
use crate::socket::Way;

/// 2026-11-21 12:00 UTC: the certificates made here are valid around it.
pub const NOON_S: i64 = 1_795_262_400;

fn config(yaml: &str) -> Result<ProbeConfig, serde_yaml::Error> {
    serde_yaml::with::singleton_map::deserialize(serde_yaml::Deserializer::from_str(yaml))
}

pub fn probe(yaml: &str) -> Probe {
    Probe::from_config(config(yaml).unwrap()).unwrap()
}

pub fn refusal(yaml: &str) -> String {
    match config(yaml) {
        Ok(config) => Probe::from_config(config).unwrap_err(),
        Err(error) => error.to_string(),
    }
}

pub fn trusted_noon() -> WallTime {
    WallTime { system_s: NOON_S, floor_s: NOON_S - 86_400, trusted: true }
}

pub fn prober_at(wall: WallTime, resolvers: Vec<SocketAddr>) -> Prober {
    let system_us = Arc::new(|| {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME).unwrap();
        now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000
    });
    Prober::new(Settings { resolvers, wall: Arc::new(move || wall), system_us, is_synchronised: Arc::new(|| false) })
}

pub fn prober() -> Prober {
    prober_at(trusted_noon(), Vec::new())
}

pub fn by_interface(name: &str) -> Way {
    Way { interface: Some(name.into()), ..Way::default() }
}

/// Runs one round on the default way, with enough time for anything on loopback.
pub async fn measure(probe: &Probe) -> Measurement {
    prober().measure(probe, &Way::default(), Duration::from_secs(2)).await
}

/// Runs a test on a thread in a network of its own, with loopback up.
pub fn in_own_network(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("tests of links need root: they make network namespaces");
        ip("link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test on a thread that sees changes to /usr/sbin nobody else sees.
pub fn in_own_mounts(test: impl FnOnce() + Send + 'static) {
    in_own_network(|| {
        use nix::mount::{MsFlags, mount};
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS | nix::sched::CloneFlags::CLONE_FS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (upper, work) = (dir.path().join("upper"), dir.path().join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let options = format!("lowerdir=/usr/sbin,upperdir={},workdir={}", upper.display(), work.display());
        mount(Some("overlay"), "/usr/sbin", Some("overlay"), MsFlags::empty(), Some(options.as_str())).unwrap();
        test();
    });
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// Runs `ip` with these words.
pub fn ip(words: &str) {
    run("ip", &words.split_whitespace().collect::<Vec<_>>());
}

/// Runs a program to its end.
pub fn run(program: &str, args: &[&str]) -> String {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|e| panic!("`{program}` is not installed or does not start: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs one test of this program again as a user without any privilege, in this thread's network.
pub fn as_nobody(test: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"])
        .arg(copy)
        .args(["--exact", test])
        .env("PROBES_AS_NOBODY", "1")
        .current_dir("/")
        .output()
        .unwrap_or_else(|e| panic!("`setpriv` (util-linux) is not installed: {e}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the test did not find itself");
}

/// Writes a kernel setting of this thread's network.
pub fn sysctl(path: &str, value: &str) {
    fs::write(Path::new("/proc/sys/net").join(path), value).unwrap();
}

/// A named network namespace beside the test's own; deleted with the value.
pub struct Neighbour {
    pub name: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn unique(what: &str) -> String {
    format!("probes-{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Neighbour {
    /// Makes a namespace joined to the test's own by a cable: `here` on this side with `ours`, `far` on the other.
    pub fn cabled(here: &str, ours: &str, far: &str, theirs: &str) -> Self {
        let neighbour = Neighbour { name: unique("net") };
        let name = &neighbour.name;
        ip(&format!("netns add {name}"));
        ip(&format!("link add {here} type veth peer name {far} netns {name}"));
        ip(&format!("addr add {ours} dev {here}"));
        ip(&format!("link set {here} up"));
        neighbour.ip("link set lo up");
        neighbour.ip(&format!("addr add {theirs} dev {far}"));
        neighbour.ip(&format!("link set {far} up"));
        carries(here);
        neighbour
    }

    /// Makes a further namespace, cabled to this one: `here` on this side, `far` on the other.
    pub fn extended(&self, here: &str, ours: &str, far: &str, theirs: &str) -> Self {
        let neighbour = Neighbour { name: unique("net") };
        let name = &neighbour.name;
        ip(&format!("netns add {name}"));
        self.ip(&format!("link add {here} type veth peer name {far} netns {name}"));
        self.ip(&format!("addr add {ours} dev {here}"));
        self.ip(&format!("link set {here} up"));
        neighbour.ip("link set lo up");
        neighbour.ip(&format!("addr add {theirs} dev {far}"));
        neighbour.ip(&format!("link set {far} up"));
        neighbour
    }

    pub fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.name));
    }

    /// Runs a shell line inside.
    pub fn shell(&self, line: &str) -> String {
        run("ip", &["netns", "exec", &self.name, "sh", "-c", line])
    }

    /// Starts a program inside.
    pub fn daemon(&self, program: &str, words: &str) -> Daemon {
        let mut args = vec!["netns", "exec", &self.name, program];
        args.extend(words.split_whitespace());
        Daemon::start("ip", &args)
    }

    /// Runs `work` on a thread inside.
    pub fn enter<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
        let inside = fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            nix::sched::setns(inside, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    /// Listens inside and gives back what it gets to one peer after the other.
    pub fn says_back(&self, address: SocketAddr) {
        let listener = self.enter(move || std::net::TcpListener::bind(address).unwrap()).join().unwrap();
        std::thread::spawn(move || {
            while let Ok((peer, _)) = listener.accept() {
                let _ = std::io::copy(&mut &peer, &mut &peer);
            }
        });
    }

    /// Counts the packets this side has received on an interface.
    pub fn received(&self, interface: &str) -> u64 {
        let text = self.shell(&format!("cat /proc/net/dev | grep {interface}:"));
        text.split_whitespace().nth(2).unwrap().parse().unwrap()
    }
}

/// Waits until the kernel says that a cable carries, which takes it up to a second.
pub fn carries(interface: &str) {
    let is_running = |i: &pnet::datalink::NetworkInterface| i.name == interface && i.is_running();
    for _ in 0..100 {
        if pnet::datalink::interfaces().iter().any(is_running) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{interface} never came up");
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A program that runs as long as the value lives.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    pub fn start(program: &str, args: &[&str]) -> Self {
        let child = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Daemon { child: child.unwrap_or_else(|e| panic!("`{program}` is not installed or does not start: {e}")) }
    }

    /// Waits until somebody listens on a TCP port.
    pub fn listening(mut self, address: SocketAddr) -> Self {
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "the daemon for {address} ended at once");
            assert!(Instant::now() < until, "nobody listens on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        self
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate, its key and its authority, as PEM files.
pub struct Papers {
    pub dir: tempfile::TempDir,
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Papers {
    /// Makes papers for `portal.example` and 127.0.0.1, valid from so many days before noon until so many after.
    pub fn valid_days(before: i64, after: i64) -> Self {
        let day = |days: i64| {
            let (year, month, day) = civil(NOON_S / 86_400 + days);
            rcgen::date_time_ymd(year, month, day)
        };
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.not_before = day(-3_650);
        authority.not_after = day(36_500);
        let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["portal.example".into(), "127.0.0.1".into()]).unwrap();
        params.not_before = day(-before);
        params.not_after = day(after);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let papers = Papers { dir: tempfile::tempdir().unwrap(), certificate_pem: certificate.pem(), key_pem: key.serialize_pem() };
        fs::write(papers.path("ca.pem"), authority_pem).unwrap();
        fs::write(papers.path("server.pem"), &papers.certificate_pem).unwrap();
        fs::write(papers.path("server.key"), &papers.key_pem).unwrap();
        papers
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub fn ca(&self) -> String {
        self.path("ca.pem").display().to_string()
    }
}

/// Days since 1970 to a date (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i32, u8, u8) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    ((yoe + era * 400 + i64::from(month <= 2)) as i32, month as u8, day as u8)
}

/// Serves nginx on loopback over TLS and plain HTTP until dropped.
pub struct Nginx {
    pub tls: SocketAddr,
    pub plain: SocketAddr,
    _dir: tempfile::TempDir,
    _daemon: Daemon,
}

impl Nginx {
    pub fn serving(papers: &Papers, locations: &str) -> Self {
        let (tls, plain) = (free_port(), free_port());
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let config = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log; worker_processes 1; events {{}}
             http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
             client_max_body_size 100m; default_type text/plain;
             server {{ listen {tls} ssl; listen {plain}; ssl_certificate {cert}; ssl_certificate_key {key}; {locations} }} }}",
            cert = papers.path("server.pem").display(),
            key = papers.path("server.key").display(),
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let daemon = Daemon::start("nginx", &["-c", &file.display().to_string(), "-p", &at.to_string()]).listening(plain);
        Nginx { tls, plain, _dir: dir, _daemon: daemon }
    }
}

/// Finds a port nobody listens on.
pub fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
