//! Debian's databases on ports and folders of their own, ended with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusta_collector::grafana::query::Lang;
use rusta_collector::sink::delivery::Endpoint;
use rusta_tests::programs::free_port;
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for a server to answer; a busy machine takes many seconds to start one.
const START: Duration = Duration::from_secs(60);

pub fn client() -> reqwest::Client {
    // Another test of this process may have installed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Replaces Grafana's macros and variables by what Grafana would.
pub fn fill_in(text: &str, lang: Lang) -> String {
    let any = if lang == Lang::InfluxQl { "/.*/" } else { ".*" };
    let mut text = text.replace("$timeFilter", "time > now() - 1h").replace("$__rate_interval", "10m").replace("$__interval", "10m");
    for variable in ["province", "county", "site", "region", "kpi", "period", "weight"] {
        text = text.replace(&format!("/^${variable}$/"), any).replace(&format!("${variable}"), any);
    }
    text
}

/// What a server does, later.
type Later<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;

/// A database that can be written and asked.
pub trait Server {
    fn endpoint(&self) -> Endpoint;
    /// Waits until what was written can be asked for.
    fn settle(&self) -> Later<'_, ()>;
    /// Returns how many series answer a question.
    fn ask<'a>(&'a self, text: &'a str) -> Later<'a, usize>;
    /// Counts the points of a field.
    fn count<'a>(&'a self, measurement: &'a str, field: &'a str) -> Later<'a, usize>;
    /// Ends it as a power cut would.
    fn kill(&mut self);
    /// Starts it again on its data.
    fn restart(&mut self) -> Later<'_, ()>;
    /// Waits until it knows that its disk is full.
    fn notices_a_full_disk(&self) -> Later<'_, ()>;
    /// Does what a person does once there is room again.
    fn recovers_from_a_full_disk(&mut self) -> Later<'_, ()>;
}

/// Bytes of a small disk; VictoriaMetrics wants 40 MB to begin with.
const DISK_MB: usize = 96;
/// VictoriaMetrics takes nothing when less than this is free.
const KEEP_FREE_MB: usize = 24;

/// A small disk of a test's own, gone with it.
pub struct Disk(TempDir);

impl Disk {
    /// Mounts one; `None` where nobody may mount.
    pub fn small() -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_MB}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status().unwrap();
        if !mounted.success() {
            eprintln!("left out: a small disk cannot be mounted here");
        }
        mounted.success().then_some(Disk(folder))
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Takes all the room there is but for `spare_mb`.
    pub fn fill(&self, spare_mb: usize) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let block = vec![0; 1 << 16];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub((spare_mb as u64) << 20)).unwrap();
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

struct Process {
    child: Child,
    folder: PathBuf,
    _own: Option<TempDir>,
}

impl Process {
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(program: &str, arguments: &[String]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} cannot be started ({e}): scripts/test installs it"))
}

async fn answers(url: &str) {
    let start = std::time::Instant::now();
    while client().get(url).send().await.is_err() {
        assert!(start.elapsed() < START, "{url} does not answer");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// `influxdb` 1.6.
pub struct Influx {
    process: Process,
    port: u16,
}

impl Influx {
    pub async fn start() -> Influx {
        let own = tempfile::tempdir().unwrap();
        Influx::start_in(own.path().to_owned(), Some(own)).await
    }

    pub async fn start_on(disk: &Disk) -> Influx {
        Influx::start_in(disk.0.path().to_owned(), None).await
    }

    async fn start_in(folder: PathBuf, own: Option<TempDir>) -> Influx {
        let (port, inner) = (free_port(), free_port());
        let root = folder.display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{inner}\"\n[meta]\ndir = \"{root}/meta\"\n[data]\ndir = \"{root}/data\"\n\
             wal-dir = \"{root}/wal\"\n[http]\nbind-address = \"127.0.0.1:{port}\"\n"
        );
        std::fs::write(folder.join("influxdb.conf"), config).unwrap();
        let child = spawn("influxd", &Self::arguments(&folder));
        let server = Influx { process: Process { child, folder, _own: own }, port };
        server.make_database().await;
        server
    }

    async fn make_database(&self) {
        answers(&self.url("/ping")).await;
        self.execute("CREATE DATABASE rusta").await;
    }

    /// Runs a statement that changes something.
    pub async fn execute(&self, statement: &str) {
        let done = client().post(self.url("/query")).query(&[("db", "rusta"), ("q", statement)]).send().await.unwrap();
        assert!(done.status().is_success(), "{statement}");
    }

    fn arguments(folder: &Path) -> Vec<String> {
        vec!["-config".into(), folder.join("influxdb.conf").display().to_string()]
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn query(&self, text: &str) -> Value {
        let response = client().get(self.url("/query")).query(&[("db", "rusta"), ("q", text)]).send().await.unwrap();
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let fault = &answer["results"][0]["error"];
        assert!(fault.is_null() && answer["error"].is_null(), "{text}: {answer}");
        answer
    }

    /// Names the address a sink writes to.
    pub fn write_url(&self) -> String {
        self.url("/write?db=rusta&precision=ms")
    }

    /// Returns the number in the last row of an answer; `None` without an answer.
    pub async fn last(&self, text: &str) -> Option<f64> {
        let answer = self.query(text).await;
        answer["results"][0]["series"][0]["values"].as_array()?.last()?.as_array()?.last()?.as_f64()
    }
}

impl Server for Influx {
    fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.write_url(), authorization: None }
    }

    fn settle(&self) -> Later<'_, ()> {
        Box::pin(async {})
    }

    fn ask<'a>(&'a self, text: &'a str) -> Later<'a, usize> {
        Box::pin(async move { self.query(text).await["results"][0]["series"].as_array().map_or(0, Vec::len) })
    }

    fn count<'a>(&'a self, measurement: &'a str, field: &'a str) -> Later<'a, usize> {
        Box::pin(async move {
            let count = self.last(&format!(r#"SELECT count("{field}") FROM "{measurement}""#)).await;
            count.unwrap_or(0.0) as usize
        })
    }

    fn kill(&mut self) {
        self.process.end();
    }

    /// A kill soon after its creation has been seen to lose the database itself, so it is made again.
    fn restart(&mut self) -> Later<'_, ()> {
        Box::pin(async {
            self.process.child = spawn("influxd", &Self::arguments(&self.process.folder));
            self.make_database().await;
        })
    }

    fn notices_a_full_disk(&self) -> Later<'_, ()> {
        Box::pin(async {})
    }

    fn recovers_from_a_full_disk(&mut self) -> Later<'_, ()> {
        self.kill();
        self.restart()
    }
}

