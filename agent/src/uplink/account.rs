//! Who pays for the uplink's bytes: the plan of the link whose interface they leave by, also where the routing table chose it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rusta_wire::MonoMs;

use super::route::{Cost, Room};
use crate::data_plan::Spending;
use crate::metered::Meter;
use crate::shared::Shared;
use crate::socket::{Way, owner_of};

/// The sign of life of a plan that has room for nothing else goes once in this time.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3600);

/// A sign of life is a connection, a report and its answer; within this they are one.
const HEARTBEAT_TAKES: Duration = Duration::from_secs(60);

/// A plan of which this fraction is used up carries heartbeats only (`plan_stage`).
const HEARTBEAT_STAGE: u8 = 4;

/// Meters of the lines, by the name of the link; the nameless one is of interfaces that no link has.
#[derive(Default)]
pub struct Accounts {
    meters: RefCell<BTreeMap<String, Arc<Meter>>>,
    /// When each plan's last sign of life went.
    heartbeats: RefCell<BTreeMap<String, MonoMs>>,
}

impl Accounts {
    /// Returns who says what counts the bytes to an address by a way: of the link, or `None` for the routing table's. A plan without
    /// room for anything lets nothing go.
    pub fn payer(self: &Rc<Self>, shared: &Rc<Shared>, link: Option<usize>) -> impl Fn(IpAddr) -> Option<Arc<Meter>> + 'static {
        let (accounts, shared) = (self.clone(), shared.clone());
        move |peer| {
            let line = line_to(&shared, link, peer);
            (accounts.room(&shared, line, 0) != Room::Nothing).then(|| accounts.meter(&shared, line))
        }
    }

    /// Says what a line's plan has room for, when `bytes` are to be moved.
    pub fn room(&self, shared: &Shared, line: Option<usize>, bytes: u64) -> Room {
        let plans = shared.plans.borrow();
        let Some(plan) = line.and_then(|line| plans.get(line)).and_then(Option::as_ref) else { return Room::Reports };
        // Asked of a copy: what may be done is not yet done, so nothing is reserved.
        let mut plan = plan.clone();
        let last = self.heartbeats.borrow().get(&name_of(shared, line)).copied();
        let since = last.map(|last| shared.clock.now().since(last));
        let is_due = since.is_none_or(|since| since >= HEARTBEAT_EVERY || since < HEARTBEAT_TAKES);
        if plan.stage() < HEARTBEAT_STAGE && plan.allows(Spending::Report, bytes) {
            Room::Reports
        } else if is_due && plan.allows(Spending::Heartbeat, bytes) {
            Room::Heartbeat
        } else {
            Room::Nothing
        }
    }

    /// Reserves what is about to be moved, on disk, and notes a sign of life.
    pub fn reserve(&self, shared: &Shared, line: Option<usize>, room: Room, bytes: u64) {
        let spending = if room == Room::Heartbeat { Spending::Heartbeat } else { Spending::Report };
        let mut plans = shared.plans.borrow_mut();
        if let Some(Some(plan)) = line.and_then(|line| plans.get_mut(line)) {
            plan.allows(spending, bytes);
        }
        drop(plans);
        shared.save_plans(false);
    }

    /// Notes that a plan's sign of life was heard.
    pub fn beat(&self, shared: &Shared, line: Option<usize>) {
        self.heartbeats.borrow_mut().insert(name_of(shared, line), shared.clock.now());
    }

    /// Charges what the meters counted since the last time.
    pub fn settle(&self, shared: &Shared) {
        for (name, meter) in self.meters.borrow().iter() {
            let bytes = meter.take();
            if bytes > 0 {
                let line = shared.watch.borrow().links.iter().position(|link| link.name == *name);
                shared.spent(line, bytes);
            }
        }
    }

    fn meter(&self, shared: &Shared, line: Option<usize>) -> Arc<Meter> {
        self.meters.borrow_mut().entry(name_of(shared, line)).or_default().clone()
    }
}

fn name_of(shared: &Shared, line: Option<usize>) -> String {
    let watch = shared.watch.borrow();
    line.and_then(|line| watch.links.get(line)).map(|link| link.name.clone()).unwrap_or_default()
}

/// Finds the link whose interface packets to `peer` leave by.
pub fn line_to(shared: &Shared, link: Option<usize>, peer: IpAddr) -> Option<usize> {
    link.or_else(|| {
        let interface = owner_of(Way::default().route_to(peer)?)?;
        let watch = shared.watch.borrow().clone();
        watch.links.iter().position(|link| link.way.is_by(&interface))
    })
}

/// Says what a line's bytes cost.
pub fn cost_of(shared: &Shared, line: Option<usize>) -> Cost {
    let watch = shared.watch.borrow();
    match line.and_then(|line| watch.links.get(line)) {
        Some(link) if link.metered => Cost::LastResort,
        Some(link) if link.plan.is_some() => Cost::Cheap,
        _ => Cost::Unmetered,
    }
}
