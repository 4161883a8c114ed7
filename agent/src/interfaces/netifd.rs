//! What OpenWrt's netifd knows of the logical interfaces of `/etc/config/network`: which device carries each, and its resolvers.
//!
//! `ubus call network.interface dump` is asked when an interface or an address has changed, and now and then while a device
//! is missing: netifd tells of a bearer a moment after the kernel does.

use std::cell::RefCell;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Interface;

/// netifd answers in milliseconds; `ubus` itself gives up after this many seconds.
const ANSWER_WITHIN_S: &str = "1";

/// Least time between two questions about the same interfaces.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// One logical interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Logical {
    /// Its name.
    #[serde(rename = "interface")]
    pub name: String,
    /// The device that carries its packets; `None` while it is down.
    #[serde(default)]
    pub l3_device: Option<String>,
    /// The resolvers its peer or the administrator named.
    #[serde(default, rename = "dns-server")]
    pub resolvers: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Dump {
    interface: Vec<Logical>,
}

struct Asked {
    at: Instant,
    /// The interfaces as they were.
    list: Rc<[Interface]>,
    said: Rc<[Logical]>,
}

thread_local! {
    static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
}

/// Returns the device of a logical interface; `None` while it is down or netifd does not know it.
pub fn l3_device(name: &str, list: &Rc<[Interface]>) -> Option<String> {
    let find = |said: Rc<[Logical]>| said.iter().find(|l| l.name == name)?.l3_device.clone();
    let is_there = |device: &String| list.iter().any(|i| i.name == *device && !i.ips.is_empty());
    find(logical(list, false)).filter(is_there).or_else(|| find(logical(list, true)))
}

/// Lists the logical interfaces, as told since `list` came about; `again`: what was told was of no use.
pub fn logical(list: &Rc<[Interface]>, again: bool) -> Rc<[Logical]> {
    ASKED.with_borrow_mut(|asked| {
        let is_old = |a: &Asked| !Rc::ptr_eq(&a.list, list) || again && a.at.elapsed() >= ASK_AGAIN;
        if asked.as_ref().is_none_or(is_old) {
            *asked = Some(Asked { at: Instant::now(), list: list.clone(), said: ask() });
        }
        asked.as_ref().map_or_else(|| Rc::from([]), |a| a.said.clone())
    })
}

fn ask() -> Rc<[Logical]> {
    let mut command = Command::new("ubus");
    command.args(["-t", ANSWER_WITHIN_S, "call", "network.interface", "dump"]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null()).stderr(Stdio::null());
    command.output().map_or_else(|_| Rc::from([]), |output| read(&output.stdout))
}

/// Reads the answer; one that cannot be read knows nothing.
fn read(answer: &[u8]) -> Rc<[Logical]> {
    serde_json::from_slice::<Dump>(answer).map_or_else(|_| Rc::from([]), |dump| dump.interface.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenWrt 23.05 with a modem, shortened.
    const DUMP: &str = r#"{ "interface": [
        { "interface": "loopback", "up": true, "l3_device": "lo", "proto": "static", "dns-server": [], "dns-search": [] },
        { "interface": "wwan", "up": true, "pending": false, "l3_device": "wwan0", "proto": "qmi",
          "dns-server": ["10.74.210.210", "2001:db8::53"], "inactive": { "dns-server": [] }, "data": {} },
        { "interface": "wan6", "up": false, "pending": true, "proto": "dhcpv6", "data": {} } ] }"#;

    #[test]
    fn a_dump_tells_devices_and_resolvers() {
        let said = read(DUMP.as_bytes());
        assert_eq!(said.len(), 3);
        assert_eq!((said[1].name.as_str(), said[1].l3_device.as_deref()), ("wwan", Some("wwan0")));
        assert_eq!(said[1].resolvers, ["10.74.210.210", "2001:db8::53"].map(|a| a.parse::<IpAddr>().unwrap()));
        assert_eq!(said[2].l3_device, None);
        assert!(read(b"Command failed: Not found").is_empty());
    }
}
