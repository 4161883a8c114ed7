//! Room for those who enrol. They are strangers until they did, so all of them together hold little, and each address less.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Enrolments under way: each is a body of 16 KiB at most and a signature of some milliseconds.
const TOGETHER: usize = 64;

/// Of one address: a technician enrols one device after the other, a few may share an office's address.
const OF_AN_ADDRESS: usize = 8;

/// The enrolments under way, by address.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<HashMap<IpAddr, usize>>);

/// A place in the pool, until it is dropped.
pub(super) struct Place<'a> {
    pool: &'a Pool,
    address: IpAddr,
}

impl Pool {
    /// Takes a place at once or not at all: whoever waited would only wait behind those who never send.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place<'_>> {
        let mut held = self.lock();
        if held.values().sum::<usize>() >= TOGETHER || held.get(&address).is_some_and(|count| *count >= OF_AN_ADDRESS) {
            return None;
        }
        *held.entry(address).or_default() += 1;
        drop(held);
        Some(Place { pool: self, address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut held = self.pool.lock();
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_takes_its_share_and_all_of_them_no_more_than_there_is() {
        let pool = Pool::default();
        let one = |n: u8| IpAddr::from([127, 0, 0, n]);
        let held: Vec<_> = (0..20).filter_map(|_| pool.enter(one(1))).collect();
        assert_eq!(held.len(), OF_AN_ADDRESS);
        assert!(pool.enter(one(2)).is_some());
        let others: Vec<_> = (2..200).filter_map(|n| pool.enter(one(n))).collect();
        assert_eq!(held.len() + others.len(), TOGETHER);
        drop((held, others));
        assert!(pool.enter(one(1)).is_some() && pool.lock().is_empty());
    }
}
