//! Crowds at the people's port that say nothing, or next to nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rusta_tests::http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::stand::Stand;

/// What an idle visitor may cost.
const IDLE_KIB: u64 = 40;

async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(to).await
}

/// Connections from eight addresses of this machine, within what one address may hold.
fn crowd(stand: &Stand, size: usize) -> Vec<TcpStream> {
    let from = |n: usize| Ipv4Addr::new(127, 0, 7, 1 + (n % 8) as u8);
    let visitors = stand.runtime.block_on(async {
        let mut visitors = Vec::new();
        for n in 0..size {
            visitors.push(connect(from(n), stand.http).await.unwrap());
        }
        visitors
    });
    std::thread::sleep(Duration::from_millis(500));
    visitors
}

/// A silent connection cost 984 KiB: the router was built for each.
#[test]
fn an_idle_visitor_costs_little() {
    rusta_collector::process::raise_descriptor_limit();
    let stand = Stand::start();
    // What the allocator and the threads take once is no visitor's.
    drop(crowd(&stand, 256));
    std::thread::sleep(Duration::from_secs(1));
    let before = stand.memory_from_now();
    let silent = crowd(&stand, 1_024);
    let with_silent = stand.memory_from_now();
    drop(silent);
    std::thread::sleep(Duration::from_secs(1));
    let between = stand.memory_from_now();
    let mut asked = crowd(&stand, 1_024);
    stand.runtime.block_on(async {
        for visitor in &mut asked {
            visitor.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", stand.http).as_bytes()).await.unwrap();
            let mut answer = [0; 64];
            assert!(visitor.read(&mut answer).await.unwrap() > 0);
        }
    });
    let with_asked = stand.memory_from_now();
    let each = |from: u64, to: u64| to.saturating_sub(from) / 1_024;
    let (silent, asked) = (each(before, with_silent), each(between, with_asked));
    println!("1,024 silent visitors: {silent} KiB each; 1,024 that asked once: {asked} KiB each");
    assert!(silent <= IDLE_KIB && asked <= IDLE_KIB, "{before} {with_silent} {between} {with_asked}");
}

/// 4,096 silent connections from one address shut everybody out.
#[test]
fn a_crowd_of_one_address_shuts_nobody_else_out() {
    rusta_collector::process::raise_descriptor_limit();
    let stand = Stand::start();
    let crowd: Vec<TcpStream> = stand.runtime.block_on(async {
        let mut crowd = Vec::new();
        for _ in 0..4_096 {
            crowd.extend(connect(Ipv4Addr::new(127, 0, 7, 9), stand.http).await.ok());
        }
        crowd
    });
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(http::get(stand.http, "/healthz").unwrap().status, 200);
    }
    println!("{} silent connections of one address; 20 answers in {:?}", crowd.len(), started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(stand.metric("rusta_connections_crowded_total{port=\"people\"}") > 3_000);
}

/// Neither a head nor a body may be dripped, and silence ends.
#[test]
fn nobody_is_waited_for_without_end() {
    let stand = Stand::start();
    let drip = |head: &'static str| {
        let started = Instant::now();
        let ended = stand.runtime.block_on(async {
            let mut stream = connect(Ipv4Addr::new(127, 0, 7, 10), stand.http).await.unwrap();
            if stream.write_all(head.as_bytes()).await.is_err() {
                return true;
            }
            let mut answer = [0; 1_024];
            while started.elapsed() < Duration::from_secs(90) {
                if !head.is_empty() && stream.write_all(b"a").await.is_err() {
                    return true;
                }
                let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut answer)).await;
                if matches!(read, Ok(Ok(0) | Err(_))) {
                    return true;
                }
            }
            false
        });
        assert!(ended, "{head:?} was waited for longer than {:?}", started.elapsed());
        println!("{head:?} ended after {:?}", started.elapsed());
    };
    drip("");
    drip("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    drip("POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n");
}
