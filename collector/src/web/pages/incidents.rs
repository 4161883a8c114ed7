//! The incidents: what is wrong, since when, why, who takes care of it; worked from a phone as from a desk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use rusta_wire::Rung;
use serde::Deserialize;

use super::errors;
use super::sites::county_choice;
use crate::engine::Snapshot;
use crate::engine::incident::IncidentId;
use crate::journal::{Act, ActError, Actor};
use crate::notify::reason_in_words;
use crate::people::Role;
use crate::persian::{Lang, Named, digits, words};
use crate::rules::Rules;
use crate::store::StoreError;
use crate::view::{AffectedRow, IncidentRank, IncidentRow, Sight, StoryLine, Time};
use crate::web::asked::Asked;
use crate::web::html::url_part;
use crate::web::incidents::{self, After, IncidentDetail, Order};
use crate::web::page::{Choice, Entry, Page, Section};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Incidents of one page: a page stays below 60 KB.
const ROWS: usize = 60;

/// Affected links and story lines shown; the API gives all.
const LINES: usize = 80;

/// How long a page waits until what was done is in force: a look takes a second in the worst storm.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    p: Page,
    rows: Vec<IncidentLine>,
    /// How many there are on all pages; `None` where those that are over are listed too.
    found: Option<usize>,
    by_cause: Vec<CauseCount>,
    choices: Vec<Choice>,
    only_open: bool,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    p: Page,
    line: IncidentLine,
    affected: Vec<AffectedRow>,
    more_affected: usize,
    story: Vec<ToldLine>,
    calls: Vec<(String, String, String)>,
    causes: Vec<Entry>,
    /// Who may be given it.
    duty: Arc<[String]>,
    may_read_calls: bool,
    /// Who takes care of it, and what the region is called that they do it for.
    acknowledged: Vec<(String, String, Time)>,
    /// Whether that is settled for whoever looks.
    is_acknowledged: bool,
}

/// An incident with its words.
pub struct IncidentLine {
    /// The incident.
    pub row: IncidentRow,
    /// How it looks.
    pub tone: Tone,
    /// What its trouble is called.
    pub trouble: String,
    /// What its root is called.
    pub kind: String,
    /// Its likeliest cause in words.
    pub cause: String,
    /// How long it has lasted.
    pub length: String,
    /// When it began.
    pub started: Option<Time>,
}

impl IncidentLine {
    /// Puts an incident into words.
    pub fn of(p: &Page, row: IncidentRow) -> Self {
        let tone = match row.trouble.as_str() {
            _ if row.resolved_at.is_some() => Tone::Off,
            "down" => Tone::Bad,
            "flapping" => Tone::Unsteady,
            _ => Tone::Unknown,
        };
        IncidentLine {
            tone,
            trouble: trouble_word(&row.trouble, p.lang).to_owned(),
            kind: root_word(&row.root_kind, p.lang).to_owned(),
            cause: cause_word(row.cause().unwrap_or("-"), p),
            length: p.between(&row.started_at, &row.resolved_at.unwrap_or(Time(p.at))),
            started: Some(row.started_at),
            row,
        }
    }

    /// Tells whether nobody heard of it although it lasts.
    pub fn is_untold(&self) -> bool {
        self.row.told == 0 && self.row.resolved_at.is_none()
    }

    /// Says how far it reaches: villages where there are some, else sites.
    pub fn reach(&self, p: &Page) -> String {
        match (self.row.villages, self.row.sites) {
            (0, sites) => format!("{} {}", p.int(sites), p.lang.pick("سایت", if sites == 1 { "site" } else { "sites" })),
            (villages, _) => format!("{} {}", p.int(villages), p.lang.pick("روستا", if villages == 1 { "village" } else { "villages" })),
        }
    }

    /// Names its root.
    pub fn root(&self, p: &Page) -> String {
        p.name(&self.row.root_fa, &self.row.root_en)
    }
}

