//! Measures both programs as `scripts/bench` built them; prints one JSON line for each figure group.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent_job;
mod collector_load;
mod history;
mod incidents;
mod pages;
mod peers;
mod pings;
mod process;

use std::path::PathBuf;

use rusta_tests::programs::Programs;

/// Some of what is measured runs in this program, with what the collector runs with.
#[global_allocator]
static MEMORY: rusta_collector::Allocator = rusta_collector::Allocator;

fn argument(name: &str) -> Option<String> {
    let arguments: Vec<_> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name)?;
    arguments.get(place + 1).cloned()
}

fn main() {
    let programs = Programs {
        agent: argument("--agent").expect("--agent PROGRAM").into(),
        collector: argument("--collector").expect("--collector PROGRAM").into(),
    };
    let seconds = argument("--seconds").map_or(600, |text| text.parse().expect("--seconds NUMBER"));
    let only = argument("--only").unwrap_or_default();
    if only.is_empty() || only == "agent" {
        println!("{}", agent_job::measure(&programs, seconds));
    }
    if only.is_empty() || only == "rare-reports" {
        println!("{}", agent_job::measure_rare_reports(&programs, seconds));
    }
    if only.is_empty() || only == "pings" {
        println!("{}", pings::measure(&programs, seconds.min(60)));
    }
    if only.is_empty() || only == "collector" {
        println!("{}", collector_load::measure(&programs, seconds.min(20)));
    }
    if only.is_empty() || only == "incidents" {
        incidents::measure().into_iter().for_each(|figures| println!("{figures}"));
    }
    if only.is_empty() || only == "pages" {
        pages::measure(&programs).into_iter().for_each(|figures| println!("{figures}"));
    }
    if only.is_empty() || only == "history" {
        let (keep, size) = (argument("--keep").map(PathBuf::from), argument("--size").unwrap_or_else(|| "kr".to_owned()));
        history::measure(&programs, keep.as_deref(), &size);
    }
}
