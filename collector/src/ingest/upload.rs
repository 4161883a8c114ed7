//! `POST /v1/batches`: frames in, an [`Answer`] out after they are on disk.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};
use rusta_wire::batch::Head;
use rusta_wire::limits::{FRAMES_PER_UPLOAD, UPLOAD_BYTES};
use rusta_wire::{AgentId, Answer, Batch, BatchId, BootId, FaultReason, Frame, FrameKind, Hold, TableId, UnixMs, upload_mark};

use super::admission::come_back;
use super::hits::Limit;
use super::quota::{self, Charge};
use super::{Refusal, Reply, Session, Speaker, reply};
use crate::clock;
use crate::identity::ASSIGNMENT_HEADER;
use crate::log::{self, Appended, LogError, Names, Upload};

/// The boot the agent is in, sixteen hexadecimal digits. With [`UPTIME_HEADER`] the first contact already dates the boot.
const BOOT_HEADER: &str = "rusta-boot";

/// How long that boot has lasted, in milliseconds.
const UPTIME_HEADER: &str = "rusta-uptime-ms";

/// A batch that ended longer ago than this many of its own lengths, and a little for the way, is backlog.
const FRESH_LENGTHS: u128 = 2;

/// How long the way may take.
const FRESH_WAY_MS: u128 = 30_000;

/// How often an agent that waits for approval asks.
const WAIT_MS: u32 = 60_000;

/// Unix time of a boot's monotonic zero.
type Live = Option<(BootId, i64)>;

/// Why nothing was stored.
enum Rejected {
    Refused(Refusal),
    MissingTables(Vec<TableId>),
    TooMuch(Limit),
    Busy,
    Broken(String),
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Rejected::Refused(refusal)
    }
}

impl From<Limit> for Rejected {
    fn from(limit: Limit) -> Self {
        Rejected::TooMuch(limit)
    }
}

impl From<LogError> for Rejected {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Overlap(batch) => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "overlap", error.to_string()).about(batch, FaultReason::Overlap).into()
            }
            LogError::Holes(batch) => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "holes", error.to_string()).about(batch, FaultReason::Implausible).into()
            }
            LogError::Busy => Rejected::Busy,
            LogError::Unavailable(_) | LogError::Unreadable(_) | LogError::Damaged(_) => Rejected::Broken(error.to_string()),
        }
    }
}

/// What an acknowledged upload was.
struct Done {
    appended: Appended,
    bytes: usize,
    backlog: bool,
    /// Whether it came in the plain coding: its sender is told of the other one.
    plain: bool,
}

pub(super) async fn answer(session: &Session, request: Request<Incoming>, now: UnixMs) -> Reply {
    let started = Instant::now();
    let speaker = match session.speaker(now) {
        Ok(speaker) => speaker,
        // It keeps what it has until somebody decides.
        Err(refusal) if refusal.status == StatusCode::TOO_MANY_REQUESTS => {
            session.count(&refusal);
            let answer = Answer { retry_after_ms: WAIT_MS, hold: Hold::All, reason: refusal.reason, ..base_answer(session, None, None) };
            return protobuf(refusal.status, &answer);
        }
        Err(refusal) => return refused(session, None, refusal, None),
    };
    // What the answer speaks of, once it is known.
    let mut upload = None;
    let _request = match session.shared.quotas.enter(speaker.agent, now) {
        Ok(request) => request,
        Err(limit) => return rejected(session, &speaker, Rejected::TooMuch(limit), upload, now),
    };
    let Some(_under_way) = session.shared.admission.enter() else {
        return rejected(session, &speaker, Rejected::Busy, upload, now);
    };
    match store(session, &speaker, request, &mut upload, now).await {
        Ok(done) => {
            session.shared.counters.acknowledged(done.appended, done.bytes, started.elapsed().as_secs_f64());
            let can_keep = session.shared.state.trouble().is_none();
            let pace = session.shared.admission.pace(done.backlog, can_keep, now);
            let answer = Answer {
                backlog_bytes: pace.backlog_bytes,
                hold: pace.hold,
                reads_dense: done.plain,
                ..base_answer(session, Some(&speaker), upload)
            };
            let mut reply = protobuf(StatusCode::OK, &answer);
            // Said with every report, it would cost the agent 19 bytes; a refusal may be read by somebody else.
            reply.headers_mut().remove(hyper::header::CONTENT_TYPE);
            reply
        }
        Err(why) => rejected(session, &speaker, why, upload, now),
    }
}

