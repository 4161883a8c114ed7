//! What an answer to an upload means for the batches in it. Pure.
//!
//! ```text
//! names this very upload (CRC-32 of its body)  -> our collector read it: it may free a batch, or cost one it names for good
//! of a collector, but names no upload          -> an older one, or the body was not read: 200 frees, nothing costs
//! anything else, with any status               -> no answer: the way is at fault, every batch waits
//! ```
//! A captive portal, a proxy, another program and a body cut on the way all end in the last row.

use std::time::Duration;

use rusta_wire::{Answer, UnixMs};

use crate::packet::http2::{Kind, Response, Status};

/// Wait after a refusal that names no time.
const BUSY: Duration = Duration::from_secs(30);

/// Longest wait an answer may ask for: whoever is at fault, the agent is heard again within a quarter of an hour.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// No collector is older than this (2025-01-01). An answer without the time of its writing was not written by one.
const FIRST_COLLECTOR: UnixMs = UnixMs(1_735_689_600_000);

/// Collectors that answer past this (2200-01-01) have no clock, and an answer is not one by accident.
const LAST_COLLECTOR: UnixMs = UnixMs(7_258_118_400_000);

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every batch is on the collector's disk.
    Stored(Answer),
    /// Nothing was stored; tables must come first.
    Tables(Answer),
    /// Nothing was stored; the answer names the batches in the way, and it speaks of this very upload.
    Faults(Answer),
    /// Nothing was stored; some batch is in the way, or there are too many, and nobody says which.
    Doubted(Answer),
    /// Nothing was stored; come back after this time.
    Later(Answer, Duration),
    /// The collector does not take this agent.
    Unwelcome(Answer),
    /// Whoever answered wants a smaller request.
    TooLarge,
    /// No collector answered.
    NoAnswer(String),
}

impl Verdict {
    /// Returns what a collector said, if one did.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Verdict::Stored(answer)
            | Verdict::Tables(answer)
            | Verdict::Faults(answer)
            | Verdict::Doubted(answer)
            | Verdict::Later(answer, _)
            | Verdict::Unwelcome(answer) => Some(answer),
            Verdict::TooLarge | Verdict::NoAnswer(_) => None,
        }
    }
}

/// Judges the answer to an upload whose body has this mark ([`rusta_wire::upload_mark`]).
pub fn judge(mark: u32, response: &Response) -> Verdict {
    let Some(answer) = read(mark, response) else {
        let what = format!("{} with {} bytes", response.status, response.body.len());
        return if response.status == Status::TOO_LARGE { Verdict::TooLarge } else { Verdict::NoAnswer(what) };
    };
    if !answer.faults.is_empty() && answer.upload == Some(mark) && response.status != Status::OK {
        return Verdict::Faults(answer);
    }
    match response.status {
        Status::OK => Verdict::Stored(answer),
        Status::CONFLICT if !answer.missing_tables.is_empty() => Verdict::Tables(answer),
        Status::UNAUTHORIZED | Status::FORBIDDEN => Verdict::Unwelcome(answer),
        Status::TOO_LARGE => Verdict::TooLarge,
        status if status.is_client_error() && status != Status::TOO_MANY_REQUESTS && status != Status::CONFLICT => Verdict::Doubted(answer),
        _ => {
            let told = response.retry_after.unwrap_or(Duration::from_millis(u64::from(answer.retry_after_ms)));
            Verdict::Later(answer, if told.is_zero() { BUSY } else { told.min(LONGEST_WAIT) })
        }
    }
}

