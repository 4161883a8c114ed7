//! The agent's story, from the last reader back to the first writer. Draining reads the same list from below.
//!
//! ```text
//!   signals, status          collector
//!        |                       ^ batches     | time, pace, assignment
//!        v                       |             v
//!  +------------------------------------------------------------+
//!  | schedule --due--> probe --measure--> recorder --append-->  |
//!  |                                        spool --> uplink    |
//!  +------------------------------------------------------------+
//!        one thread; the agent never waits for the collector to measure
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rusta_wire::{AgentId, MonoMs, Reason};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::alarm::Alarm;
use crate::assignment::{Assignment, Verdict};
use crate::config::{Config, Watch};
use crate::core::Core;
use crate::identity::Identity;
use crate::probe::Prober;
use crate::shared::Shared;
use crate::signals::{Signal, Signals};
use crate::status;
use crate::terminal::say;
use crate::uplink::{Event, Uplink};
use crate::usage::Failure;

/// How long a stopping agent tries to get its last batch acknowledged; init systems kill after 10 s and more.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the agent until it is stopped.
///
/// # Errors
/// It cannot start: the spool is in use, or there is no identity.
pub async fn run(file: &Path, mut config: Config) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::Failed(format!("signals: {error}")))?;
    let mut alarm = Alarm::new().map_err(|error| Failure::Failed(format!("timer: {error}")))?;
    let mut begun = HashMap::new();
    loop {
        let agent = Agent::start(config, &begun)?;
        let Some(next) = agent.live(file, &mut signals, &mut alarm).await else { return Ok(()) };
        (config, begun) = next;
    }
}

/// One life of the agent: from one configuration to the next.
struct Agent {
    config: Config,
    agent: AgentId,
    shared: Rc<Shared>,
    prober: Rc<Prober>,
    uplink: Option<JoinHandle<()>>,
    events: UnboundedReceiver<Event>,
    core: Core,
}

impl Agent {
    /// Starts with a configuration; `begun` says when targets of an earlier life had their last round.
    fn start(config: Config, begun: &HashMap<String, MonoMs>) -> Result<Agent, Failure> {
        let shared = Rc::new(Shared::open(&config).map_err(|error| Failure::Failed(error.to_string()))?);
        let prober = Rc::new(Prober::new(shared.clock.settings(config.resolvers.clone())));
        let (teller, events) = mpsc::unbounded_channel();
        let identity = config.collector.as_ref().map(|c| Identity::load(&c.identity_dir)).transpose();
        let identity = identity.map_err(|error| Failure::Failed(format!("{error}; run `rusta-agent enroll` first")))?;
        let agent = identity.as_ref().map_or(AgentId(0), |identity| identity.agent);
        let uplink = match (&config.collector, identity) {
            (Some(collector), Some(identity)) => {
                let uplink = Uplink::new(shared.clone(), collector.clone(), identity, prober.clone(), teller);
                let uplink = uplink.map_err(|error| Failure::Failed(format!("identity cannot be used: {error}")))?;
                Some(tokio::task::spawn_local(uplink.run()))
            }
            _ => None,
        };
        let good = shared.assignments.borrow().good().cloned();
        let watch = Rc::new(watch_of(&config, good.as_ref()));
        shared.adopt(watch.clone());
        let core = Core::start(shared.clone(), prober.clone(), watch, agent, config.report.every).follow(begun);
        tracing::info!(%agent, boot = %shared.clock.boot(), owed = shared.spool.borrow().depth().frames, "agent started");
        Ok(Agent { config, agent, shared, prober, uplink, events, core })
    }