async fn store(
    session: &Session,
    speaker: &Speaker,
    request: Request<Incoming>,
    upload: &mut Option<u32>,
    now: UnixMs,
) -> Result<Done, Rejected> {
    if let Some(reason) = session.shared.log.trouble() {
        return Err(Rejected::Broken(reason.to_string()));
    }
    let live = live_offset(request.headers(), now);
    learn(session, speaker, request.headers());
    let body = session.body(request, UPLOAD_BYTES).await?;
    *upload = Some(upload_mark(&body));
    let (batches, plain) = read(session, speaker, &body, live, now).await?;
    let backlog = batches.len() > 1 || batches.iter().any(|batch| is_backlog(batch, live, now));
    let batches = Upload { site_code: speaker.site_code.clone(), received_at: now, batches };
    let appended = session.shared.log.append(batches).await?;
    Ok(Done { appended, bytes: body.len(), backlog, plain })
}

/// Keeps what the agent says of itself, once a connection and when it changes. A database that is busy is asked again with the next.
fn learn(session: &Session, speaker: &Speaker, headers: &HeaderMap) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let identity = &session.shared.identity;
    let version = text("user-agent").map_or(Ok(()), |program| identity.told_version(speaker.agent, program));
    // One that introduces itself and says nothing of assignments has none.
    let said = text(ASSIGNMENT_HEADER).or_else(|| text(BOOT_HEADER).map(|_| ""));
    let assignment = said.map_or(Ok(()), |said| identity.told_assignment(speaker.agent, said));
    if let Err(error) = version.and(assignment) {
        tracing::warn!(%error, agent = %speaker.agent, "what an agent says of itself is not kept");
    }
}

/// Reads and validates every frame; one bad frame refuses them all. Says too whether a batch was in the plain coding.
async fn read(session: &Session, speaker: &Speaker, body: &Bytes, live: Live, now: UnixMs) -> Result<(Vec<log::Incoming>, bool), Rejected> {
    let is_vantage = session.shared.assignments.is_vantage(&speaker.site_code);
    let mut tables: HashMap<TableId, Arc<Names>> = HashMap::new();
    let mut charge = Charge::default();
    let mut missing = Vec::new();
    let mut unreadable: Option<Refusal> = None;
    let (mut batches, mut plain) = (Vec::new(), false);
    let mut place = 0;
    for (number, frame) in Frame::read_all(body).enumerate() {
        if number >= FRAMES_PER_UPLOAD {
            return Err(malformed(number, &format!("an upload may have {FRAMES_PER_UPLOAD}")));
        }
        let frame = frame.map_err(|error| malformed(number, &error))?;
        let bytes = body.slice(place..place + frame.encoded_len());
        place += frame.encoded_len();
        match frame.kind {
            FrameKind::Table => {
                let names = introduce(session, speaker, is_vantage, &frame.payload, now).map_err(|why| why.at(number))?;
                tables.insert(names.id, names);
            }
            FrameKind::Batch => {
                let head = Batch::head(&frame.payload).map_err(|error| malformed(number, &error))?;
                if head.id.agent != speaker.agent {
                    return Err(stolen(session, speaker, head.id, now).into());
                }
                let Some(names) = find_names(session, speaker.agent, head.table, &mut tables).await? else {
                    missing.push(head.table);
                    continue;
                };
                // Decoded whole, so that whatever the log holds can be read.
                let decoded = Batch::decode_named(&frame.payload, &names.table, names.id);
                let (batch, is_dense) = match decoded {
                    Ok(decoded) => decoded,
                    Err(error) => {
                        // Perhaps it is of a later version: it waits for an upgrade, and all of its kind are named at once.
                        let refusal = unreadable.take().unwrap_or_else(|| unprocessable("unreadable", number, &error));
                        unreadable = Some(refusal.about(head.id, FaultReason::Unreadable));
                        continue;
                    }
                };
                plain |= !is_dense;
                if let Some(fault) = implausible(&batch, &head) {
                    return Err(unprocessable("implausible", number, &fault).about(head.id, FaultReason::Implausible).into());
                }
                let kept = if is_dense { at_rest(&batch, &frame.payload, &names) } else { Ok(bytes) };
                let bytes = kept.map_err(|error| malformed(number, &error))?;
                charge.boots.insert(head.id.boot);
                charge.bytes += bytes.len() as u64;
                charge.values += batch.samples.iter().map(|sample| 1 + sample.values.len() as u64).sum::<u64>();
                // In the dense coding a body of this size may hold two hundred times as much.
                if charge.bytes > AT_REST_BYTES {
                    return Err(Refusal::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "too_large",
                        format!("an upload may unfold to {AT_REST_BYTES} bytes"),
                    )
                    .into());
                }
                let live_offset_ms = live.filter(|(boot, _)| *boot == head.id.boot).map(|(_, offset)| offset);
                batches.push(log::Incoming { head, live_offset_ms, frame: bytes, names });
            }
            FrameKind::Mark => return Err(malformed(number, &"a spool's mark is never sent")),
        }
    }
    if let Some(refusal) = unreadable {
        return Err(refusal.into());
    }
    if missing.is_empty() {
        session.shared.quotas.charge(speaker.agent, is_vantage, &charge, now)?;
        count_foreign(session, speaker, &batches, now);
        return Ok((batches, plain));
    }
    missing.sort_unstable();
    missing.dedup();
    Err(Rejected::MissingTables(missing))
}

