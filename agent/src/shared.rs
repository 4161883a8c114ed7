//! What the parts of a running agent share. One thread, so plain cells; nothing is borrowed across an await.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusta_wire::MonoMs;
use tokio::sync::Notify;

use crate::assignment::Assignments;
use crate::clock::Clock;
use crate::config::{Config, Watch};
use crate::data_plan::{Book, DataPlan, write_copy};
use crate::flash::Flash;
use crate::sim::{self, Card};
use crate::spool::{InUse, Spool};

/// The state behind the core loop, the uplink and `status`.
pub struct Shared {
    /// Every clock.
    pub clock: Arc<Clock>,
    /// What waits for the disk.
    pub flash: Flash,
    /// What waits.
    pub spool: RefCell<Spool>,
    /// What is watched at present.
    pub watch: RefCell<Rc<Watch>>,
    /// The data plans, by link.
    pub plans: RefCell<Vec<Option<DataPlan>>>,
    /// How reporting goes.
    pub contact: RefCell<Contact>,
    /// Which assignment is in force.
    pub assignments: RefCell<Assignments>,
    /// The links a report may leave by; empty: any.
    pub report_links: RefCell<Vec<String>>,
    /// Rung when something was spooled.
    pub wake: Notify,
    /// Rung when the program is about to stop: waiting is over, send what is fresh.
    pub last_call: Notify,
    /// Rung when a target answers again: the way to the collector may be back, too.
    pub link_back: Notify,
    /// Rung at each acknowledgement.
    pub acknowledged: Notify,
    /// Set when the ways upstream changed: the kept connection proves nothing about them.
    pub reconnect: Cell<bool>,
    /// Where the plans' use is kept.
    pub plan_file: PathBuf,
    /// Use of links that are not in the present watch.
    pub plans_kept: RefCell<Book>,
    /// Whether the book could be written when that was last tried.
    book_is_kept: Arc<AtomicBool>,
}

/// How the last exchanges went, for `status`.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Contact {
    /// The collector's URL in use.
    pub url: Option<String>,
    /// The link in use; `None`: the routing table.
    pub link: Option<String>,
    /// Whether a connection is open.
    pub connected: bool,
    /// Time since the last acknowledgement, in seconds.
    #[serde(skip)]
    pub acknowledged_at: Option<MonoMs>,
    /// Batches acknowledged since the start.
    pub acknowledged: u64,
    /// What went wrong last; `None` after a success.
    pub last_error: Option<String>,
}

impl Shared {
    /// Opens clock, spool and everything kept beside it.
    ///
    /// # Errors
    /// Another agent uses the spool.
    pub fn open(config: &Config) -> Result<Shared, InUse> {
        let dir = &config.spool.dir;
        let flash = Flash::start();
        let clock = Arc::new(Clock::open(dir, flash.clone()));
        let mut spool = Spool::open(config.spool.clone(), clock.boot(), clock.now())?;
        spool.write_behind(flash.clone());
        sim::open(dir, &flash);
        let plan_file = dir.join("plans");
        Ok(Shared {
            spool: RefCell::new(spool),
            watch: RefCell::default(),
            plans: RefCell::default(),
            contact: RefCell::default(),
            assignments: RefCell::new(Assignments::load(dir, flash.clone())),
            report_links: RefCell::new(config.report.links.clone()),
            wake: Notify::new(),
            last_call: Notify::new(),
            link_back: Notify::new(),
            acknowledged: Notify::new(),
            reconnect: Cell::new(false),
            plans_kept: RefCell::new(Book::load(&plan_file)),
            book_is_kept: Arc::new(AtomicBool::new(true)),
            plan_file,
            clock,
            flash,
        })
    }

    /// Waits until nothing fresh is left to send.
    pub async fn fresh_is_out(&self) {
        while !self.spool.borrow().freshest(MonoMs(u64::MAX), 0, 1).is_empty() {
            self.acknowledged.notified().await;
        }
    }

    /// Counts own bytes moved over a link.
    pub fn spent(&self, link: Option<usize>, bytes: u64) {
        let mut plans = self.plans.borrow_mut();
        if let Some(Some(plan)) = link.and_then(|link| plans.get_mut(link)) {
            plan.spent(bytes);
        }
        drop(plans);
        self.save_plans(false);
    }

