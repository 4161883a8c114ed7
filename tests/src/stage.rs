//! A temporary folder in which a collector, its inventory and its agents live for one test.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::http;
use crate::netns::Namespace;
use crate::programs::{Programs, Running, eventually, run_ok};

/// The state model in seconds instead of minutes.
pub const QUICK_THRESHOLDS: &str =
    "{ cycle: 1s, confirm_time: 3s, slot: 5s, flap_changes: 50, silent_after: 6s, evidence_least: 4s, now_max_age: 8s }";

/// A village with one site of the same name.
#[derive(Debug, Clone, Copy)]
pub struct Village {
    /// The site's code.
    pub site: &'static str,
    /// Name, network, role and access of each link.
    pub links: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

/// One province with villages in one rural district.
#[derive(Debug)]
pub struct Stage {
    programs: Programs,
    folder: PathBuf,
    /// Removes the folder at the end; `None` if it is to be kept.
    _removed: Option<TempDir>,
}

impl Stage {
    /// Opens an empty stage.
    pub fn new(programs: Programs) -> Stage {
        let folder = tempfile::Builder::new().prefix("rusta-stage-").tempdir().unwrap();
        Stage { programs, folder: folder.path().to_owned(), _removed: Some(folder) }
    }

    /// Opens the stage in a folder that stays.
    pub fn kept(programs: Programs, folder: &Path) -> Stage {
        std::fs::create_dir_all(folder).unwrap();
        Stage { programs, folder: folder.to_owned(), _removed: None }
    }

    /// Names a file of the stage.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file of the stage.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Prepares an agent command.
    pub fn agent(&self) -> Command {
        Command::new(&self.programs.agent)
    }

    /// Prepares a collector command on this stage's configuration.
    pub fn collector(&self) -> Command {
        let mut command = Command::new(&self.programs.collector);
        command.arg("--config").arg(self.path("collector.yaml"));
        command
    }

    /// Writes the collector's configuration; `more` is YAML of further keys.
    pub fn configure_collector(&self, agents: SocketAddr, names: &[&str], http: SocketAddr, more: &str) {
        let data = self.path("collector");
        let text = format!(
            "data_dir: {}\nagents: {{ listen: \"{agents}\", names: {names:?} }}\nhttp: {{ listen: \"{http}\", anonymous: viewer }}\n{more}\n",
            data.display()
        );
        self.write("collector.yaml", &text);
    }

    /// Writes the villages' registry, with sites of class B, and imports it.
    pub fn import(&self, villages: &[Village]) {
        self.import_changed(villages, |_, text| text);
    }

    /// Writes the villages' registry, each file as `change` returns it, and imports it.
    pub fn import_changed(&self, villages: &[Village], change: impl Fn(&str, String) -> String) {
        write_inventory(&self.path("inventory"), villages, change);
        run_ok(self.collector().args(["inventory", "import"]).arg(self.path("inventory")));
    }

    /// Starts the collector, inside a namespace if one is given, and waits until it says it is ready.
    pub fn serve(&self, inside: Option<&Namespace>, http: SocketAddr) -> Running {
        let mut command = self.in_namespace(inside, &self.programs.collector);
        command.arg("--config").arg(self.path("collector.yaml")).arg("serve");
        let mut running = Running::start("collector", command, &self.folder);
        eventually(Duration::from_secs(180), "the collector is ready", || {
            assert!(running.ended().is_none(), "the collector ended: {}", running.output());
            let ready = || http::get(http, "/readyz").is_ok_and(|answer| answer.status == 200);
            inside.map_or_else(ready, |namespace| namespace.enter(ready)).then_some(())
        });
        running
    }

    /// Enrols an agent for `site` against the collector at `url` and returns its identity folder.
    pub fn enroll(&self, inside: Option<&Namespace>, site: &str, url: &str) -> PathBuf {
        let token = run_ok(self.collector().args(["agents", "token", "--bare", "--site", site]));
        let identity = self.path(&format!("{site}/identity"));
        let mut command = self.in_namespace(inside, &self.programs.agent);
        command.args(["enroll", "--collector", url, "--token", token.trim(), "--dir"]).arg(&identity).arg("--ca").arg(self.ca());
        run_ok(&mut command);
        identity
    }