/// Takes a table up; one the agent was not known to use counts.
fn introduce(session: &Session, speaker: &Speaker, is_vantage: bool, encoded: &[u8], now: UnixMs) -> Result<Arc<Names>, Unwanted> {
    let names = session.shared.log.read_names(encoded).map_err(|error| Unwanted::Malformed(error.to_string()))?;
    if session.shared.log.known_names(speaker.agent, names.id).is_some_and(|known| Arc::ptr_eq(&known, &names)) {
        return Ok(names);
    }
    if let Some(fault) = quota::misshapen(&names.table, is_vantage) {
        return Err(Unwanted::Malformed(fault));
    }
    session.shared.quotas.introduce(speaker.agent, is_vantage, &names.table, now).map_err(Unwanted::TooMuch)?;
    session.shared.log.remember_names(speaker.agent, &names);
    Ok(names)
}

/// Why a table is not taken up.
enum Unwanted {
    Malformed(String),
    TooMuch(Limit),
}

impl Unwanted {
    fn at(self, frame: usize) -> Rejected {
        match self {
            Unwanted::Malformed(fault) => malformed(frame, &fault),
            Unwanted::TooMuch(limit) => Rejected::TooMuch(limit),
        }
    }
}

/// Bytes an upload may have at rest.
const AT_REST_BYTES: u64 = 4 << 20;

/// Says what cannot be in a batch, whoever sends it: none of it will ever be true.
fn implausible(batch: &Batch, head: &Head) -> Option<&'static str> {
    if head.until.0 - head.from.0 > LONGEST_MS {
        return Some("no batch stands for so long a time");
    }
    if batch.samples.iter().any(|sample| !log::is_inside(head, sample.at)) {
        return Some("a sample lies outside of the batch's interval");
    }
    None
}

/// The longest stretch one batch may stand for: agents keep seven days.
const LONGEST_MS: u64 = 31 * 86_400_000;

/// Counts series that speak about sites the registry does not let the agent speak about. They are kept and count nowhere; what
/// else the batch holds does.
fn count_foreign(session: &Session, speaker: &Speaker, batches: &[log::Incoming], now: UnixMs) {
    let mut seen = HashSet::new();
    let tables = batches.iter().map(|batch| &batch.names).filter(|names| names.speaks_of_others && seen.insert(names.id));
    let foreign = |names: &Arc<Names>| {
        let towards: HashSet<&str> =
            names.table.series.iter().map(|series| series.towards.as_str()).filter(|code| !code.is_empty()).collect();
        towards.into_iter().filter(|code| !session.shared.assignments.may_speak_about(&speaker.site_code, code)).count() as u64
    };
    let count: u64 = tables.map(foreign).sum();
    if count > 0 {
        session.shared.counters.foreign(count);
        session.shared.hits.hit(speaker.agent, Limit::NotAVantage, count, now);
    }
}

fn malformed(frame: usize, fault: &dyn Display) -> Rejected {
    Refusal::new(StatusCode::BAD_REQUEST, "malformed", format!("frame {frame}: {fault}")).into()
}

fn unprocessable(label: &'static str, frame: usize, fault: &dyn Display) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, label, format!("frame {frame}: {fault}"))
}

/// Frames a batch as its agent's spool has it: the dense coding is for the way only. What a later version put into the payload
/// stays in it.
fn at_rest(batch: &Batch, payload: &[u8], names: &Names) -> Result<Bytes, String> {
    let payload = batch.plain_again(payload, &names.table).map_err(|error| error.to_string())?;
    let frame = Frame::new(FrameKind::Batch, payload).map_err(|error| error.to_string())?;
    Ok(Bytes::from(frame.to_bytes()))
}

