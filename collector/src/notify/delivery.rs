//! Delivery: takes calls from the outbox, makes one attempt each, settles them.

use std::collections::HashMap;
use std::sync::Arc;

use rusta_wire::UnixMs;

use super::channel::{Channel, Parcel, Sent};
use super::outbox::{Outbox, Queued};
use super::setup::Setup;
use super::text::render;
use crate::store::{Store, StoreError};

/// Calls under way at once: a slow gateway must not hold up the others.
const AT_ONCE: usize = 32;

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

/// Makes one attempt for every call that is due; returns how many were made.
///
/// # Errors
/// What the state database says. Calls already under way are settled all the same.
pub async fn deliver_due(delivery: &Arc<Delivery>, store: &Store, now: impl Fn() -> UnixMs) -> Result<usize, StoreError> {
    let due = store.read(|tx| Outbox::due(tx, now(), AT_ONCE))?;
    let mut under_way = tokio::task::JoinSet::new();
    let mut made = 0;
    for call in due {
        if !store.write(|tx| Outbox::begin(tx, call.number))? {
            continue;
        }
        made += 1;
        let delivery = delivery.clone();
        under_way.spawn(async move {
            let sent = delivery.attempt(&call).await;
            (call, sent)
        });
    }
    let mut trouble = None;
    while let Some(done) = under_way.join_next().await {
        // A panicking channel leaves its row in `sending`: the next start settles it.
        let Ok((call, sent)) = done else { continue };
        trouble = delivery.settle(store, &call, &sent, now()).err().or(trouble);
    }
    trouble.map_or(Ok(made), Err)
}
