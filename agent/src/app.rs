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

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rusta_wire::{AgentId, MonoMs, Reason, Verdict as Seen};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::alarm::Alarm;
use crate::assignment::{Assignment, TRIAL, Verdict};
use crate::config::{Collector, Config, Machine, Watch};
use crate::core::Core;
use crate::enroll::Applicant;
use crate::identity::{self, Identity};
use crate::probe::Prober;
use crate::shared::Shared;
use crate::signals::{Signal, Signals};
use crate::status;
use crate::terminal::say;
use crate::uplink::{Event, Uplink};
use crate::usage::Failure;

/// How long a stopping agent tries to get its last batch acknowledged; init systems kill after 10 s and more.
const DRAIN: Duration = Duration::from_secs(5);

/// How often what was missing is looked for again: an identity, the status socket's folder, an assigned interface.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Runs the agent until it is stopped.
///
/// # Errors
/// It cannot start: the spool is in use.
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
    /// Asks for an identity while there is none.
    enrolment: Option<JoinHandle<()>>,
    events: UnboundedReceiver<Event>,
    core: Core,
    /// A new assignment that names an interface this machine does not have, yet.
    too_early: Option<Assignment>,
    look_at: MonoMs,
}

impl Agent {
    /// Starts with a configuration; `begun` says when targets of an earlier life had their last round.
    fn start(config: Config, begun: &HashMap<String, MonoMs>) -> Result<Agent, Failure> {
        let shared = Rc::new(Shared::open(&config).map_err(|error| Failure::Failed(error.to_string()))?);
        let prober = Rc::new(Prober::new(shared.clock.settings(config.resolvers.clone())));
        let (teller, events) = mpsc::unbounded_channel();
        let identity = identity_of(&config).unwrap_or_else(|missing| {
            tracing::error!(missing, "it measures, and reports once that is there");
            shared.contact.borrow_mut().last_error = Some(missing);
            None
        });
        let agent = identity.as_ref().map_or(AgentId(0), |identity| identity.agent);
        let uplink = match (&config.collector, identity) {
            (Some(collector), Some(identity)) => {
                let uplink = Uplink::new(shared.clone(), collector.clone(), identity, prober.clone(), teller);
                let uplink = uplink.map_err(|error| Failure::Failed(format!("identity cannot be used: {error}")))?;
                Some(tokio::task::spawn_local(uplink.run()))
            }
            _ => None,
        };
        let enrolment = if uplink.is_none() { enrolment_of(&config) } else { None };
        let good = shared.assignments.borrow().good().cloned();
        let watch = Rc::new(watch_of(&config, good.as_ref()));
        shared.adopt(watch.clone());
        let core = Core::start(shared.clone(), prober.clone(), watch, agent, config.report.every).follow(begun);
        tracing::info!(%agent, boot = %shared.clock.boot(), owed = shared.spool.borrow().depth().frames, "agent started");
        let look_at = shared.clock.now() + LOOK_AGAIN;
        Ok(Agent { config, agent, shared, prober, uplink, enrolment, events, core, too_early: None, look_at })
    }

