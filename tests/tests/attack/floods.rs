//! Too much of everything, from one identity and from strangers. What counts is what the others notice.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusta_tests::fleet::{Refused, village_table};
use rusta_wire::{Batch, BootId, Frame, FrameKind, MonoMs, Network, Outcome, Sample, Sequence, SeriesIndex};
use rustls::pki_types::pem::PemObject;

use crate::stand::{Stand, body, p99};

/// Reports of the others are acknowledged within this, 99 of 100 of them.
const NOTICED: Duration = Duration::from_secs(2);

fn attack(what: &str, mut next: impl FnMut(&Stand, &mut rusta_tests::fleet::VirtualAgent, u64) -> Vec<u8>, count: u64) {
    let stand = Stand::start();
    let (mut honest, mut stolen) = (stand.enroll("one"), stand.enroll("stolen"));
    stand.report(&mut honest, true);
    let base = stand.memory_from_now();
    let (mut taken, mut later, mut refused, mut bytes) = (0u64, 0u64, 0u64, 0usize);
    let mut took = Vec::new();
    for n in 0..count {
        let body = next(&stand, &mut stolen, n);
        bytes += body.len();
        match stand.post(&stolen, body) {
            Ok(()) => taken += 1,
            Err(Refused::Status(429, answer)) => {
                assert!(answer.retry_after_ms > 0 && !answer.reason.is_empty(), "an honest agent must know why and until when");
                later += 1;
            }
            Err(Refused::Status(..)) => refused += 1,
            Err(gone) => panic!("{what}: the collector is gone: {gone:?}"),
        }
        if n % (count / 50).max(1) == 0 {
            took.push(stand.report(&mut honest, true));
        }
    }
    println!("{what}: {count} uploads of {bytes} bytes: {taken} taken, {later} told to come later, {refused} refused");
    assert!(later + refused > 0, "{what}: no limit bit");
    let slow = p99(took);
    assert!(slow < NOTICED, "{what}: a report of another agent waited {slow:?}");
    stand.until_state("one", "up", || {
        stand.report(&mut honest, true);
    });
    stand.assert_memory(base);
    assert!(stand.metric("rusta_agent_limited") > 0 || refused > 0, "{what}: nobody can see who it was");
}

#[test]
fn sixty_thousand_boots_of_one_router_delay_nobody() {
    let table = village_table("gov0", Network::Gov);
    let next = |stand: &Stand, stolen: &mut rusta_tests::fleet::VirtualAgent, n: u64| {
        let now = stand.now();
        let boot = |k: u64| {
            let mut batch = stolen.batch(MonoMs(0), MonoMs(1_000), now, Vec::new());
            (batch.id.boot, batch.id.sequence) = (BootId(1_000_000 + n * 1_000 + k), Sequence(0));
            batch
        };
        let batches: Vec<Batch> = (0..1_000).map(boot).collect();
        body(&table, &batches)
    };
    attack("boots, a thousand an upload", next, 60);
    let table = village_table("gov0", Network::Gov);
    let next = |stand: &Stand, stolen: &mut rusta_tests::fleet::VirtualAgent, n: u64| {
        let mut batch = stolen.batch(MonoMs(0), MonoMs(1_000), stand.now(), Vec::new());
        (batch.id.boot, batch.id.sequence) = (BootId(2_000_000 + n), Sequence(0));
        body(&table, &[batch])
    };
    attack("boots, one an upload", next, 600);
}

#[test]
fn nine_hundred_tables_of_one_router_cost_no_memory_and_few_series() {
    let next = |_: &Stand, _: &mut rusta_tests::fleet::VirtualAgent, n: u64| {
        let mut table = village_table("gov0", Network::Gov);
        let series = table.series[0].clone();
        table.series = (0..if n.is_multiple_of(2) { 400 } else { 60 })
            .map(|k| {
                let mut one = series.clone();
                one.target = format!("{n}-{k}-{}", "x".repeat(90));
                one
            })
            .collect();
        let mut out = Vec::new();
        Frame::new(FrameKind::Table, table.encode()).unwrap().write(&mut out);
        out
    };
    attack("tables", next, 900);
}