/// Which incidents. Each part is optional; one that makes no sense finds nothing.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    /// Also those that are over, newest first.
    #[serde(default)]
    all: Option<String>,
    /// Number of the last row of the page before.
    #[serde(default)]
    before: Option<u64>,
    /// Whether that row stood among those that are over.
    #[serde(default)]
    over: Option<String>,
    /// Place of the last row of the page before, among the open ones.
    #[serde(default)]
    after: String,
    /// Code of a region.
    #[serde(default)]
    region: String,
    /// Began at most so many hours ago.
    #[serde(default)]
    since: String,
    /// Code of the cause; `-` for none.
    #[serde(default)]
    cause: String,
    /// Who works on it; `-` for nobody.
    #[serde(default)]
    owner: String,
    /// `no`: nobody heard of it.
    #[serde(default)]
    told: String,
}

/// Hours a list may go back.
const SINCE: [u32; 5] = [1, 6, 24, 72, 168];

impl Which {
    fn holds(&self, row: &IncidentRow, now: rusta_wire::UnixMs) -> bool {
        let hours = self.since.parse::<u64>().ok();
        let is_recent =
            self.since.is_empty() || hours.is_some_and(|hours| now.since(row.started_at.0) <= Duration::from_secs(hours * 3_600));
        let is = |wanted: &str, found: Option<&str>| wanted.is_empty() || found.unwrap_or("-") == wanted;
        is_recent && is(&self.cause, row.cause()) && is(&self.owner, row.owner()) && (self.told != "no" || row.told == 0)
    }

    /// Writes the address of the list with one part replaced, from its first page.
    fn address(&self, replaced: &str, value: &str) -> String {
        let parts =
            [("region", &self.region), ("since", &self.since), ("cause", &self.cause), ("owner", &self.owner), ("told", &self.told)];
        let kept = parts.iter().map(|(name, kept)| (*name, if *name == replaced { value } else { kept.as_str() }));
        let added = Some((replaced, value)).filter(|(name, _)| *name == "after");
        let query: Vec<_> =
            kept.chain(added).filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", url_part(value))).collect();
        if query.is_empty() { "/incidents".to_owned() } else { format!("/incidents?{}", query.join("&")) }
    }
}

/// Lists incidents: the open ones with the largest first, or all of them by age.
pub async fn list(State(web): State<WebState>, asked: Asked, Query(which): Query<Which>) -> Response {
    let snapshot = web.snapshot();
    let mut p = asked.page(Section::Incidents, words(asked.prefs.lang).incidents).refreshing(20);
    p.at = snapshot.at.max(asked.at);
    let listed =
        if which.all.is_none() { open_ones(&web, &snapshot, &asked, &which, p) } else { all_of_them(&web, &snapshot, &asked, &which, p) };
    match listed {
        Ok(page) => asked.show(&page),
        Err(error) => asked.failed(&error),
    }
}

fn open_ones(web: &WebState, snapshot: &Snapshot, asked: &Asked, which: &Which, p: Page) -> Result<IncidentsPage, StoreError> {
    let sight = asked.sight(snapshot);
    let narrowed = match which.region.as_str() {
        "" => sight,
        code => snapshot.inventory.region_by_code(code).map_or(Sight::Nothing, |id| sight.narrowed(&snapshot.inventory, id)),
    };
    let all = incidents::largest_open(web, snapshot, narrowed)?;
    let choices = choices(&p, snapshot, sight, which, &all);
    let mut rows: Vec<_> = all.into_iter().filter(|row| which.holds(row, p.at)).collect();
    let by_cause = by_cause(&rows, which, &p);
    let found = Some(rows.len());
    if !which.after.is_empty() {
        let after: Result<IncidentRank, _> = which.after.parse();
        rows.retain(|row| after.as_ref().is_ok_and(|after| row.rank() > *after));
    }
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let next_href = rows.last().filter(|_| more).map(|row| which.address("after", &row.rank().to_string()));
    let rows = rows.into_iter().map(|row| IncidentLine::of(&p, row)).collect();
    Ok(IncidentsPage { rows, found, by_cause, choices, only_open: true, next_href, p })
}

