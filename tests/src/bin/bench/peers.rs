//! The agent's job done by collectd, if that is installed: ten pings, four pages (it has no check that only connects), four
//! interfaces, sent over UDP that nobody acknowledges.

use std::net::UdpSocket;
use std::process::{Command, Stdio};

use rusta_tests::netns::Namespace;
use rusta_tests::programs::Running;
use tempfile::TempDir;

const COLLECTD: &str = "/usr/sbin/collectd";

fn configuration(folder: &TempDir) -> String {
    let folder = folder.path().display();
    let hosts: String = (10..20).map(|n| format!("  Host \"10.84.0.{n}\"\n")).collect();
    let page = |n| format!("  <Page \"page-{n}\">\n    URL \"http://10.84.0.1:800{}/\"\n    MeasureResponseTime true\n  </Page>\n", n % 2);
    let pages: String = (0..4).map(page).collect();
    let interfaces: String = ["lo", "gov0", "rep0", "spare0"].map(|name| format!("  Interface \"{name}\"\n")).concat();
    format!(
        "Interval 10\nBaseDir \"{folder}\"\nPIDFile \"{folder}/pid\"\nPluginDir \"/usr/lib/collectd\"\n\
         TypesDB \"/usr/share/collectd/types.db\"\nLoadPlugin ping\nLoadPlugin curl\nLoadPlugin interface\nLoadPlugin network\n\
         <Plugin ping>\n{hosts}  Interval 10.0\n  Timeout 3.0\n</Plugin>\n<Plugin curl>\n{pages}</Plugin>\n\
         <Plugin interface>\n{interfaces}</Plugin>\n<Plugin network>\n  Server \"10.84.1.1\" \"25826\"\n</Plugin>\n"
    )
}

/// Starts collectd in `village`, reporting to `core`. `None`: it is not installed, which is told on standard error.
pub fn start_collectd(core: &Namespace, village: &Namespace, folder: &TempDir) -> Option<Running> {
    if !Command::new(COLLECTD).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("left out: collectd is not installed");
        return None;
    }
    let server = core.enter(|| UdpSocket::bind("10.84.1.1:25826").unwrap());
    std::thread::spawn(move || while server.recv(&mut [0; 2048]).is_ok() {});
    let file = folder.path().join("collectd.conf");
    std::fs::write(&file, configuration(folder)).unwrap();
    let mut command = village.command(COLLECTD);
    command.arg("-f").arg("-C").arg(file);
    Some(Running::start("collectd", command, folder.path()))
}
