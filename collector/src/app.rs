//! The collector's story, told once, from the last reader back to the first writer.
//!
//! ```text
//!  agents --TLS--> ingest --> log --> advance(engine) --> snapshot --> pages, API, /metrics
//!                     ^        |             |
//!                 identity     +--> sinks    +--> events --> history, incidents, notify
//! ```
//! What reads starts before what it reads from writes, so that nothing is missed; on SIGTERM or SIGINT the same list is
//! read backwards: agents are no longer heard, what was heard is stored and applied, then the pages go.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use axum::Extension;
use axum::extract::Request;
use hyper_util::service::TowerToHyperService;
use rusta_wire::UnixMs;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::advance::{self, Advance};
use crate::api;
use crate::clock;
use crate::config::{Config, TlsFiles};
use crate::files;
use crate::follow::Follower;
use crate::history;
use crate::identity::Identity;
use crate::ingest::{self, Admission, Ingest};
use crate::inventory::Published;
use crate::journal::Journal;
use crate::log::{self, Keeping, Log};
use crate::notify;
use crate::people::Directories;
use crate::port::{self, Limits, Port, StrangerLimits};
use crate::process::{self, StopSignals};
use crate::report;
use crate::shell;
use crate::sink;
use crate::store::{Store, audit};
use crate::telemetry::Telemetry;
use crate::web::door::{Came, Door, Met};
use crate::web::{self, WebState};

/// How long open requests get when the collector stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Connections of people and machines at once.
const VISITORS: usize = 4_096;

/// Those of them that have asked nothing yet: half, so that silence alone never takes the whole port.
const SILENT_VISITORS: usize = VISITORS / 2;

/// Connections of one address to the people's port. An office behind one address opens six a browser.
const VISITORS_OF_AN_ADDRESS: usize = 256;

/// How long a visitor may take to shake hands, to ask, and to send the head of a request.
const VISITOR_PATIENCE: Duration = Duration::from_secs(20);

/// Agents' connections between accept and the end of their handshake. Each is there for one or two round trips.
const HALF_OPEN_AGENTS: usize = 4_096;

/// How long an agent's connection may be quiet: the longest reporting interval in use is an hour.
const AGENT_IDLE: Duration = Duration::from_secs(2 * 3_600);

/// How long a visitor's connection may be quiet.
const VISITOR_IDLE: Duration = Duration::from_secs(120);

/// Connections to the agents' port without a certificate: devices that enrol, which takes a second, and those who never will.
const STRANGERS: StrangerLimits = StrangerLimits { connections: 1_024, of_an_address: 128, lifetime: Duration::from_secs(30) };

/// What a stage last did must be this young to be the present: each does something every second.
const PRESENT: Duration = Duration::from_secs(60);