async fn find_names(
    session: &Session,
    agent: AgentId,
    table: TableId,
    tables: &mut HashMap<TableId, Arc<Names>>,
) -> Result<Option<Arc<Names>>, Rejected> {
    let log = session.shared.log.clone();
    if let Some(names) = tables.get(&table).cloned().or_else(|| log.known_names(agent, table)) {
        return Ok(Some(names));
    }
    // On disk it is looked for once an agent and start; that must not stop the other connections.
    let found = tokio::task::spawn_blocking(move || log.names(agent, table)).await;
    let found = found.map_err(|error| Rejected::Broken(error.to_string()))??;
    tables.extend(found.iter().map(|names| (table, names.clone())));
    Ok(found)
}

/// Counts that an agent sent what another one measured.
fn stolen(session: &Session, speaker: &Speaker, claimed: BatchId, now: UnixMs) -> Refusal {
    session.shared.hits.hit(speaker.agent, Limit::OtherAgent, 1, now);
    let refusal = Refusal::new(StatusCode::FORBIDDEN, Limit::OtherAgent.as_str(), Limit::OtherAgent.reason());
    refusal.about(claimed, FaultReason::OtherAgent)
}

fn rejected(session: &Session, speaker: &Speaker, why: Rejected, upload: Option<u32>, now: UnixMs) -> Reply {
    let later = |status, broken, reason: String| {
        session.shared.counters.refused(if broken { "cannot_store" } else { "busy" });
        let retry_after_ms = come_back(speaker.agent, broken, now);
        protobuf(status, &Answer { retry_after_ms, hold: Hold::All, reason, ..base_answer(session, Some(speaker), upload) })
    };
    match why {
        Rejected::Refused(refusal) => refused(session, Some(speaker), refusal, upload),
        Rejected::MissingTables(missing_tables) => {
            session.shared.counters.refused("missing_table");
            protobuf(StatusCode::CONFLICT, &Answer { missing_tables, ..base_answer(session, Some(speaker), upload) })
        }
        Rejected::TooMuch(limit) => {
            session.shared.counters.refused(limit.as_str());
            let retry_after_ms = come_back(speaker.agent, true, now);
            let answer =
                Answer { retry_after_ms, hold: Hold::All, reason: limit.reason().into(), ..base_answer(session, Some(speaker), upload) };
            protobuf(StatusCode::TOO_MANY_REQUESTS, &answer)
        }
        Rejected::Busy => later(StatusCode::TOO_MANY_REQUESTS, false, "too many uploads are under way".into()),
        Rejected::Broken(reason) => later(StatusCode::SERVICE_UNAVAILABLE, true, reason),
    }
}

fn refused(session: &Session, speaker: Option<&Speaker>, refusal: Refusal, upload: Option<u32>) -> Reply {
    session.count(&refusal);
    tracing::debug!(reason = refusal.label, detail = refusal.reason, "upload refused");
    protobuf(refusal.status, &Answer { reason: refusal.reason, faults: refusal.faults, ..base_answer(session, speaker, upload) })
}

fn base_answer(session: &Session, speaker: Option<&Speaker>, upload: Option<u32>) -> Answer {
    Answer {
        // Read again: the answer is written after the fsync, and the agent sets its clock by it.
        server_time: clock::now(),
        assignment_version: speaker.map_or(0, |speaker| session.shared.assignments.version(&speaker.site_code)),
        upload,
        ..Answer::default()
    }
}

fn protobuf(status: StatusCode, answer: &Answer) -> Reply {
    reply(status, "application/x-protobuf", answer.encode())
}

/// Reads what the agent says about the boot it is in; `None` if it says nothing or nonsense.
fn live_offset(headers: &HeaderMap, now: UnixMs) -> Live {
    let text = |name| headers.get(name)?.to_str().ok();
    let uptime_ms = text(UPTIME_HEADER)?.parse::<i64>().ok().filter(|ms| *ms >= 0)?;
    Some((text(BOOT_HEADER)?.parse().ok()?, now.0.checked_sub(uptime_ms)?))
}

/// Tells whether a batch was measured well before it was sent; one whose time nobody knows is not called so.
fn is_backlog(batch: &log::Incoming, live: Live, now: UnixMs) -> bool {
    let Some((boot, offset)) = live else { return false };
    let until = i64::try_from(batch.head.until.0).unwrap_or(i64::MAX);
    let age = u128::try_from(now.0.saturating_sub(offset.saturating_add(until))).unwrap_or(0);
    let length = batch.head.until.since(batch.head.from).as_millis();
    batch.head.id.boot != boot || age > length * FRESH_LENGTHS + FRESH_WAY_MS
}