    /// Takes over a watch's links: each plan goes on where it was left.
    pub fn adopt(&self, watch: Rc<Watch>) {
        // What was reserved and not spent is not spent by another assignment either.
        self.remember_plans(true);
        let kept = self.plans_kept.borrow();
        let plan_of = |link: &crate::config::Link| {
            let kept = kept.links.get(&link.name).copied().unwrap_or_default();
            link.plan.map(|plan| DataPlan::start(plan, kept, self.clock.boot()))
        };
        *self.plans.borrow_mut() = watch.links.iter().map(plan_of).collect();
        drop(kept);
        *self.watch.borrow_mut() = watch;
        self.reconnect.set(true);
    }

    /// Goes on with the account of the SIM that was found for a link. Returns whether it is another one than before.
    pub fn card_seen(&self, link: usize, card: u32) -> bool {
        let name = self.watch.borrow().links[link].name.clone();
        let mut plans = self.plans.borrow_mut();
        let mut kept = self.plans_kept.borrow_mut();
        let book = &mut kept.links;
        let plan = plans.get_mut(link).and_then(Option::as_mut);
        let present = plan.as_ref().map_or_else(|| book.get(&name).copied().unwrap_or_default(), |plan| plan.kept_at_rest());
        let (known, _) = present.sim();
        if known == Some(card) {
            return false;
        }
        let next = present.with_card(card, &name, book);
        if let Some(plan) = plan {
            plan.change(next, &self.clock.believed());
        }
        book.insert(name.clone(), next);
        drop((plans, kept));
        self.write_plans(false);
        if let Some(known) = known {
            tracing::warn!(link = name, before = %Card(known), sim = %Card(card), "another SIM; it has a plan of its own");
        }
        known.is_some()
    }

    /// Returns the SIM last found for a link, and how often another one was.
    pub fn sim(&self, link: usize) -> (Option<u32>, u64) {
        let watch = self.watch.borrow();
        let plan = self.plans.borrow().get(link).and_then(Option::as_ref).map(DataPlan::kept);
        plan.or_else(|| self.plans_kept.borrow().links.get(&watch.links.get(link)?.name).copied()).unwrap_or_default().sim()
    }

    /// Writes the plans' use to disk, if a reservation grew or the program is at rest. What was reserved may be spent when the
    /// flash has settled. Returns whether there was anything to write.
    pub fn save_plans(&self, at_rest: bool) -> bool {
        let is_kept = self.book_is_kept.load(Ordering::Relaxed);
        let mut plans = self.plans.borrow_mut();
        plans.iter_mut().flatten().for_each(|plan| plan.kept_on_disk(is_kept));
        let changed = plans.iter_mut().flatten().fold(false, |changed, plan| plan.take_unsaved() | changed);
        drop(plans);
        if changed || at_rest {
            self.write_plans(at_rest);
        }
        changed || at_rest
    }

    fn write_plans(&self, at_rest: bool) {
        self.remember_plans(at_rest);
        let copy = self.plans_kept.borrow_mut().next_copy(&self.plan_file);
        let is_kept = self.book_is_kept.clone();
        match copy {
            Ok((path, content)) => self.flash.queue(move || {
                let written = write_copy(&path, &content);
                is_kept.store(written.is_ok(), Ordering::Relaxed);
                written
            }),
            Err(error) => tracing::warn!(%error, "data plan use was not written"),
        }
    }

    /// Returns when what the plans have reserved is on disk: only then may it be spent.
    pub async fn reserved(&self) {
        if self.save_plans(false) {
            self.flash.settled().await;
        }
    }

    fn remember_plans(&self, at_rest: bool) {
        let watch = self.watch.borrow();
        let mut kept = self.plans_kept.borrow_mut();
        for (link, plan) in watch.links.iter().zip(self.plans.borrow().iter()) {
            if let Some(plan) = plan {
                kept.links.insert(link.name.clone(), if at_rest { plan.kept_at_rest() } else { plan.kept() });
            }
        }
    }
}
