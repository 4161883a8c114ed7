//! Villages whose agents are virtual: each reports twice a second to a real collector, through its restarts, that its
//! link answers or does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusta_tests::fleet::{VirtualAgent, round, village_table};
use rusta_tests::programs::{Running, free_port, run_ok};
use rusta_tests::stage::{QUICK_THRESHOLDS, Stage, Village};
use rusta_wire::{BootId, MonoMs, Network};

/// A collector with an on-call file, and a fleet that reports to it. All but the villages under test answer, so that no
/// common cause is suspected.
pub struct Villages {
    pub stage: Stage,
    pub collector: Running,
    pub http: SocketAddr,
    answers: Vec<Arc<AtomicBool>>,
    _runtime: tokio::runtime::Runtime,
}

/// So many that one of them is less than the 5 % that page.
const VILLAGES: usize = 24;

impl Villages {
    pub fn start(oncall: &str) -> Villages {
        let stage = Stage::new(rusta_tests::programs!());
        let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let oncall = stage.write("oncall.yaml", oncall);
        let more = format!("thresholds: {QUICK_THRESHOLDS}\nalerts: {{ oncall: {} }}", oncall.display());
        stage.configure_collector(port, &["127.0.0.1"], http, &more);
        let sites: Vec<&'static str> = (0..VILLAGES).map(|n| &*format!("site-{n}").leak()).collect();
        stage.import(&sites.iter().map(|site| Village { site, links: &[("gov0", "gov", "primary", "fibre")] }).collect::<Vec<_>>());
        let collector = stage.serve(None, http);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (url, ca) = (format!("https://{port}"), std::fs::read_to_string(stage.ca()).unwrap());
        let answers = sites.iter().zip(1..).map(|(site, boot)| {
            let token = run_ok(stage.collector().args(["agents", "token", "--bare", "--site", site]));
            let enrolment = VirtualAgent::enroll(&url, token.trim(), &ca, village_table("gov0", Network::Gov), BootId(boot));
            let agent = runtime.block_on(enrolment).unwrap();
            let answers = Arc::new(AtomicBool::new(true));
            runtime.spawn(report(agent, answers.clone()));
            answers
        });
        Villages { answers: answers.collect(), stage, collector, http, _runtime: runtime }
    }

    /// Cuts or mends the link of one village.
    pub fn set(&self, village: usize, answers: bool) {
        self.answers[village].store(answers, Ordering::Relaxed);
    }

    /// Ends the collector as a power cut would and starts it again.
    pub fn restart_collector(&mut self) {
        self.collector.kill();
        self.collector = self.stage.serve(None, self.http);
    }
}

async fn report(mut agent: VirtualAgent, answers: Arc<AtomicBool>) {
    let started = Instant::now();
    let uptime = || MonoMs(60_000 + u64::try_from(started.elapsed().as_millis()).unwrap());
    let mut from = uptime();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let until = uptime();
        let samples = round(from, answers.load(Ordering::Relaxed)).to_vec();
        let batch = agent.batch(from, until, rusta_collector::clock::now(), samples);
        from = until;
        while agent.send(std::slice::from_ref(&batch)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