fn all_of_them(web: &WebState, snapshot: &Snapshot, asked: &Asked, which: &Which, p: Page) -> Result<IncidentsPage, StoreError> {
    let after = which.before.map(|id| After { id, over: which.over.is_some() });
    // One more than is shown tells whether there is another page.
    let mut rows = incidents::list(web, snapshot, asked.sight(snapshot), Order::OpenFirst, after, ROWS + 1)?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let next_href = rows.last().filter(|_| more).map(|row| {
        let over = if row.resolved_at.is_some() { "&over=1" } else { "" };
        format!("/incidents?all=1&before={}{over}", row.id)
    });
    let rows = rows.into_iter().map(|row| IncidentLine::of(&p, row)).collect();
    Ok(IncidentsPage { rows, found: None, by_cause: Vec::new(), choices: Vec::new(), only_open: false, next_href, p })
}

fn choices(p: &Page, snapshot: &Snapshot, sight: Sight, which: &Which, rows: &[IncidentRow]) -> Vec<Choice> {
    let hours = |hours: u32| p.span(Duration::from_secs(u64::from(hours) * 3_600));
    let causes: BTreeSet<_> = rows.iter().map(|row| row.cause().unwrap_or("-")).collect();
    let owners: BTreeSet<_> = rows.iter().filter_map(IncidentRow::owner).collect();
    let owners = std::iter::once("-").chain(owners);
    let nobody = |owner: &str| if owner == "-" { p.w.nobody.to_owned() } else { owner.to_owned() };
    vec![
        county_choice(p, snapshot, sight, &which.region),
        Choice {
            name: "since",
            title: p.w.began_within,
            options: SINCE.iter().map(|since| Entry::new(since.to_string(), hours(*since), &which.since)).collect(),
        },
        Choice {
            name: "cause",
            title: p.w.cause,
            options: causes.into_iter().map(|code| Entry::new(code, cause_word(code, p), &which.cause)).collect(),
        },
        Choice {
            name: "owner",
            title: p.w.assignee,
            options: owners.map(|owner| Entry::new(owner, nobody(owner), &which.owner)).collect(),
        },
        Choice { name: "told", title: p.w.notified, options: vec![Entry::new("no", p.w.nobody_told, &which.told)] },
    ]
}

/// Shows one incident.
pub async fn one(State(web): State<WebState>, asked: Asked, Path(id): Path<u64>) -> Response {
    let snapshot = web.snapshot();
    let found = match incidents::one(&web, &snapshot, asked.sight(&snapshot), id) {
        Ok(found) => found,
        Err(error) => return asked.failed(&error),
    };
    let Some(IncidentDetail { row, mut affected, mut story, calls, acknowledged }) = found else { return asked.not_found() };
    let title = format!("{} {}", words(asked.prefs.lang).incident, digits(&id.to_string(), asked.prefs.lang));
    let mut p = asked.page(Section::Incidents, title).refreshing(20);
    p.at = snapshot.at.max(asked.at);
    let more_affected = affected.len().saturating_sub(LINES);
    affected.truncate(LINES);
    story.reverse();
    story.truncate(LINES);
    let is_acknowledged =
        row.acknowledged_by.is_some() || acknowledged.iter().any(|one| Some(one.region.as_str()) == asked.visitor.region.as_deref());
    let named = |code: &str| {
        let region = snapshot.inventory.region_by_code(code).map(|id| snapshot.inventory.region(id));
        region.map_or_else(|| p.w.whole_country.to_owned(), |region| p.name(&region.name_fa, &region.name_en))
    };
    let cause = row.cause().unwrap_or_default().to_owned();
    let acknowledged = acknowledged.into_iter().map(|one| (one.by, named(&one.region), Time(one.at))).collect();
    let page = IncidentPage {
        acknowledged,
        is_acknowledged,
        line: IncidentLine::of(&p, row),
        affected,
        more_affected,
        story: story.into_iter().map(|line| told(line, &web.rules, p.lang)).collect(),
        calls: calls.into_iter().map(|(who, state, note)| (who, story_word(&state, p.lang), reason_in_words(&note, p.lang))).collect(),
        causes: Rung::ALL.iter().map(|rung| Entry::new(rung.cause_code(), rung.label(p.lang), &cause)).collect(),
        duty: web.duty.clone(),
        may_read_calls: p.may_operate(),
        p,
    };
    asked.show(&page)
}

