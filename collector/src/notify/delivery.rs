//! Delivery: takes calls from the outbox, makes one attempt each, settles them.

use std::collections::HashMap;
use std::sync::Arc;

use rusta_wire::UnixMs;
use tokio::task::{self, JoinSet};

use super::channel::{Channel, Parcel, Sent};
use super::outbox::{Outbox, Queued};
use super::setup::Setup;
use super::text::render;
use crate::store::{Store, StoreError};

/// Calls under way at once: each holds a connection.
const AT_ONCE: usize = 128;

/// Of those, calls of one channel: a gateway that hangs leaves room for the others.
const OF_A_CHANNEL: usize = 32;

/// The channels of a setup, ready to send.
pub struct Delivery {
    pub(super) setup: Arc<Setup>,
    pub(super) channels: HashMap<String, Arc<Channel>>,
}

impl Delivery {
    /// Pairs a setup with its channels.
    pub fn new(setup: Arc<Setup>, channels: HashMap<String, Channel>) -> Self {
        let channels = channels.into_iter().map(|(name, channel)| (name, Arc::new(channel))).collect();
        Delivery { setup, channels }
    }

    fn repeats(&self, call: &Queued) -> bool {
        call.channel().and_then(|name| self.channels.get(name)).is_some_and(|channel| channel.recognises_repeats())
    }

    fn address(&self, call: &Queued) -> Option<String> {
        let channel = call.channel()?;
        match self.setup.people.get(&call.recipient) {
            Some(person) => person.addresses.get(channel).cloned(),
            None => Some(String::new()),
        }
    }

    async fn attempt(&self, call: &Queued) -> Sent {
        let Some(name) = call.channel() else { return Sent::Refused("no channel reaches this recipient".to_owned()) };
        let Some(channel) = self.channels.get(name) else { return Sent::Refused("the channel is not configured".to_owned()) };
        let Some(address) = self.address(call) else { return Sent::Refused("no address on this channel".to_owned()) };
        let text = render(&call.letter, &self.setup.page_url);
        channel.send(&Parcel { id: &call.id, address: &address, letter: &call.letter, text: &text }).await
    }

    /// Settles what a stopped collector was sending: nobody knows whether it arrived.
    ///
    /// # Errors
    /// What the state database says.
    pub fn recover(&self, store: &Store, now: UnixMs) -> Result<usize, StoreError> {
        let interrupted = store.read(|tx| Outbox::interrupted(tx))?;
        for call in &interrupted {
            self.settle(store, call, &Sent::Uncertain("interrupted by a restart".to_owned()), now)?;
        }
        Ok(interrupted.len())
    }

    fn settle(&self, store: &Store, call: &Queued, sent: &Sent, now: UnixMs) -> Result<(), StoreError> {
        let settled = store.write(|tx| {
            let settled = Outbox::settle(tx, call, sent, self.repeats(call), now)?;
            super::incidents::note_call(tx, call, &settled, now)?;
            Ok::<_, StoreError>(settled)
        })?;
        match settled.state {
            "failed" | "uncertain" => tracing::error!(call = %call.id, state = settled.state, note = %settled.note, "a call found no way"),
            "waiting" => tracing::warn!(call = %call.id, note = %settled.note, "a call is tried again"),
            _ => {}
        }
        Ok(())
    }
}

/// Attempts under way. One channel never holds up another: each has its own share of them.
pub struct Attempts {
    delivery: Arc<Delivery>,
    store: Store,
    pub(super) running: JoinSet<Sent>,
    calls: HashMap<task::Id, Queued>,
}

impl Attempts {
    /// Starts with none.
    pub fn new(delivery: Arc<Delivery>, store: Store) -> Self {
        Attempts { delivery, store, running: JoinSet::new(), calls: HashMap::new() }
    }

    /// Tells whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Begins an attempt for each call that is due and whose channel has room; returns how many.
    ///
    /// # Errors
    /// What the state database says.
    pub fn begin_due(&mut self, now: UnixMs) -> Result<usize, StoreError> {
        let mut busy: HashMap<String, usize> = HashMap::new();
        for channel in self.calls.values().filter_map(Queued::channel) {
            *busy.entry(channel.to_owned()).or_default() += 1;
        }
        let mut room = |channel: &str| {
            let under_way = busy.entry(channel.to_owned()).or_default();
            let free = *under_way < OF_A_CHANNEL;
            *under_way += usize::from(free);
            free
        };
        let due = self.store.read(|tx| Outbox::due(tx, now, AT_ONCE.saturating_sub(self.calls.len()), &mut room))?;
        let mut begun = 0;
        for call in due {
            if !self.store.write(|tx| Outbox::begin(tx, call.number))? {
                continue;
            }
            begun += 1;
            let (delivery, attempted) = (self.delivery.clone(), call.clone());
            let task = self.running.spawn(async move { delivery.attempt(&attempted).await });
            self.calls.insert(task.id(), call);
        }
        Ok(begun)
    }

    /// Waits for one attempt to end and settles its call. An attempt that broke off is one of which nobody knows.
    ///
    /// # Errors
    /// What the state database says; the next start settles the call.
    pub async fn settle_next(&mut self, now: impl Fn() -> UnixMs) -> Result<(), StoreError> {
        let (task, sent) = match self.running.join_next_with_id().await {
            None => return Ok(()),
            Some(Ok((task, sent))) => (task, sent),
            Some(Err(error)) => (error.id(), Sent::Uncertain("the attempt broke off".to_owned())),
        };
        match self.calls.remove(&task) {
            Some(call) => self.delivery.settle(&self.store, &call, &sent, now()),
            None => Ok(()),
        }
    }
}

/// Makes one attempt for every call that is due; returns how many were made.
///
/// # Errors
/// What the state database says. Calls already under way are settled all the same.
pub async fn deliver_due(delivery: &Arc<Delivery>, store: &Store, now: impl Fn() -> UnixMs) -> Result<usize, StoreError> {
    let mut attempts = Attempts::new(delivery.clone(), store.clone());
    let made = attempts.begin_due(now())?;
    let mut trouble = None;
    while !attempts.is_empty() {
        trouble = attempts.settle_next(&now).await.err().or(trouble);
    }
    trouble.map_or(Ok(made), Err)
}