/// Reads an answer of a collector; `None` for what is none, or speaks of another upload.
fn read(mark: u32, response: &Response) -> Option<Answer> {
    let answer = Answer::decode(&response.body).ok()?;
    match answer.upload {
        Some(upload) => (upload == mark).then_some(answer),
        None => {
            let is_dated = (FIRST_COLLECTOR..LAST_COLLECTOR).contains(&answer.server_time);
            (is_dated && response.kind != Some(Kind::Other)).then_some(answer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusta_wire::{BatchFault, BootId, FaultReason, Hold, Sequence, TableId};

    const MARK: u32 = 0x1234_5678;
    const NOW: UnixMs = UnixMs(1_795_000_000_000);

    fn said(status: u16, kind: Option<Kind>, body: Vec<u8>) -> Response {
        Response { status: Status(status), body, retry_after: None, kind }
    }

    fn ours() -> Answer {
        Answer { server_time: NOW, upload: Some(MARK), ..Answer::default() }
    }

    fn fault(reason: FaultReason) -> Answer {
        Answer { faults: vec![BatchFault { boot: BootId(1), sequence: Sequence(2), reason }], ..ours() }
    }

    fn costs_or_frees(verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Stored(_) => true,
            Verdict::Faults(answer) => answer.faults.iter().any(|f| f.reason.is_permanent()),
            _ => false,
        }
    }

    #[test]
    fn pages_of_others_are_no_answer_with_any_status() {
        let bodies: [&[u8]; 7] =
            [b"", b"<html><body>Please log in</body></html>", b"{\"ok\":true}", b"OK", b"\x00", b"\x08\x01", b"\x08\xb8\xe8\xa6\x82\x9f4"];
        for status in [200, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 405, 408, 409, 421, 422, 426, 429, 451, 500, 502, 503, 504] {
            for body in bodies {
                let verdict = judge(MARK, &said(status, Some(Kind::Other), body.to_vec()));
                assert!(matches!(verdict, Verdict::NoAnswer(_)), "{status} {body:x?}: {verdict:?}");
            }
        }
        assert_eq!(judge(MARK, &said(413, Some(Kind::Other), b"<html>".to_vec())), Verdict::TooLarge);
    }

    #[test]
    fn an_answer_about_another_upload_speaks_of_none() {
        let other = Answer { upload: Some(MARK ^ 1), ..ours() };
        assert!(matches!(judge(MARK, &said(200, None, other.encode())), Verdict::NoAnswer(_)), "from a cache, or to half a body");
        assert!(matches!(judge(MARK, &said(200, None, ours().encode())), Verdict::Stored(_)));
    }

    /// The versions before this field: their 200 frees, as it always did, and their refusals, which might be of a batch they
    /// are too old to read, cost nothing.
    #[test]
    fn an_older_collector_frees_and_never_costs() {
        let old = Answer { upload: None, reason: "frame 0: field outcomes: unknown outcome".into(), ..ours() };
        assert!(matches!(judge(MARK, &said(200, None, old.encode())), Verdict::Stored(_)));
        assert!(matches!(judge(MARK, &said(200, Some(Kind::Other), old.encode())), Verdict::NoAnswer(_)));
        assert!(matches!(judge(MARK, &said(400, Some(Kind::Protobuf), old.encode())), Verdict::Doubted(_)));
        let unproven = Answer { upload: None, ..fault(FaultReason::Overlap) };
        assert!(matches!(judge(MARK, &said(422, Some(Kind::Protobuf), unproven.encode())), Verdict::Doubted(_)));
    }

    #[test]
    fn only_the_first_64_reasons_are_for_good_also_those_of_later_versions() {
        let judged = |code| judge(MARK, &said(422, Some(Kind::Protobuf), fault(FaultReason::from_wire(code).unwrap()).encode()));
        for code in [1, 2, 3, 63] {
            assert!(costs_or_frees(&judged(code)), "{code}");
        }
        for code in [0, 64, 65, 65_535] {
            assert!(matches!(judged(code), Verdict::Faults(_)) && !costs_or_frees(&judged(code)), "{code}");
        }
    }

    #[test]
    fn a_wait_has_an_end() {
        let long = Answer { retry_after_ms: u32::MAX, hold: Hold::All, ..ours() };
        assert_eq!(judge(MARK, &said(503, None, long.encode())), Verdict::Later(long, LONGEST_WAIT));
        assert_eq!(judge(MARK, &said(429, None, ours().encode())), Verdict::Later(ours(), BUSY));
        let tables = Answer { missing_tables: vec![TableId(1)], ..ours() };
        assert!(matches!(judge(MARK, &said(409, None, tables.encode())), Verdict::Tables(_)));
        assert!(matches!(judge(MARK, &said(409, None, ours().encode())), Verdict::Later(..)));
    }

    proptest! {
        #[test]
        fn no_bytes_by_chance_free_or_cost_a_batch(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..300)) {
            for kind in [None, Some(Kind::Protobuf), Some(Kind::Other)] {
                prop_assert!(!costs_or_frees(&judge(MARK, &said(status, kind, body.clone()))));
            }
        }

        #[test]
        fn a_cut_answer_never_costs_a_batch(cut in 0usize..40) {
            let whole = fault(FaultReason::Overlap).encode();
            let cut = cut.min(whole.len() - 1);
            prop_assert!(!costs_or_frees(&judge(MARK, &said(422, Some(Kind::Protobuf), whole[..cut].to_vec()))));
        }
    }
}