/// A line of a story with its words.
pub struct ToldLine {
    /// When.
    pub at: Time,
    /// Who, in words.
    pub actor: String,
    /// What it is about, where that is not the page's own subject.
    pub about: String,
    /// What happened.
    pub word: String,
    /// Why, or which.
    pub text: String,
}

/// Puts a line of a story into words; a rule is called by its title.
pub fn told(line: StoryLine, rules: &Rules, lang: Lang) -> ToldLine {
    // `alert/RULE/link/SITE/NAME deliver pass`: what the decision is about stands before the stage.
    let (about, kind) = match line.kind.split_once(' ') {
        Some((about, kind)) if about.contains('/') => (about.to_owned(), kind),
        _ => (String::new(), line.kind.as_str()),
    };
    let actor = match line.actor.as_str() {
        "engine" => lang.pick("تشخیص", "engine"),
        "notify" => lang.pick("خبررسانی", "notify"),
        "rules" => lang.pick("قاعده‌ها", "rules"),
        actor => actor.strip_prefix("user:").unwrap_or(actor),
    };
    let title = |name: &str| rules.rule(name).map_or_else(|| name.to_owned(), |rule| rule.title(lang).to_owned());
    let titles = |names: &str| names.split(", ").map(title).collect::<Vec<_>>().join(lang.pick("، ", ", "));
    let text = match line.text.strip_prefix(ONE_CASE_OF) {
        Some(names) => reason_in_words(&format!("{ONE_CASE_OF}{}", titles(names)), lang),
        None if kind == "pending" => title(&line.text),
        None if ["opened", "attached", "left"].contains(&kind) => {
            line.text.split("; ").map(|part| reason_in_words(&counted(part, lang), lang)).collect::<Vec<_>>().join(lang.pick("؛ ", "; "))
        }
        None => reason_in_words(&line.text, lang),
    };
    ToldLine { at: line.at, word: story_word(kind, lang), text, actor: actor.to_owned(), about }
}

/// Words the end of a list that was cut: `s-1, s-2 and 251 more`.
fn counted(places: &str, lang: Lang) -> String {
    let cut = places.strip_suffix(" more").and_then(|places| places.rsplit_once(" and ")).filter(|_| lang == Lang::Fa);
    cut.map_or_else(|| places.to_owned(), |(named, more)| format!("{named} و {} سایت دیگر", digits(more, lang)))
}

/// How the reason of a group begins; the names of its rules follow.
const ONE_CASE_OF: &str = "one case of: ";

/// A filled-in form of an incident's page.
#[derive(Debug, Deserialize)]
pub struct Done {
    #[serde(default)]
    csrf: String,
    what: String,
    #[serde(default)]
    text: String,
}

