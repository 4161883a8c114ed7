//! Debian's databases on ports and folders of their own, ended with the test.

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
    for variable in ["province", "county", "site", "region"] {
        text = text.replace(&format!("/^${variable}$/"), any).replace(&format!("${variable}"), any);
    }
    text
}

/// A database that can be written and asked.
#[allow(async_fn_in_trait)]
pub trait Server {
    fn endpoint(&self) -> Endpoint;
    /// Waits until what was written can be asked for.
    fn settle(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>>;
    /// Returns how many series answer a question.
    fn ask<'a>(&'a self, text: &'a str) -> std::pin::Pin<Box<dyn Future<Output = usize> + 'a>>;
}

struct Process {
    child: Child,
    folder: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        let folder = tempfile::tempdir().unwrap();
        let (port, inner) = (free_port(), free_port());
        let root = folder.path().display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{inner}\"\n[meta]\ndir = \"{root}/meta\"\n[data]\ndir = \"{root}/data\"\n\
             wal-dir = \"{root}/wal\"\n[http]\nbind-address = \"127.0.0.1:{port}\"\n"
        );
        std::fs::write(folder.path().join("influxdb.conf"), config).unwrap();
        let child = spawn("influxd", &Self::arguments(&folder));
        let server = Influx { process: Process { child, folder }, port };
        server.make_database().await;
        server
    }

    async fn make_database(&self) {
        answers(&self.url("/ping")).await;
        let made = client().post(self.url("/query")).query(&[("q", "CREATE DATABASE rusta")]).send().await.unwrap();
        assert!(made.status().is_success());
    }

    fn arguments(folder: &TempDir) -> Vec<String> {
        vec!["-config".into(), folder.path().join("influxdb.conf").display().to_string()]
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Ends the server as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
    }

    /// Starts it again on its data. A kill soon after its creation has been seen to lose the database itself.
    pub async fn restart(&mut self) {
        self.process.child = spawn("influxd", &Self::arguments(&self.process.folder));
        self.make_database().await;
    }

    async fn query(&self, text: &str) -> Value {
        let response = client().get(self.url("/query")).query(&[("db", "rusta"), ("q", text)]).send().await.unwrap();
        let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let fault = &answer["results"][0]["error"];
        assert!(fault.is_null() && answer["error"].is_null(), "{text}: {answer}");
        answer
    }

    /// Counts the points of a field.
    pub async fn count(&self, measurement: &str, field: &str) -> usize {
        let answer = self.query(&format!(r#"SELECT count("{field}") FROM "{measurement}""#)).await;
        let count = &answer["results"][0]["series"][0]["values"][0][1];
        usize::try_from(count.as_u64().unwrap_or(0)).unwrap()
    }
}

impl Server for Influx {
    fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.url("/write?db=rusta&precision=ms"), authorization: None }
    }

    fn settle(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {})
    }

    fn ask<'a>(&'a self, text: &'a str) -> std::pin::Pin<Box<dyn Future<Output = usize> + 'a>> {
        Box::pin(async move { self.query(text).await["results"][0]["series"].as_array().map_or(0, Vec::len) })
    }
}

/// `victoria-metrics` 1.79.
pub struct Victoria {
    _process: Process,
    port: u16,
}

impl Victoria {
    pub async fn start() -> Victoria {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let arguments = [
            format!("-storageDataPath={}", folder.path().display()),
            format!("-httpListenAddr=127.0.0.1:{port}"),
            "-retentionPeriod=1".into(),
            // Fresh points are otherwise hidden for half a minute.
            "-search.latencyOffset=0s".into(),
        ];
        let child = spawn("victoria-metrics", &arguments);
        let server = Victoria { _process: Process { child, folder }, port };
        answers(&server.url("/health")).await;
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Server for Victoria {
    fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.url("/api/v2/write?precision=ms"), authorization: None }
    }

    fn settle(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {
            client().get(self.url("/internal/force_flush")).send().await.unwrap();
        })
    }

    fn ask<'a>(&'a self, text: &'a str) -> std::pin::Pin<Box<dyn Future<Output = usize> + 'a>> {
        Box::pin(async move {
            let response = client().get(self.url("/api/v1/query")).query(&[("query", text)]).send().await.unwrap();
            let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(answer["status"], "success", "{text}: {answer}");
            answer["data"]["result"].as_array().map_or(0, Vec::len)
        })
    }
}