/// `victoria-metrics` 1.79.
pub struct Victoria {
    process: Process,
    port: u16,
}

impl Victoria {
    pub async fn start() -> Victoria {
        let own = tempfile::tempdir().unwrap();
        Victoria::start_in(own.path().to_owned(), Some(own)).await
    }

    pub async fn start_on(disk: &Disk) -> Victoria {
        Victoria::start_in(disk.0.path().to_owned(), None).await
    }

    async fn start_in(folder: PathBuf, own: Option<TempDir>) -> Victoria {
        let port = free_port();
        let child = spawn("victoria-metrics", &Self::arguments(&folder, port));
        let server = Victoria { process: Process { child, folder, _own: own }, port };
        answers(&server.url("/health")).await;
        server
    }

    fn arguments(folder: &Path, port: u16) -> [String; 6] {
        [
            format!("-storageDataPath={}", folder.join("data").display()),
            format!("-httpListenAddr=127.0.0.1:{port}"),
            "-retentionPeriod=1".into(),
            // Fresh points are otherwise hidden for half a minute.
            "-search.latencyOffset=0s".into(),
            // A point sent twice is stored twice without it.
            "-dedup.minScrapeInterval=1ms".into(),
            format!("-storage.minFreeDiskSpaceBytes={KEEP_FREE_MB}MB"),
        ]
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn get(&self, what: &str, asked: &[(&str, String)]) -> Value {
        let response = client().get(self.url(&format!("/api/v1/{what}"))).query(asked).send().await.unwrap();
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(answer["status"], "success", "{asked:?}: {answer}");
        answer
    }
}

impl Server for Victoria {
    fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.url("/api/v2/write?precision=ms"), authorization: None }
    }

    fn settle(&self) -> Later<'_, ()> {
        Box::pin(async {
            client().get(self.url("/internal/force_flush")).send().await.unwrap();
        })
    }

    fn ask<'a>(&'a self, text: &'a str) -> Later<'a, usize> {
        // Over the last hour, as a panel asks: a moment of it may have no answer.
        let (end, step) = (rusta_collector::clock::now().seconds(), 60);
        let asked =
            [("query", text.to_owned()), ("start", (end - 3_600).to_string()), ("end", end.to_string()), ("step", step.to_string())];
        Box::pin(async move { self.get("query_range", &asked).await["data"]["result"].as_array().map_or(0, Vec::len) })
    }

    fn count<'a>(&'a self, measurement: &'a str, field: &'a str) -> Later<'a, usize> {
        Box::pin(async move {
            let answer = self.get("query", &[("query", format!("sum(count_over_time({measurement}_{field}[2h]))"))]).await;
            answer["data"]["result"][0]["value"][1].as_str().map_or(0, |text| text.parse().unwrap())
        })
    }

    fn kill(&mut self) {
        self.process.end();
    }

    fn restart(&mut self) -> Later<'_, ()> {
        Box::pin(async {
            self.process.child = spawn("victoria-metrics", &Self::arguments(&self.process.folder, self.port));
            answers(&self.url("/health")).await;
        })
    }

    fn notices_a_full_disk(&self) -> Later<'_, ()> {
        Box::pin(async {
            let start = std::time::Instant::now();
            loop {
                let text = client().get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
                if text.lines().any(|line| line.starts_with("vm_storage_is_read_only{") && line.ends_with(" 1")) {
                    return;
                }
                assert!(start.elapsed() < START, "it does not see that its disk is full");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    }

    fn recovers_from_a_full_disk(&mut self) -> Later<'_, ()> {
        Box::pin(async {})
    }
}
