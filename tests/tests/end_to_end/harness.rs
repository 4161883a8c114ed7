//! The lab itself: that a cut line carries nothing, a lossy one half, and that nothing of it stays behind.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use rusta_tests::netns::{Lab, possible};
use rusta_tests::programs::{run, run_ok};

#[test]
fn a_lab_cuts_and_mends_a_line() {
    if !possible() {
        return;
    }
    let mut lab = Lab::new();
    let (core, village) = (lab.namespace("core"), lab.namespace("village"));
    lab.join((&core, "down0", "10.77.0.1/24"), (&village, "up0", "10.77.0.2/24"));
    let address: SocketAddr = "10.77.0.1:7000".parse().unwrap();
    let _listener = core.enter(|| TcpListener::bind(address).unwrap());
    let connects = || village.enter(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok());
    assert!(connects());
    village.down("up0");
    assert!(!connects());
    village.up("up0");
    assert!(connects());
}

#[test]
fn a_lossy_line_loses_about_half() {
    if !possible() {
        return;
    }
    let mut lab = Lab::new();
    let (core, village) = (lab.namespace("core"), lab.namespace("village"));
    lab.join((&core, "down0", "10.78.0.1/24"), (&village, "up0", "10.78.0.2/24"));
    let receiver = core.enter(|| UdpSocket::bind("10.78.0.1:7000").unwrap());
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let sender = village.enter(|| UdpSocket::bind("10.78.0.2:0").unwrap());
    let arrives_of_200 = || {
        for _ in 0..200 {
            sender.send_to(b"x", "10.78.0.1:7000").unwrap();
        }
        std::iter::from_fn(|| receiver.recv(&mut [0; 8]).ok()).count()
    };
    core.lose_half("down0");
    let lossy = arrives_of_200();
    core.lose_nothing("down0");
    assert_eq!(arrives_of_200(), 200);
    // Six standard deviations of a fair coin on either side.
    assert!((55..=145).contains(&lossy), "{lossy} of 200 arrived");
}

#[test]
fn a_lab_leaves_nothing_behind_even_after_a_panic() {
    if !possible() {
        return;
    }
    let mut lab = Lab::new();
    let namespace = lab.namespace("doomed");
    let name = run_ok(namespace.command("ip").args(["netns", "identify"])).trim().to_string();
    let listed = || run(Command::new("ip").args(["netns", "list"])).stdout.contains(&name);
    assert!(!name.is_empty() && listed());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _lab = lab;
        panic!("on purpose");
    }));
    assert!(panicked.is_err() && !listed());
}