/// Works on an incident.
pub async fn work(State(web): State<WebState>, asked: Asked, Path(id): Path<u64>, Form(done): Form<Done>) -> Response {
    if let Err(refusal) = asked.may_change(Role::Operator, &done.csrf) {
        return refusal;
    }
    let snapshot = web.snapshot();
    match incidents::one(&web, &snapshot, asked.sight(&snapshot), id) {
        Ok(Some(_)) => {}
        Ok(None) => return asked.not_found(),
        Err(error) => return asked.failed(&error),
    }
    let text = done.text.trim().to_owned();
    let act = match done.what.as_str() {
        "acknowledge" => Act::Acknowledge,
        "assign" => Act::Assign(text),
        "note" => Act::Note(text),
        "cause" => Act::Cause(text),
        "visited" => Act::Visited(text),
        "resolve" => Act::Resolve(text),
        _ => return errors::refused_page(&asked, &done.what),
    };
    let actor = Actor { user: asked.visitor.name.clone().unwrap_or_default(), region: asked.visitor.region.clone() };
    match web.journal.append(IncidentId(id), &act, &actor, asked.at) {
        Ok(position) => {
            // Kept for good already; a collector that still catches up applies it as soon as it has.
            web.journal.applied(position, IN_FORCE_WITHIN).await;
            (StatusCode::SEE_OTHER, [(LOCATION, format!("/incidents/{id}"))]).into_response()
        }
        Err(error @ (ActError::Unknown(_) | ActError::Over(_) | ActError::Wrong(_))) => errors::refused_page(&asked, &error.to_string()),
        Err(error) => asked.failed(&error),
    }
}

/// How many incidents have one cause.
pub struct CauseCount {
    /// The cause in words.
    pub cause: String,
    /// How many.
    pub count: usize,
    /// The list of them.
    pub href: String,
}

/// Counts incidents by their cause, the most frequent first.
pub fn by_cause(rows: &[IncidentRow], which: &Which, p: &Page) -> Vec<CauseCount> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(row.cause().unwrap_or("-")).or_default() += 1);
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|(code, count)| CauseCount { cause: cause_word(code, p), count, href: which.address("cause", code) })
        .collect();
    counts.sort_by_key(|one| std::cmp::Reverse(one.count));
    counts
}

fn cause_word(code: &str, p: &Page) -> String {
    by_code(code).map_or_else(|| p.w.unattributed.to_owned(), |rung| rung.label(p.lang).to_owned())
}

fn by_code(code: &str) -> Option<Rung> {
    Rung::ALL.iter().copied().find(|rung| rung.cause_code() == code)
}

/// Names what is wrong.
pub fn trouble_word(trouble: &str, lang: Lang) -> &str {
    match trouble {
        "down" => lang.pick("قطع", "down"),
        "silent" => lang.pick("بدون گزارش", "silent"),
        "flapping" => lang.pick("نوسان", "flapping"),
        "ours" => lang.pick("خطای سامانه پایش", "our own outage"),
        other => other,
    }
}

fn root_word(kind: &str, lang: Lang) -> &str {
    match kind {
        "link" => lang.pick("لینک", "link"),
        "site" => lang.pick("سایت", "site"),
        "bts" => lang.pick("دکل", "mast"),
        "pop" => lang.pick("گره شبکه", "point of presence"),
        "apn_gateway" => lang.pick("درگاه APN", "APN gateway"),
        "core" => lang.pick("هسته استان", "provincial core"),
        "power_feeder" => lang.pick("خط تغذیه برق", "power feeder"),
        "cell" => lang.pick("سلول", "cell"),
        "operator" => lang.pick("اپراتور", "operator"),
        "county" => lang.pick("شهرستان", "county"),
        "collector" => lang.pick("گردآورنده", "collector"),
        other => other,
    }
}

fn story_word(kind: &str, lang: Lang) -> String {
    let word = match kind {
        "opened" => lang.pick("رخداد باز شد", "incident opened"),
        "attached" => lang.pick("سایت تازه درگیر شد", "sites attached"),
        "left" => lang.pick("سایت از رخداد بیرون رفت", "sites left"),
        "root_changed" => lang.pick("علت ریشه‌ای دیگری شناخته شد", "another root cause"),
        "root_restored" => lang.pick("ریشه برقرار شد", "root restored"),
        "merged" => lang.pick("با رخداد دیگری یکی شد", "merged"),
        "resolved" => lang.pick("رخداد پایان یافت", "resolved"),
        "acknowledged" => lang.pick("تأیید دریافت شد", "acknowledged"),
        "assigned" => lang.pick("ارجاع شد", "assigned"),
        "note" => lang.pick("یادداشت", "note"),
        "cause" => lang.pick("علت را یک نفر تعیین کرد", "cause set by a person"),
        "visited" => lang.pick("از سایت بازدید شد", "site visited"),
        "resolved_by_hand" => lang.pick("دستی پایان داده شد", "resolved by hand"),
        "delivered" => lang.pick("پیام رسید", "message delivered"),
        "failed" => lang.pick("پیام نرسید", "message failed"),
        "waiting" => lang.pick("پیام در صف ارسال است", "message waits to be sent"),
        "sending" => lang.pick("پیام در حال ارسال است", "message is being sent"),
        "uncertain" => lang.pick("شاید پیام نرسیده باشد", "message may not have arrived"),
        "pending" => lang.pick("قاعده هنوز منتظر زمان خود است", "a rule still waits for its time"),
        "no_rule" => lang.pick("هیچ قاعده‌ای برای این رخداد تماس نمی‌خواهد", "no rule asks for a call about this"),
        other => return stage_word(other, lang),
    };
    word.to_owned()
}