/// Runs the collector until it is told to stop.
///
/// # Errors
/// What keeps it from starting: a port in use, a data directory that cannot be written, a file that is damaged. A stage that
/// died while it ran.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut told_to_stop = StopSignals::listen()?;
    process::raise_descriptor_limit();
    // The HTTP client takes the process' provider; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = Store::open(&config.data_dir)?;
    files::close_to_others(&config.data_dir)
        .with_context(|| format!("{} cannot be closed to other users of this machine", config.data_dir.display()))?;
    audit::started(&store, env!("CARGO_PKG_VERSION"), &format!("{config:#?}"), clock::now())?;
    let telemetry = Telemetry::default();
    let registry = Published::load(store.clone())?;
    let inventory = registry.follow();
    let identity = Identity::open(&config.data_dir, store.clone(), config.agents.certificate_validity, clock::now())?;
    let log = Log::open(Keeping {
        dir: log::dir_in(&config.data_dir),
        retention_days: config.log.retention_days,
        group_commit: config.log.group_commit,
    })?;
    telemetry.add_check("log", {
        let log = log.clone();
        move || log.trouble().map(|reason| reason.to_string())
    });
    telemetry.add_check("state", {
        let store = store.clone();
        move || store.trouble().map(|reason| reason.to_string())
    });

    // What stands between: the engine.
    let advance = Advance::open(
        advance::Parts { log: log.clone(), store: store.clone(), inventories: inventory.clone(), thresholds: config.thresholds.clone() },
        clock::now(),
    )?;
    let (stop_advance, advance_stop) = watch::channel(false);
    let snapshots = advance.snapshots();
    let advance = advance.run(advance_stop);
    let (stop_history, history_stop) = watch::channel(false);
    let history = history::Builder::new(history::Parts {
        log: log.clone(),
        store: store.clone(),
        inventories: inventory.clone(),
        thresholds: config.thresholds.clone(),
        retention_days: config.log.retention_days,
    })
    .run(history_stop);
    let (stop_reports, reports_stop) = watch::channel(false);
    let reports = report::Publisher::new(store.clone(), inventory.clone()).run(reports_stop);

    // Copies: time-series databases.
    let (stop_sinks, sinks_stop) = watch::channel(false);
    let parts = sink::Parts { config: &config, log: &log, store: &store, snapshots: snapshots.clone(), telemetry: &telemetry };
    let sinks = sink::start(&parts, &sinks_stop)?;

    // Who is called, when nobody looks.
    let (stop_notify, notify_stop) = watch::channel(false);
    let journal = Journal::new(store.clone());
    let notifier = notify::start(&config, &store, journal.clone(), &registry.at(clock::now()), snapshots.clone(), notify_stop)?;
    telemetry.add_check("engine", {
        let snapshots = snapshots.clone();
        move || out_of_time(snapshots.borrow().at, clock::now())
    });
    telemetry.add_check("notifier", {
        let looked_at = notifier.looked_at;
        move || out_of_time(UnixMs(looked_at.load(Ordering::Relaxed)), clock::now())
    });

    // The last readers: people and machines.
    let (stop_people, people_stop) = watch::channel(false);
    let people = people_port(&config, &telemetry).await?;
    let people_at = people.listener.local_addr()?;
    let directories = Directories::new(&config.sign_in).map_err(anyhow::Error::msg).context("sign_in")?;
    let pages = WebState::new(snapshots, store.clone())
        .with_directories(directories)
        .with_log(log.clone())
        .with_rules(notifier.rules)
        .with_duty(notifier.people)
        .with_journal(journal)
        .with_registry(registry.clone())
        .with_agents(identity.registry().clone())
        .with_anonymous_viewer(config.http.anonymous_viewer)
        .with_public_status(config.http.public_status)
        .with_borders(config.http.map.as_deref().map(web::geo::read).transpose().map_err(anyhow::Error::msg)?.unwrap_or_default())
        .with_secure_cookies(config.http.tls.is_some())
        .with_thresholds(config.thresholds.clone())
        .with_drop_limit(config.drop_limit)
        .with_second_factor_for(&config.http.second_factor.iter().filter_map(|role| role.parse().ok()).collect::<Vec<_>>());
    telemetry.register(|registry| pages.people.register(registry));
    let router = web::router(pages, api::routes(&telemetry)).merge(telemetry.router());
    let socket = shell::listen(&config.data_dir).with_context(|| format!("no socket can be made in {}", config.data_dir.display()))?;
    let shell = tokio::spawn(shell::serve(socket, router.clone().layer(Extension(Came::Shell)), people_stop.clone()));
    let router = Door::new(&config.http)?.before(router);
    let people = tokio::spawn(people.serve(people_stop, move |peer| {
        // Built once: a connection holds a handle on the router and where it came from, nothing more.
        let met = Met { peer: peer.address, local: peer.local };
        TowerToHyperService::new(router.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(met);
            request
        }))
    }));

    // The first writers: agents.
    let (stop_agents, agents_stop) = watch::channel(false);
    let server_config = ingest::server_config(&identity.authority(), &config.agents.names, clock::now())?;
    let (server_configs, server_config) = watch::channel(server_config);
    let agents = agents_port(&config, &telemetry, server_config).await?;
    let agents_at = agents.listener.local_addr()?;
    let (counters, hits) = (ingest::Counters::default(), ingest::Hits::default());
    telemetry.register(|registry| {
        counters.register(registry);
        hits.register(registry);
    });
    let keeping_hits = tokio::spawn(hits.clone().keep_always(store.clone()));
    let ingest = Ingest::new(ingest::Parts {
        log: log.clone(),
        state: store.clone(),
        identity: identity.clone(),
        assignments: Arc::new(ingest::InventoryAssignments::new(inventory.clone())),
        admission: Admission::new(config.agents.backlog_bytes_per_minute),
        counters,
        patience: config.agents.patience,
        hits: hits.clone(),
    });
    let agents = tokio::spawn(agents.serve(agents_stop, move |peer| ingest.session(peer)));
    let state = store.clone();
    let follower = tokio::spawn(Follower { store, identity, config: config.clone(), registry, server_configs }.run());
    tracing::info!(agents = %agents_at, people = %people_at, data = %config.data_dir.display(), "serving");

    // In the order in which they stop: agents are no longer heard, what was heard is applied, then the pages go.
    let mut stages = vec![
        Stage { name: "follower", stop: None, running: follower },
        Stage { name: "agents' port", stop: Some(stop_agents), running: agents },
        Stage { name: "quota counters", stop: None, running: keeping_hits },
        Stage { name: "engine", stop: Some(stop_advance), running: advance },
        Stage { name: "history", stop: Some(stop_history), running: history },
        Stage { name: "reports", stop: Some(stop_reports), running: reports },
    ];
    stages.extend(sinks.into_iter().map(|running| Stage { name: "sink", stop: Some(stop_sinks.clone()), running }));
    stages.push(Stage { name: "notifier", stop: Some(stop_notify), running: notifier.notifying });
    stages.push(Stage { name: "people's port", stop: Some(stop_people.clone()), running: people });
    stages.push(Stage { name: "shell", stop: Some(stop_people), running: shell });
    let died = tokio::select! {
        () = told_to_stop.recv() => None,
        name = first_death(&mut stages) => Some(name),
    };
    tracing::info!("draining");
    for stage in stages {
        stage.drain().await;
    }
    if let Err(error) = hits.keep(&state) {
        tracing::warn!(%error, "what agents had too much of since the last time is not kept");
    }
    audit::stopped(&state, clock::now())?;
    // The last handle on the log stores what is queued and folds the day into its file.
    tokio::task::spawn_blocking(move || drop(log)).await?;
    tracing::info!("stopped");
    // A collector without one of its stages would look well and be none: whoever supervises it starts it again.
    died.map_or(Ok(()), |name| Err(anyhow::anyhow!("the {name} ended unasked: the collector stops, so that it is started whole")))
}