#[test]
fn sequences_with_a_hole_after_each_and_batches_that_unfold_cost_no_memory() {
    let table = village_table("gov0", Network::Gov);
    let next = |stand: &Stand, stolen: &mut rusta_tests::fleet::VirtualAgent, n: u64| {
        let now = stand.now();
        let with_hole = |k: u64| {
            let mut batch = stolen.batch(MonoMs(0), MonoMs(1_000), now, Vec::new());
            batch.id.sequence = Sequence((n * 1_000 + k) * 2);
            batch
        };
        let batches: Vec<Batch> = (0..1_000).map(with_hole).collect();
        body(&table, &batches)
    };
    attack("holes", next, 12);
    // Every second value is the same as the one before: a thousand samples take a few bytes on the way.
    let table = village_table("gov0", Network::Gov);
    let next = |stand: &Stand, stolen: &mut rusta_tests::fleet::VirtualAgent, n: u64| {
        let sample = |k: u64| Sample {
            series: SeriesIndex(0),
            at: MonoMs(k / 20 * 100),
            outcome: Outcome::Ok,
            values: vec![Some(5), Some(5), Some(40_000), Some(40_000), Some(40_000), Some(40_000)],
        };
        let mut out = Vec::new();
        Frame::new(FrameKind::Table, table.encode()).unwrap().write(&mut out);
        for k in 0..40 {
            let mut batch = stolen.batch(MonoMs(0), MonoMs(60_000), stand.now(), (0..10_000).map(sample).collect());
            batch.id.sequence = Sequence(1_000_000 + n * 1_000 + k);
            Frame::new(FrameKind::Batch, batch.encode_dense(&table).unwrap()).unwrap().write(&mut out);
        }
        out
    };
    attack("unfolding", next, 6);
}

/// Connections that shake no hand, beside strangers that say nothing after it.
#[test]
fn silent_connections_keep_no_report_waiting() {
    let stand = Stand::start();
    let mut honest = stand.enroll("one");
    let crowd: Arc<Vec<TcpStream>> = Arc::new((0..1_000).filter_map(|_| TcpStream::connect(stand.agents).ok()).collect());
    for mut stream in crowd.iter() {
        let _ = stream.write_all(&[0x16, 0x03]);
    }
    let started = Instant::now();
    let took: Vec<Duration> = (0..50).map(|_| stand.report(&mut honest, true)).collect();
    println!("{} silent connections; 50 reports in {:?}", crowd.len(), started.elapsed());
    assert!(p99(took) < NOTICED);
}

/// Strangers, each of whom says that an enrolment follows and sends a part of it.
const STRANGERS: usize = 2_400;

/// Threads that open their connections.
const OPENING: usize = 8;

/// Connects from an address of its own block, shakes hands without a certificate, and announces more than it sends.
fn announce(stand: &Stand, tls: &Arc<rustls::ClientConfig>, from: std::net::Ipv4Addr) -> std::io::Result<TcpStream> {
    let stream = stand.runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        tokio::time::timeout(Duration::from_secs(20), socket.connect(stand.agents)).await.map_err(std::io::Error::other)??.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let name = rustls::pki_types::ServerName::from(stand.agents.ip());
    let connection = rustls::ClientConnection::new(tls.clone(), name).map_err(std::io::Error::other)?;
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let head =
        format!("POST /v1/enroll HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n", stand.agents);
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"{\"token\": \"")?;
    stream.flush()?;
    Ok(stream.sock)
}

/// Tells whether the other side has not closed a connection.
fn is_held(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut some = [0; 4_096];
    loop {
        match std::io::Read::read(&mut &*stream, &mut some) {
            Ok(0) => return false,
            // Session tickets of the handshake.
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// 2,400 of them held all connections there were, and a report waited 37.8 s.
#[test]
fn strangers_who_never_send_what_they_announce_keep_no_report_waiting() {
    let stand = Stand::start();
    let mut honest = stand.enroll("one");
    stand.report(&mut honest, true);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(stand.ca().as_bytes()).unwrap()).unwrap();
    let tls = Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let base = stand.memory_from_now();
    let opening = std::sync::atomic::AtomicUsize::new(OPENING);
    let (crowd, mut took) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..OPENING)
            .map(|thread| {
                let (stand, tls, opening) = (&stand, &tls, &opening);
                scope.spawn(move || {
                    // A hundred from each address: what one address may have is no help here.
                    let from = |n: usize| std::net::Ipv4Addr::new(127, 0, 1, u8::try_from(2 + thread * 3 + n / 100).unwrap());
                    let held: Vec<TcpStream> = (0..STRANGERS / OPENING).filter_map(|n| announce(stand, tls, from(n)).ok()).collect();
                    opening.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                    held
                })
            })
            .collect();
        let mut took = Vec::new();
        while opening.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            took.push(stand.report(&mut honest, true));
        }
        (threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>(), took)
    });
    let meanwhile = took.len();
    let mut while_held = 0;
    while while_held < 100 && crowd.iter().any(is_held) {
        took.push(stand.report(&mut honest, true));
        while_held += 1;
    }
    let refused = stand.metric("rusta_connections_strangers_refused") + stand.metric("rusta_requests_refused_total");
    println!(
        "{STRANGERS} strangers, {} let in, {refused} refused; {meanwhile} reports while they came and {while_held} while they held, p99 {:?}",
        crowd.len(),
        p99(took)
    );
    assert!(meanwhile + while_held >= 100 && while_held > 0, "honest reports went on while strangers held");
    assert!(refused > STRANGERS as u64 / 2, "strangers have a pool of their own, which is small");
    stand.assert_memory_within(base, 192 * 1024);
}