    /// Names the collector's CA certificate.
    pub fn ca(&self) -> PathBuf {
        self.path("collector/authority/1.crt")
    }

    /// Writes the agent configuration of `site`: `links_and_targets` is YAML.
    pub fn configure_agent(&self, site: &str, urls: &[String], report: &str, links_and_targets: &str) -> PathBuf {
        let folder = self.path(site);
        let text = format!(
            "collector: {{ urls: {urls:?}, identity_dir: {0}/identity }}\nreport: {{ every: {report} }}\n\
             spool: {{ dir: {0}/spool, max_bytes: 8MiB, sync: batch }}\nstatus_socket: {0}/agent.sock\n{links_and_targets}\n",
            folder.display()
        );
        self.write(&format!("{site}/agent.yaml"), &text)
    }

    /// Starts the agent of `site`.
    pub fn run_agent(&self, inside: Option<&Namespace>, site: &str) -> Running {
        let mut command = self.in_namespace(inside, &self.programs.agent);
        command.arg("run").arg("--config").arg(self.path(&format!("{site}/agent.yaml")));
        Running::start(site, command, &self.folder)
    }

    /// Starts the agent of `site` as after a power cut: the kernel names another boot.
    pub fn run_agent_in_new_boot(&self, inside: Option<&Namespace>, site: &str) -> Running {
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let boot = self.write(&format!("{site}/boot_id"), &uuid);
        self.run_agent_among(inside, site, &format!("mount --bind {} /proc/sys/kernel/random/boot_id", boot.display()))
    }

    /// Starts the agent of `site` after the shell lines `mounts`, whose mounts nobody else sees.
    pub fn run_agent_among(&self, inside: Option<&Namespace>, site: &str, mounts: &str) -> Running {
        let mut command = self.in_namespace(inside, Path::new("unshare"));
        command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
        command.arg(format!("{mounts}\nexec \"$@\"")).arg("sh");
        command.arg(&self.programs.agent).arg("run").arg("--config").arg(self.path(&format!("{site}/agent.yaml")));
        Running::start(site, command, &self.folder)
    }

    fn in_namespace(&self, inside: Option<&Namespace>, program: &Path) -> Command {
        inside.map_or_else(|| Command::new(program), |namespace| namespace.command(program))
    }
}

const DISTRICT: &str = "0901010001";

fn write_inventory(folder: &Path, villages: &[Village], change: impl Fn(&str, String) -> String) {
    let mut regions = String::from(
        "code,kind,parent_code,name_fa,name_en,households,population,households_as_of,inhabited\n\
         09,province,,استان نمونه,Sample Province,,,,\n\
         0901,county,09,شهرستان نمونه,Sample County,,,,\n\
         090101,district,0901,بخش مرکزی,Central District,,,,\n\
         0901010001,rural_district,090101,دهستان نمونه,Sample Rural District,,,,\n",
    );
    let mut sites = String::from("code,kind,region_code,name_fa,name_en,criticality\n");
    let mut links = String::from("site_code,name,network,role,access\n");
    for (number, village) in villages.iter().enumerate() {
        let (code, site) = (format!("{DISTRICT}{number:06}"), village.site);
        writeln!(regions, "{code},village,{DISTRICT},روستای {number},Village {site},40,150,2026-03-21,true").unwrap();
        writeln!(sites, "{site},dehyari,{code},دهیاری {number},Dehyari {site},B").unwrap();
        for (name, network, role, access) in village.links {
            writeln!(links, "{site},{name},{network},{role},{access}").unwrap();
        }
    }
    std::fs::create_dir_all(folder).unwrap();
    for (name, text) in [("regions.csv", regions), ("sites.csv", sites), ("links.csv", links)] {
        std::fs::write(folder.join(name), change(name, text)).unwrap();
    }
}