    /// Measures and reports until told otherwise; returns the next configuration and when targets had their last round,
    /// `None` to stop.
    async fn live(mut self, file: &Path, signals: &mut Signals, alarm: &mut Alarm) -> Option<(Config, HashMap<String, MonoMs>)> {
        let listener = status::listen(&self.config.status_socket);
        let next = loop {
            let moment = self.core.next_moment();
            tokio::select! {
                () = alarm.ring(moment) => self.core.due(),
                finished = self.core.round() => self.core.append_all(finished),
                Some(event) = self.events.recv() => self.heed(event),
                visitor = status::visitor(listener.as_ref()) => status::tell(visitor, &self.status()).await,
                signal = signals.next() => match signal {
                    Signal::PowerLoss => self.core.report(Reason::PowerLoss),
                    Signal::Reload => if let Some(next) = reload(file) { break Some(next) },
                    Signal::Stop => break None,
                },
            }
            self.judge_assignment();
        };
        self.drain(next.is_none()).await;
        let _ = std::fs::remove_file(&self.config.status_socket);
        next.map(|next| (next, self.core.begun()))
    }

    fn heed(&mut self, event: Event) {
        match event {
            Event::Acknowledged { connected } => self.shared.assignments.borrow_mut().acknowledged(connected),
            Event::Unreachable => {}
            Event::Assigned { version, yaml } => match self.config.assigned(&yaml) {
                Ok(watch) => {
                    tracing::info!(version, links = watch.links.len(), targets = watch.targets.len(), "assignment on trial");
                    self.shared.assignments.borrow_mut().begin(Assignment { version, yaml }, self.shared.clock.now());
                    self.change_watch(watch);
                }
                Err(mistakes) => {
                    let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(version, mistakes = mistakes.len(), first, "assignment cannot be used");
                    self.shared.assignments.borrow_mut().fail(version);
                }
            },
        }
    }

    fn judge_assignment(&mut self) {
        let verdict = self.shared.assignments.borrow_mut().judge(self.shared.clock.now());
        if let Verdict::RollBack(good) = verdict {
            self.change_watch(watch_of(&self.config, good.as_ref()));
        }
    }

    /// What was measured so far is closed under its own names; then measuring begins anew.
    fn change_watch(&mut self, watch: Watch) {
        self.core.report(Reason::StateChange);
        let (watch, begun) = (Rc::new(watch), self.core.begun());
        self.shared.adopt(watch.clone());
        let core = Core::start(self.shared.clone(), self.prober.clone(), watch, self.agent, self.config.report.every);
        self.core = core.follow(&begun);
    }

    /// First writer first: no more rounds, the open batch to disk, what is fresh to the collector, and a word about the rest.
    async fn drain(&mut self, last: bool) {
        self.core.report(Reason::Shutdown);
        if let Some(uplink) = self.uplink.take() {
            if last {
                self.shared.last_call.notify_one();
                let _ = tokio::time::timeout(DRAIN, self.shared.fresh_is_out()).await;
            }
            uplink.abort();
            let _ = uplink.await;
        }
        self.shared.spool.borrow_mut().sync(self.shared.clock.now(), true);
        self.shared.save_plans(true);
        self.shared.flash.settled().await;
        let depth = self.shared.spool.borrow().depth();
        if last {
            let dir = self.config.spool.dir.display();
            // The last word of a stopping program: nobody is left to be told that it was not heard.
            let _ = say(&format!("stopped; {} batches ({} bytes) are still owed and wait in {dir}\n", depth.frames, depth.bytes));
        }
    }

    fn status(&self) -> status::Status {
        status::of(&self.shared, &self.core, (self.agent != AgentId(0)).then_some(self.agent))
    }
}

/// The file's watch, with the last good assignment laid over it.
fn watch_of(config: &Config, good: Option<&Assignment>) -> Watch {
    match good.map(|assignment| config.assigned(&assignment.yaml)) {
        Some(Ok(watch)) => watch,
        Some(Err(mistakes)) => {
            tracing::error!(mistakes = mistakes.len(), "the kept assignment does not fit this configuration; local targets only");
            config.watch()
        }
        None => config.watch(),
    }
}

/// Reads the file again; one the agent could not start with leaves it as it is.
fn reload(file: &Path) -> Option<Config> {
    let config = Config::load(file).map_err(|faults| tracing::error!("{faults}")).ok()?;
    let identity = config.collector.as_ref().map(|c| Identity::load(&c.identity_dir)).transpose();
    identity.map_err(|error| tracing::error!(%error, "configuration is not taken over")).ok().map(|_| config)
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
