//! Which SIM is in a modem. Cards are told apart by a keyed hash of their ICCID (ITU-T E.118), and a link may be bound to a card,
//! or to the APN it is used with, wherever it is plugged in.
//!
//! Invariant: the plain number is in no log, no message and no file that the agent writes. What leaves the router is 24 bits of
//! HMAC-SHA-256 under a key of this router: ten thousand million possible numbers have the same 24 bits six hundred times over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ring::hmac;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::crypto::random_u64;
use crate::flash::Flash;

/// The number of a card. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Iccid(String);

impl FromStr for Iccid {
    type Err = &'static str;

    /// Reads 18 to 20 digits that begin with 89, the telecommunications industry; modems may fill up with an F.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim().trim_matches('"').trim_end_matches(['F', 'f']);
        let holds = (18..=20).contains(&digits.len()) && digits.starts_with("89") && digits.bytes().all(|b| b.is_ascii_digit());
        if holds { Ok(Iccid(digits.to_owned())) } else { Err("an ICCID has 18 to 20 digits and begins with 89") }
    }
}

impl fmt::Debug for Iccid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iccid")
    }
}

/// A reader's own words about a wrong type would show the number.
impl<'de> Deserialize<'de> for Iccid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Iccid;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an ICCID in quotes")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Iccid, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Iccid, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_u128<E: Error>(self, number: u128) -> Result<Iccid, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Iccid, E> {
                Err(E::custom("an ICCID stands in quotes"))
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

/// A card, as this router tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card(pub u32);

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06x}", self.0)
    }
}

/// What a modem was last found to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its card.
    pub card: Option<Card>,
    /// The access point name its bearer uses.
    pub apn: Option<String>,
    /// Its network interfaces by the kernel's names, where its reader tells them.
    pub interfaces: Vec<String>,
    /// Where it is below `/sys/devices`, if its control device tells.
    pub place: Option<String>,
}

type Key = [u8; 16];

// Of one thread, as the list of interfaces is.
thread_local! {
    static KEY: Cell<Option<Key>> = const { Cell::new(None) };
    static FOUND: RefCell<BTreeMap<String, Found>> = const { RefCell::new(BTreeMap::new()) };
}

/// Takes up this router's key from `dir`, or makes one there.
pub fn open(dir: &Path, flash: &Flash) {
    let file = dir.join("sim.key");
    let kept = std::fs::read(&file).ok().and_then(|bytes| Key::try_from(bytes).ok());
    KEY.set(Some(kept.unwrap_or_else(|| {
        let key = new_key();
        flash.replace(file, key.to_vec(), 0o600);
        key
    })));
}

fn new_key() -> Key {
    let mut key = Key::default();
    key.chunks_exact_mut(8).for_each(|half| half.copy_from_slice(&random_u64().to_le_bytes()));
    key
}

/// Names a card by its number.
pub fn card_of(iccid: &Iccid) -> Card {
    let key = KEY.get().unwrap_or_else(|| {
        let key = new_key();
        KEY.set(Some(key));
        key
    });
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), iccid.0.as_bytes());
    // Nothing counts as no card.
    Card(tag.as_ref().iter().take(3).fold(0, |card, byte| card << 8 | u32::from(*byte)).max(1))
}

/// Notes what a modem holds; `device` names it.
pub fn found(device: &str, found: Found) {
    FOUND.with_borrow_mut(|all| all.insert(device.to_owned(), found));
}

/// Returns the modem that holds what is wanted; `None`: none does, or none was read yet.
pub fn modem_with(wanted: impl Fn(&Found) -> bool) -> Option<Found> {
    FOUND.with_borrow(|all| all.values().find(|found| wanted(found)).cloned())
}

/// Finds the device that a control port such as `/dev/cdc-wdm0` or `/dev/ttyUSB2` belongs to, below `/sys/devices`.
pub fn place_of(device: &str) -> Option<String> {
    place_in(Path::new("/sys/class"), device).map(|place| place.to_string_lossy().into_owned())
}

fn place_in(classes: &Path, device: &str) -> Option<PathBuf> {
    let name = device.strip_prefix("/dev/")?;
    let port =
        ["usbmisc", "tty", "wwan"].iter().find_map(|class| std::fs::canonicalize(classes.join(class).join(name).join("device")).ok())?;
    // A port is a part of a USB or PCI device, which says who made it.
    let is_device = |place: &&Path| ["idVendor", "vendor"].iter().any(|file| place.join(file).exists());
    port.ancestors().find(is_device).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iccid(text: &str) -> Iccid {
        text.parse().unwrap()
    }

    #[test]
    fn a_card_is_the_same_however_it_is_told_and_the_number_shows_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), &Flash::at_once());
        let card = card_of(&iccid("89981234567890123456"));
        assert_eq!(card, card_of(&iccid("\"89981234567890123456\"")));
        assert_ne!(card, card_of(&iccid("8998123456789012345F")));
        KEY.set(None);
        open(dir.path(), &Flash::at_once());
        assert_eq!(card, card_of(&iccid(" 89981234567890123456\r")), "a restart knows it");
        open(tempfile::tempdir().unwrap().path(), &Flash::at_once());
        assert_ne!(card, card_of(&iccid("89981234567890123456")), "another router calls it otherwise");
        assert!(!format!("{:?} {card:?}", iccid("89981234567890123456")).contains("123456"));
        for wrong in ["", "OK", "12345678901234567890", "8998123456789012", "899812345678901234567", "89981234567890123x45"] {
            assert!(wrong.parse::<Iccid>().is_err(), "{wrong}");
        }
        for text in ["'89981234567890123456'", "89981234567890123456", "8998123456789012345"] {
            assert!(serde_yaml::from_str::<Iccid>(text).is_ok(), "{text}");
        }
        let fault = serde_yaml::from_str::<Iccid>("[8998123456789012345]").unwrap_err().to_string();
        assert!(!fault.contains("89981"), "{fault}");
    }

    /// A Quectel EC25 on USB: ports and interface are parts of one device.
    #[test]
    fn a_port_tells_where_its_modem_is() {
        let root = tempfile::tempdir().unwrap();
        let (devices, classes) = (root.path().join("devices"), root.path().join("class"));
        let modem = devices.join("usb1/1-1");
        std::fs::create_dir_all(modem.join("1-1:1.2/ttyUSB2")).unwrap();
        std::fs::create_dir_all(modem.join("1-1:1.4")).unwrap();
        std::fs::write(modem.join("idVendor"), "2c7c").unwrap();
        for (class, name, place) in [("tty", "ttyUSB2", "1-1:1.2/ttyUSB2"), ("usbmisc", "cdc-wdm0", "1-1:1.4")] {
            std::fs::create_dir_all(classes.join(class).join(name)).unwrap();
            std::os::unix::fs::symlink(modem.join(place), classes.join(class).join(name).join("device")).unwrap();
        }
        let modem = std::fs::canonicalize(modem).unwrap();
        assert_eq!(place_in(&classes, "/dev/ttyUSB2"), Some(modem.clone()));
        assert_eq!(place_in(&classes, "/dev/cdc-wdm0"), Some(modem));
        assert_eq!((place_in(&classes, "/dev/pts/4"), place_in(&classes, "any")), (None, None));
    }
}
