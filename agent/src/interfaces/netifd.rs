//! What OpenWrt's netifd knows of the logical interfaces of `/etc/config/network`: which device carries each, and its resolvers.
//!
//! `ubus call network.interface dump` is asked when an interface or an address has changed, and now and then while a device
//! is missing: netifd tells of a bearer a moment after the kernel does.

use std::cell::RefCell;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Interface;

/// netifd answers in milliseconds; `ubus` itself gives up after this many seconds.
const ANSWER_WITHIN_S: &str = "1";

/// Least time between two questions about the same interfaces.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Who asks starts a program and reads its answer.
const STACK_BYTES: usize = 64 * 1024;

/// One logical interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logical {
    /// Its name.
    pub name: String,
    /// The device that carries its packets; `None` while it is down.
    pub l3_device: Option<String>,
    /// The resolvers its peer or the administrator named.
    pub resolvers: Vec<IpAddr>,
}

/// The last question and its answer. The first one is waited for; a later one is answered aside, because netifd may be as busy as the
/// router, and until then the answer before it stands.
struct Asked {
    at: Instant,
    /// The interfaces as they were.
    list: Rc<[Interface]>,
    said: Rc<[Logical]>,
    coming: Option<JoinHandle<Vec<Logical>>>,
}

impl Asked {
    fn first(list: &Rc<[Interface]>, ask: fn() -> Vec<Logical>) -> Asked {
        Asked { at: Instant::now(), list: list.clone(), said: ask().into(), coming: None }
    }

    fn again(&mut self, list: &Rc<[Interface]>, of_no_use: bool, ask: fn() -> Vec<Logical>) {
        if let Some(asking) = self.coming.take_if(|asking| asking.is_finished()) {
            self.said = asking.join().unwrap_or_default().into();
        }
        let is_old = !Rc::ptr_eq(&self.list, list) || of_no_use && self.at.elapsed() >= ASK_AGAIN;
        if is_old && self.coming.is_none() {
            // Where the system grants no thread, the answer before it stands until the next time.
            self.coming = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(ask).ok();
            (self.at, self.list) = (Instant::now(), list.clone());
        }
    }
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
        match asked {
            Some(asked) => asked.again(list, again, ask),
            None => *asked = Some(Asked::first(list, ask)),
        }
        asked.as_ref().map_or_else(|| Rc::from([]), |a| a.said.clone())
    })
}

fn ask() -> Vec<Logical> {
    let mut command = Command::new("ubus");
    command.args(["-t", ANSWER_WITHIN_S, "call", "network.interface", "dump"]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null()).stderr(Stdio::null());
    command.output().map_or_else(|_| Vec::new(), |output| read(&output.stdout))
}

/// Reads the answer; one that cannot be read knows nothing.
fn read(answer: &[u8]) -> Vec<Logical> {
    let dump = serde_json::from_slice::<Value>(answer).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let logical = |said: Value| {
        let resolvers = list(&said["dns-server"]).iter().filter_map(|address| address.as_str()?.parse().ok()).collect();
        Some(Logical { name: text(&said["interface"])?, l3_device: text(&said["l3_device"]), resolvers })
    };
    list(&dump["interface"]).into_iter().filter_map(logical).collect()
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

    fn slow() -> Vec<Logical> {
        std::thread::sleep(Duration::from_millis(300));
        read(DUMP.as_bytes())
    }

    /// netifd on a busy router answers after a second: a connect that was measured meanwhile took as long.
    #[test]
    fn nobody_waits_for_an_answer_but_the_first() {
        let list: Rc<[Interface]> = Rc::from([]);
        let mut asked = Asked::first(&list, Vec::new);
        let news: Rc<[Interface]> = Rc::from([]);
        let began = Instant::now();
        asked.again(&news, false, slow);
        assert!(began.elapsed() < Duration::from_millis(200) && asked.said.is_empty());
        while asked.said.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
            asked.again(&news, false, Vec::new);
        }
        assert_eq!(asked.said.len(), 3);
        asked.again(&news, false, || panic!("nothing changed since"));
        assert!(asked.coming.is_none());
    }
}