/// Puts a decision of the notification stages into words: `maintenance drop`, `deliver pass`.
fn stage_word(kind: &str, lang: Lang) -> String {
    let (stage, verdict) = kind.split_once(' ').unwrap_or((kind, ""));
    let stage = match stage {
        "maintenance" => lang.pick("تعمیرات", "maintenance"),
        "root_cause" => lang.pick("علت ریشه‌ای", "root cause"),
        "flap" => lang.pick("نوسان", "flap"),
        "group" => lang.pick("گروه‌بندی", "group"),
        "dedup" => lang.pick("تکراری", "dedup"),
        "escalate" => lang.pick("ارجاع به سطح بالاتر", "escalate"),
        "deliver" => lang.pick("ارسال", "deliver"),
        "record" => lang.pick("ثبت", "record"),
        "judge" => lang.pick("تشخیص علت", "judge"),
        other => other,
    };
    let verdict = match verdict {
        "pass" => lang.pick("گذشت", "passed"),
        "hold" => lang.pick("نگه داشته شد", "held"),
        "drop" => lang.pick("کنار گذاشته شد", "dropped"),
        other => other,
    };
    format!("{stage} {verdict}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::DEFAULT_RULES;

    #[test]
    fn a_story_calls_rules_by_their_titles_and_says_what_became_of_a_call() {
        let rules = crate::rules::parse("alerts.yaml", DEFAULT_RULES).unwrap();
        let said = |kind: &str, text: &str, lang| {
            let line = StoryLine { at: Time(rusta_wire::UnixMs(0)), actor: "notify".into(), kind: kind.into(), text: text.into() };
            told(line, &rules, lang).text
        };
        assert_eq!(said("pending", "village-down", Lang::Fa), "قطع طولانی یک سایت");
        assert_eq!(said("pending", "a-rule-of-last-year", Lang::Fa), "a-rule-of-last-year");
        let group = "one case of: class-b-down, village-down";
        assert_eq!(said("group pass", group, Lang::Fa), "یک گروه هشدار برای: قطع سایت رده ب، قطع طولانی یک سایت");
        assert_eq!(said("group pass", group, Lang::En), "one case of: Class B site down, Site down for long");
        assert_eq!(said("delivered", "ali: sms: delivered", Lang::Fa), "ali: sms: رسید");
        assert_eq!(said("attached", "s-1, s-2 and 251 more", Lang::Fa), "s-1, s-2 و ۲۵۱ سایت دیگر");
        assert_eq!(said("attached", "s-1, s-2 and 251 more", Lang::En), "s-1, s-2 and 251 more");
        let left = "by_hand: s-1; recovered: s-2, s-3 and 5 more";
        assert_eq!(said("left", left, Lang::Fa), "یک نفر پایان داد: s-1؛ برقرار شد: s-2, s-3 و ۵ سایت دیگر");
        for state in ["waiting", "sending", "delivered", "uncertain", "failed"] {
            assert!(!story_word(state, Lang::Fa).is_ascii(), "{state}");
        }
    }
}