/// A part of the collector that runs until it is told to stop.
struct Stage {
    name: &'static str,
    /// Tells it to stop; without one it is cut off.
    stop: Option<watch::Sender<bool>>,
    running: JoinHandle<()>,
}

impl Stage {
    async fn drain(self) {
        match self.stop {
            Some(stop) => drop(stop.send_replace(true)),
            None => self.running.abort(),
        }
        if !self.running.is_finished() && self.running.await.is_err_and(|error| error.is_panic()) {
            tracing::error!(stage = self.name, "panicked before it was drained");
        }
    }
}

/// Waits for the first stage that ends although nobody told it to.
async fn first_death(stages: &mut [Stage]) -> &'static str {
    poll_fn(|context| {
        let ended = stages.iter_mut().find_map(|stage| Pin::new(&mut stage.running).poll(context).is_ready().then_some(stage.name));
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Says how far a stage's time is from the clock's, if that is too far to call it the present.
fn out_of_time(stage: UnixMs, now: UnixMs) -> Option<String> {
    if now.since(stage) > PRESENT {
        Some(format!("{} s behind", now.since(stage).as_secs()))
    } else if stage.since(now) > PRESENT {
        Some(format!("{} s ahead: the clock was set back", stage.since(now).as_secs()))
    } else {
        None
    }
}

async fn people_port(config: &Config, telemetry: &Telemetry) -> anyhow::Result<Port> {
    let listen = config.http.listen;
    let counters = port::Counters::default();
    telemetry.register(|registry| counters.register("people", registry));
    Ok(Port {
        listener: TcpListener::bind(listen).await.with_context(|| format!("the port for people, {listen}, cannot be opened"))?,
        tls: config.http.tls.as_ref().map(people_tls).transpose()?,
        limits: Limits {
            connections: VISITORS,
            patience: VISITOR_PATIENCE,
            idle: VISITOR_IDLE,
            drain: DRAIN,
            half_open: SILENT_VISITORS,
            silence: Some(VISITOR_PATIENCE),
            of_an_address: Some(VISITORS_OF_AN_ADDRESS),
            strangers: None,
        },
        uncounted: config.http.trusted_proxies.clone(),
        dates: true,
        counters,
    })
}

fn people_tls(files: &TlsFiles) -> anyhow::Result<watch::Receiver<Arc<rustls::ServerConfig>>> {
    let config = port::tls_from_files(files).context("TLS of the port for people")?;
    Ok(watch::channel(config).1)
}

async fn agents_port(config: &Config, telemetry: &Telemetry, tls: watch::Receiver<Arc<rustls::ServerConfig>>) -> anyhow::Result<Port> {
    let listen = config.agents.listen;
    let counters = port::Counters::default();
    telemetry.register(|registry| counters.register("agents", registry));
    Ok(Port {
        listener: TcpListener::bind(listen).await.with_context(|| format!("the port for agents, {listen}, cannot be opened"))?,
        tls: Some(tls),
        limits: Limits {
            connections: config.agents.connections,
            patience: config.agents.patience,
            idle: AGENT_IDLE,
            drain: DRAIN,
            half_open: HALF_OPEN_AGENTS,
            silence: None,
            of_an_address: None,
            strangers: Some(STRANGERS),
        },
        uncounted: Vec::new(),
        dates: false,
        counters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stage_that_dies_is_noticed_and_the_others_stop_when_told() {
        let (stop, mut stopped) = watch::channel(false);
        let lives = tokio::spawn(async move { drop(stopped.wait_for(|stop| *stop).await) });
        let dies = tokio::spawn(async { assert_eq!(1, 2, "a stage that panics") });
        let mut stages = vec![Stage { name: "lives", stop: Some(stop), running: lives }, Stage { name: "dies", stop: None, running: dies }];
        assert_eq!(first_death(&mut stages).await, "dies");
        for stage in stages {
            stage.drain().await;
        }
    }

    #[test]
    fn a_stage_behind_or_ahead_of_the_clock_is_not_ready() {
        let now = UnixMs(1_763_700_000_000);
        assert_eq!(out_of_time(now - Duration::from_secs(59), now), None);
        assert_eq!(out_of_time(now - Duration::from_secs(90), now).unwrap(), "90 s behind");
        assert_eq!(out_of_time(now + Duration::from_secs(10_800), now).unwrap(), "10800 s ahead: the clock was set back");
    }
}