    /// Measures and reports until told otherwise; returns the next configuration and when targets had their last round,
    /// `None` to stop.
    async fn live(mut self, file: &Path, signals: &mut Signals, alarm: &mut Alarm) -> Option<(Config, HashMap<String, MonoMs>)> {
        let mut listener = status::listen(&self.config.status_socket);
        let next = loop {
            let misses = listener.is_none() || self.is_waiting();
            let moment = if misses { self.core.next_moment().min(self.look_at) } else { self.core.next_moment() };
            tokio::select! {
                () = alarm.ring(moment) => {
                    self.core.due();
                    if misses && self.shared.clock.now() >= self.look_at {
                        self.look_at = self.shared.clock.now() + LOOK_AGAIN;
                        listener = listener.or_else(|| status::listen(&self.config.status_socket));
                        if self.found_missing() && let Some(next) = reload(file) {
                            break Some(next);
                        }
                    }
                }
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

    /// Tells whether something is not there that this life waits for.
    fn is_waiting(&self) -> bool {
        self.too_early.is_some() || self.config.collector.is_some() && self.uplink.is_none()
    }

    /// Looks for what was missing. Returns whether a new life should begin with it.
    fn found_missing(&mut self) -> bool {
        if let Some(assignment) = self.too_early.take() {
            self.try_out(assignment);
        }
        let is_told = |c: &Collector| !c.urls.is_empty() || !identity::places(&c.identity_dir).is_empty();
        let collector = self.config.collector.as_ref().filter(|c| self.uplink.is_none() && is_told(c));
        collector.is_some_and(|c| Identity::load(&c.identity_dir).is_ok())
    }

    fn heed(&mut self, event: Event) {
        match event {
            Event::Acknowledged { connected } => {
                let link = self.shared.contact.borrow().link.clone();
                self.shared.assignments.borrow_mut().acknowledged(connected, link.as_deref());
            }
            Event::Unreachable => {}
            Event::Assigned { version, yaml } => self.try_out(Assignment { version, yaml }),
        }
    }

    /// Puts an assignment on trial, or refuses it.
    fn try_out(&mut self, assignment: Assignment) {
        let version = assignment.version;
        match self.config.assigned(&assignment.yaml, Some(&Machine::look())) {
            Ok(watch) => {
                tracing::info!(version, links = watch.links.len(), targets = watch.targets.len(), "assignment on trial");
                let (unproved, within) = (self.must_prove(&watch), trial_of(&watch));
                self.shared.assignments.borrow_mut().begin(assignment, unproved, within, self.shared.clock.now());
                self.change_watch(watch);
            }
            Err(mistakes) => {
                let reason = mistakes.first().map(ToString::to_string).unwrap_or_default();
                let is_known = self.shared.assignments.borrow().versions().2.is_some_and(|refused| refused.version == version);
                if !is_known {
                    self.shared.assignments.borrow_mut().refuse(version, reason);
                }
                // All is well with it but for an interface that may appear.
                self.too_early = self.config.assigned(&assignment.yaml, None).is_ok().then_some(assignment);
            }
        }
    }

    /// Lists the links that a trial of this watch must hear from: those that are new, or tied to something else, and those that
    /// work at present. One that is down before the trial says nothing about it, nor does one without targets.
    fn must_prove(&self, watch: &Watch) -> BTreeSet<String> {
        let present = self.shared.watch.borrow();
        let works = self.working_links();
        let is_news = |link: &crate::config::Link| present.links.iter().all(|old| old.name != link.name || old.way != link.way);
        let links = watch.links.iter().enumerate().filter(|(place, _)| watch.targets.iter().any(|target| target.link == *place));
        links.map(|(_, link)| link).filter(|link| works.contains(&link.name) || is_news(link)).map(|link| link.name.clone()).collect()
    }

    /// Lists the links over which a probe's last round succeeded since this watch began.
    fn working_links(&self) -> BTreeSet<String> {
        let watch = self.shared.watch.borrow();
        let succeeded = |place: &usize| self.core.target(*place).1.is_some_and(|outcome| outcome.verdict() == Seen::Success);
        (0..watch.targets.len()).filter(succeeded).map(|place| watch.links[watch.targets[place].link].name.clone()).collect()
    }

    fn judge_assignment(&mut self) {
        if !self.shared.assignments.borrow().on_trial() {
            return;
        }
        let works = self.working_links();
        let verdict = {
            let mut assignments = self.shared.assignments.borrow_mut();
            assignments.proved(works.iter().map(String::as_str));
            assignments.judge(self.shared.clock.now())
        };
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
        if let Some(enrolment) = self.enrolment.take() {
            enrolment.abort();
        }
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
    match good.map(|assignment| config.assigned(&assignment.yaml, None)) {
        Some(Ok(watch)) => watch,
        Some(Err(mistakes)) => {
            tracing::error!(mistakes = mistakes.len(), "the kept assignment does not fit this configuration; local targets only");
            config.watch()
        }
        None => config.watch(),
    }
}

/// How long a trial of a watch may take: each link's quickest target has two rounds in it.
fn trial_of(watch: &Watch) -> Duration {
    let slowest = |target: &crate::config::Target| {
        let link = &watch.links[target.link];
        if link.metered { target.every.max(link.quiet) } else { target.every }
    };
    let quickest = |link: usize| watch.targets.iter().filter(|target| target.link == link).map(slowest).min();
    let longest = (0..watch.links.len()).filter_map(quickest).max().unwrap_or_default();
    TRIAL.max(longest * 2)
}

/// Reads the identity the file names; `None` if it names no collector.
fn identity_of(config: &Config) -> Result<Option<Identity>, String> {
    let Some(collector) = &config.collector else { return Ok(None) };
    let identity = Identity::load(&collector.identity_dir);
    let identity = identity.map_err(|error| format!("no identity: {error}; run `rusta-agent enroll`"))?;
    // Whoever copied an identity here did not say whose it is.
    if collector.urls.is_empty() { Err("nobody said where the collector is: `urls` is missing".into()) } else { Ok(Some(identity)) }
}

/// Begins to ask for an identity, if the file holds an invitation.
fn enrolment_of(config: &Config) -> Option<JoinHandle<()>> {
    let collector = config.collector.as_ref()?;
    let applicant = Applicant::new(collector.invitation.as_ref()?, &collector.identity_dir);
    let applicant = applicant.map_err(|fault| tracing::error!(fault, "the invitation cannot be used")).ok()?;
    Some(tokio::task::spawn_local(async move {
        match applicant.until_done(|fault| tracing::warn!(fault, "not enrolled yet")).await {
            Ok(told) => tracing::info!("{}", told.trim_end()),
            Err(fault) => tracing::error!(fault, "not enrolled; another invitation is needed"),
        }
    }))
}

/// Reads the file again; one that cannot be read leaves everything as it is.
fn reload(file: &Path) -> Option<Config> {
    Config::load(file).map_err(|faults| tracing::error!("{faults}")).ok()
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
