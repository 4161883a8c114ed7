//! One identity in other hands, for an hour: whatever it sends, what is kept of every other village is bit for bit the same.

use rusta_tests::hostile::{Sent, made_up, others};
use rusta_tests::random::Random;

const MINUTES: i64 = 60;

/// Hours tried; `RUSTA_HOSTILE_HOURS` tries more.
fn hours() -> u64 {
    std::env::var("RUSTA_HOSTILE_HOURS").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

#[test]
fn whatever_one_identity_sends_for_an_hour_the_others_are_bit_for_bit_the_same() {
    let without = others(MINUTES, &[]);
    let mut batches = 0;
    for seed in 0..hours() {
        let sent = made_up(&mut Random::of(seed, "hostile"), MINUTES, 240);
        batches += sent.len();
        let with = others(MINUTES, &sent);
        if with != without {
            let sent = smallest(sent, &without);
            panic!("seed {seed}: {sent:#?}\nchanges {:#?}", difference(&others(MINUTES, &sent), &without));
        }
    }
    println!("{} hours, {batches} batches of one identity", hours());
}

/// Leaves out what is not needed to change anything, halves first.
fn smallest(mut sent: Vec<Sent>, without: &[String]) -> Vec<Sent> {
    let mut part = sent.len() / 2;
    while part > 0 {
        let mut from = 0;
        while from < sent.len() {
            let rest: Vec<Sent> =
                sent.iter().enumerate().filter(|(n, _)| !(from..from + part).contains(n)).map(|(_, one)| one.clone()).collect();
            if others(MINUTES, &rest) == without {
                from += part;
            } else {
                sent = rest;
            }
        }
        part /= 2;
    }
    sent
}

fn difference<'a>(with: &'a [String], without: &'a [String]) -> Vec<&'a String> {
    with.iter().filter(|row| !without.contains(row)).chain(without.iter().filter(|row| !with.contains(row))).collect()
}
