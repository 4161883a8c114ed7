//! The collector's story, told once, from the last reader back to the first writer.
//!
//! ```text
//!  agents --TLS--> ingest --> log --> advance(engine) --> snapshot --> pages, API, /metrics
//!                     ^        |             |
//!                 identity     +--> sinks    +--> events --> history, incidents, notify
//! ```
//! What reads starts before what it reads from writes, so that nothing is missed; on SIGTERM or SIGINT the same list is
//! read backwards: agents are no longer heard, what was heard is stored and applied, then the pages go.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::ConnectInfo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::advance::{self, Advance};
use crate::api;
use crate::clock;
use crate::config::{Config, TlsFiles};
use crate::follow::Follower;
use crate::history;
use crate::identity::Identity;
use crate::ingest::{self, Admission, Ingest};
use crate::inventory::Versions;
use crate::log::{self, Keeping, Log};
use crate::notify;
use crate::port::{self, Limits, Port, StrangerLimits};
use crate::process::{self, StopSignals};
use crate::report;
use crate::sink;
use crate::store::{Store, audit};
use crate::telemetry::Telemetry;
use crate::web::{self, WebState};

/// How long open requests get when the collector stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Connections of people and machines at once.
const VISITORS: usize = 4_096;

/// How long an agent's connection may be quiet: the longest reporting interval in use is an hour.
const AGENT_IDLE: Duration = Duration::from_secs(2 * 3_600);

/// How long a visitor's connection may be quiet.
const VISITOR_IDLE: Duration = Duration::from_secs(120);

/// Connections to the agents' port without a certificate: devices that enrol, which takes a second, and those who never will.
const STRANGERS: StrangerLimits = StrangerLimits { connections: 1_024, of_an_address: 128, lifetime: Duration::from_secs(30) };

/// Runs the collector until it is told to stop.
///
/// # Errors
/// What keeps it from starting: a port in use, a data directory that cannot be written, a file that is damaged.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut told_to_stop = StopSignals::listen()?;
    process::raise_descriptor_limit();
    // The HTTP client takes the process' provider; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = Store::open(&config.data_dir)?;
    audit::started(&store, env!("CARGO_PKG_VERSION"), &format!("{config:#?}"), clock::now())?;
    let telemetry = Telemetry::default();
    let (inventories, inventory) = watch::channel(Arc::new(Versions::load(&store)?));
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
    let registry = inventory.borrow().at(clock::now());
    let (notifying, rules) = notify::start(&config, &store, &registry, snapshots.clone(), notify_stop)?;

    // The last readers: people and machines.
    let (stop_people, people_stop) = watch::channel(false);
    let people = people_port(&config, &telemetry).await?;
    let people_at = people.listener.local_addr()?;
    let pages = WebState::new(snapshots, store.clone())
        .with_log(log.clone())
        .with_rules(rules)
        .with_anonymous_viewer(config.http.anonymous_viewer)
        .with_public_status(config.http.public_status)
        .with_borders(config.http.map.as_deref().map(web::geo::read).transpose().map_err(anyhow::Error::msg)?.unwrap_or_default())
        .with_secure_cookies(config.http.tls.is_some())
        .with_now_max_age(config.thresholds.now_max_age)
        .with_second_factor_for(&config.http.second_factor.iter().filter_map(|role| role.parse().ok()).collect::<Vec<_>>());
    telemetry.register(|registry| pages.people.register(registry));
    let router = web::router(pages, api::routes(&telemetry)).merge(telemetry.router());
    let people = tokio::spawn(people.serve(people_stop, move |peer| {
        // The login's rate limit counts by address.
        hyper_util::service::TowerToHyperService::new(router.clone().layer(axum::Extension(ConnectInfo(peer.address))))
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
    let follower = tokio::spawn(Follower { store, identity, config: config.clone(), inventories, server_configs }.run());
    tracing::info!(agents = %agents_at, people = %people_at, data = %config.data_dir.display(), "serving");

    told_to_stop.recv().await;
    tracing::info!("draining");
    follower.abort();
    drain("agents' port", &stop_agents, agents).await;
    keeping_hits.abort();
    if let Err(error) = hits.keep(&state) {
        tracing::warn!(%error, "what agents had too much of since the last time is not kept");
    }
    drain("engine", &stop_advance, advance).await;
    drain("history", &stop_history, history).await;
    drain("reports", &stop_reports, reports).await;
    for sink in sinks {
        drain("sink", &stop_sinks, sink).await;
    }
    drain("notifier", &stop_notify, notifying).await;
    drain("people's port", &stop_people, people).await;
    audit::stopped(&state, clock::now())?;
    // The last handle on the log stores what is queued and folds the day into its file.
    tokio::task::spawn_blocking(move || drop(log)).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn drain(what: &str, stop: &watch::Sender<bool>, stage: JoinHandle<()>) {
    stop.send_replace(true);
    if stage.await.is_err() {
        tracing::error!(what, "panicked before it was drained");
    }
}

async fn people_port(config: &Config, telemetry: &Telemetry) -> anyhow::Result<Port> {
    let listen = config.http.listen;
    let counters = port::Counters::default();
    telemetry.register(|registry| counters.register("people", registry));
    Ok(Port {
        listener: TcpListener::bind(listen).await.with_context(|| format!("the port for people, {listen}, cannot be opened"))?,
        tls: config.http.tls.as_ref().map(people_tls).transpose()?,
        limits: Limits { connections: VISITORS, patience: Duration::from_secs(20), idle: VISITOR_IDLE, drain: DRAIN, strangers: None },
        dates: true,
        counters,
    })
}

fn people_tls(files: &TlsFiles) -> anyhow::Result<watch::Receiver<Arc<rustls::ServerConfig>>> {
    let config = port::tls_from_files(files).with_context(|| format!("TLS of the port for people, {}", files.certificate.display()))?;
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
            strangers: Some(STRANGERS),
        },
        dates: false,
        counters,
    })
}
