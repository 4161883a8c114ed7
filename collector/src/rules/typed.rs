//! Rules as typed: what the file may say, and every mistake in it with its place.

use std::time::Duration;

use rusta_wire::Metric;
use serde::Deserialize;

use super::calendar::{Calendar, Calendars, DAYS, hours};
use super::fact::ROOT_KINDS;
use super::{Bound, Condition, IncidentMatch, KpiBound, KpiSpan, Rule, Rules, Severity, SiteMatch};
use crate::config::{Mistake, Mistakes, from_yaml, nearest, parse_duration};
use crate::history::has_daily_values;
use crate::kpi::{CATALOGUE, Measure, by_id};
use crate::persian::JalaliDate;

/// A rules file larger than this is not a rules file.
const LARGEST_FILE: usize = 256 * 1024;

/// Most rules in a file: each costs time at every look.
const MOST_RULES: usize = 500;

/// Reads and checks a rules file; `file` is what mistakes call it.
///
/// # Errors
/// Every mistake, with line and column.
pub fn parse(file: &str, text: &str) -> Result<Rules, Mistakes> {
    if text.len() > LARGEST_FILE {
        let text = format!("larger than {} KiB", LARGEST_FILE / 1024);
        return Err(Mistakes(vec![Mistake { file: file.to_owned(), line: 0, column: 0, text }]));
    }
    let typed: TypedFile = from_yaml(file, text)?;
    let mut reader = Reader { file, text, mistakes: Vec::new() };
    let rules = reader.file(typed);
    if reader.mistakes.is_empty() {
        return Ok(rules);
    }
    reader.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    Err(Mistakes(reader.mistakes))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedFile {
    calendars: Vec<TypedCalendar>,
    holidays: Vec<String>,
    rules: Vec<TypedRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedCalendar {
    name: String,
    hours: String,
    #[serde(default)]
    days: Vec<String>,
    #[serde(default)]
    except_holidays: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedRule {
    name: String,
    incident: Option<TypedIncident>,
    site: Option<TypedSite>,
    agent: Option<TypedAgent>,
    kpi: Option<TypedKpi>,
    metric: Option<TypedMetric>,
    plan: Option<TypedPlan>,
    #[serde(rename = "for")]
    hold: Option<String>,
    severity: String,
    calendar: Option<String>,
    #[serde(default = "default_route")]
    route: String,
    title_fa: Option<String>,
    title_en: Option<String>,
}

fn default_route() -> String {
    "noc".to_owned()
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedIncident {
    roots: Vec<String>,
    troubles: Vec<String>,
    classes: Vec<String>,
    villages_share: Option<String>,
    sites: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedSite {
    states: Vec<String>,
    kinds: Vec<String>,
    classes: Vec<String>,
    tags: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedAgent {
    states: Vec<String>,
    skew_above: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedKpi {
    id: String,
    over: Option<String>,
    of: Option<String>,
    below: Option<String>,
    above: Option<String>,
    #[serde(default)]
    below_goal: bool,
    clear_margin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedMetric {
    name: String,
    above: Option<f64>,
    below: Option<f64>,
    clear: Option<f64>,
    #[serde(default)]
    is: Vec<i64>,
    below_median_by: Option<f64>,
    #[serde(default)]
    sites: TypedSite,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TypedPlan {
    used_above: Option<String>,
    forecast_above: Option<String>,
}

/// Turns what was typed into what it means, collecting every mistake on the way.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn file(&mut self, typed: TypedFile) -> Rules {
        let calendars = typed.calendars.into_iter().map(|calendar| self.calendar(calendar)).collect();
        let holidays = typed.holidays.iter().filter_map(|day| self.holiday(day)).collect();
        let calendars = Calendars { calendars, holidays };
        if typed.rules.len() > MOST_RULES {
            self.wrong("rules", "rules", format!("more than {MOST_RULES} rules"));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for typed in typed.rules {
            if rules.iter().any(|rule| rule.name == typed.name) {
                self.wrong(&typed.name, "name", format!("two rules are called `{}`", typed.name));
            }
            if let Some(name) = typed.calendar.as_ref().filter(|name| calendars.get(name).is_none()) {
                self.wrong(&typed.name, "calendar", format!("there is no calendar `{name}`"));
            }
            rules.extend(self.rule(typed));
        }
        Rules { rules, calendars }
    }

    fn calendar(&mut self, typed: TypedCalendar) -> Calendar {
        let minutes = hours(&typed.hours).unwrap_or_else(|| {
            self.wrong(&typed.name, "hours", format!("`{}` is not hours such as 07:00-22:00", typed.hours));
            (0, 1440)
        });
        let mut days = [typed.days.is_empty(); 7];
        for day in &typed.days {
            match DAYS.iter().position(|known| known == day) {
                Some(place) => days[place] = true,
                None => self.wrong(&typed.name, "days", format!("`{day}` is none of {}", DAYS.join(", "))),
            }
        }
        Calendar { name: typed.name, days, minutes, except_holidays: typed.except_holidays }
    }

    fn holiday(&mut self, text: &str) -> Option<JalaliDate> {
        let day = text.parse().ok();
        if day.is_none() {
            self.wrong("holidays", text, format!("`{text}` is not a day such as 1405-01-01"));
        }
        day
    }

    fn rule(&mut self, typed: TypedRule) -> Option<Rule> {
        let name = typed.name.clone();
        let mut conditions = Vec::new();
        conditions.extend(typed.incident.map(|wanted| self.incident(&name, wanted)));
        conditions.extend(typed.site.map(|wanted| self.sites_in_states(&name, wanted)));
        conditions.extend(typed.agent.map(|wanted| self.agent(&name, wanted)));
        conditions.extend(typed.kpi.map(|wanted| self.kpi(&name, wanted)));
        conditions.extend(typed.metric.map(|wanted| self.metric(&name, wanted)));
        conditions.extend(typed.plan.map(|wanted| self.plan(&name, wanted)));
        if conditions.len() != 1 {
            self.wrong(&name, "name", "give exactly one of incident, site, agent, kpi, metric, plan".to_owned());
        }
        let hold = typed.hold.map_or(Duration::ZERO, |text| self.duration(&name, "for", &text));
        let severity = self.word(&name, "severity", &typed.severity, Severity::ALL).unwrap_or(Severity::Ticket);
        let title = match (typed.title_fa, typed.title_en) {
            (Some(fa), Some(en)) => Some((fa, en)),
            (None, None) => None,
            _ => {
                self.wrong(&name, "name", "give title_fa and title_en together".to_owned());
                None
            }
        };
        let condition = conditions.pop()?;
        Some(Rule { name, condition, hold, severity, calendar: typed.calendar, route: typed.route, title })
    }

    fn incident(&mut self, rule: &str, typed: TypedIncident) -> Condition {
        for root in typed.roots.iter().filter(|root| !ROOT_KINDS.contains(&root.as_str())) {
            self.wrong(rule, "roots", format!("`{root}` is none of {}{}", ROOT_KINDS.join(", "), meant(root, &ROOT_KINDS)));
        }
        Condition::Incident(IncidentMatch {
            troubles: self.words(rule, "troubles", &typed.troubles, crate::engine::incident::Trouble::ALL),
            classes: self.words(rule, "classes", &typed.classes, crate::inventory::Criticality::ALL),
            villages_share: typed.villages_share.map(|text| self.ratio(rule, "villages_share", &text)),
            sites: typed.sites,
            roots: typed.roots,
        })
    }

    fn sites_in_states(&mut self, rule: &str, typed: TypedSite) -> Condition {
        if typed.states.is_empty() {
            self.wrong(rule, "site", "give the states".to_owned());
        }
        Condition::Site(self.sites(rule, typed))
    }

    fn sites(&mut self, rule: &str, typed: TypedSite) -> SiteMatch {
        SiteMatch {
            states: self.words(rule, "states", &typed.states, crate::engine::SiteState::ALL),
            kinds: self.words(rule, "kinds", &typed.kinds, crate::inventory::SiteKind::ALL),
            classes: self.words(rule, "classes", &typed.classes, crate::inventory::Criticality::ALL),
            tags: typed.tags,
        }
    }

    fn agent(&mut self, rule: &str, typed: TypedAgent) -> Condition {
        if typed.states.is_empty() && typed.skew_above.is_none() {
            self.wrong(rule, "agent", "give states or skew_above".to_owned());
        }
        Condition::Agent {
            states: self.words(rule, "states", &typed.states, crate::engine::AgentState::ALL),
            skew_above: typed.skew_above.map(|text| self.duration(rule, "skew_above", &text)),
        }
    }

    fn kpi(&mut self, rule: &str, typed: TypedKpi) -> Condition {
        let of = typed
            .of
            .map_or(Some(crate::inventory::RegionKind::Province), |text| self.word(rule, "of", &text, crate::inventory::RegionKind::ALL));
        let mut bounds = Vec::new();
        bounds.extend(typed.below.map(|text| KpiBound::Below(self.ratio(rule, "below", &text))));
        bounds.extend(typed.above.map(|text| KpiBound::Above(self.ratio(rule, "above", &text))));
        bounds.extend(typed.below_goal.then_some(KpiBound::BelowGoal));
        if bounds.len() != 1 {
            self.wrong(rule, "kpi", "give exactly one of below, above, below_goal".to_owned());
        }
        let over = typed.over.map_or(Some(KpiSpan::Now), |text| self.word(rule, "over", &text, KpiSpan::ALL)).unwrap_or(KpiSpan::Now);
        match by_id(&typed.id) {
            None => {
                let known = CATALOGUE.iter().map(|kpi| kpi.id).collect::<Vec<_>>();
                self.wrong_in(rule, "kpi", "id", format!("there is no KPI `{}`{}", typed.id, meant(&typed.id, &known)));
            }
            Some(kpi) if matches!(kpi.measures.first(), Some(Measure::Now(_))) != (over == KpiSpan::Now) => {
                let spans = if over == KpiSpan::Now { "give over: yesterday or month" } else { "it is a figure of now: leave `over` out" };
                self.wrong_in(rule, "kpi", "id", format!("`{}`: {spans}", typed.id));
            }
            Some(_) => {}
        }
        Condition::Kpi {
            id: typed.id,
            over,
            of: of.unwrap_or(crate::inventory::RegionKind::Province),
            bound: bounds.pop().unwrap_or(KpiBound::BelowGoal),
            clear_margin: typed.clear_margin.map_or(0.0, |text| self.ratio(rule, "clear_margin", &text)),
        }
    }

    fn metric(&mut self, rule: &str, typed: TypedMetric) -> Condition {
        let metric = Metric::by_name(&typed.name);
        if metric.is_none() {
            let known = Metric::ALL.iter().map(|metric| metric.name()).collect::<Vec<_>>();
            self.wrong_in(rule, "metric", "name", format!("there is no metric `{}`{}", typed.name, meant(&typed.name, &known)));
        }
        let mut bounds = Vec::new();
        bounds.extend(typed.above.map(|limit| Bound::Above(limit, typed.clear.unwrap_or(limit))));
        bounds.extend(typed.below.map(|limit| Bound::Below(limit, typed.clear.unwrap_or(limit))));
        bounds.extend(typed.below_median_by.map(|drop| Bound::BelowMedian(drop, typed.clear.unwrap_or(drop))));
        bounds.extend((!typed.is.is_empty()).then_some(Bound::Is(typed.is)));
        if bounds.len() != 1 {
            self.wrong(rule, "metric", "give exactly one of above, below, is, below_median_by".to_owned());
        }
        if matches!(bounds.first(), Some(Bound::BelowMedian(..))) && metric.is_some_and(|metric| !has_daily_values(metric)) {
            self.wrong(rule, "below_median_by", format!("history keeps no daily values of `{}`", typed.name));
        }
        let leaves = match bounds.first() {
            Some(Bound::Above(limit, clear)) => clear <= limit,
            Some(Bound::Below(limit, clear)) => clear >= limit,
            Some(Bound::BelowMedian(drop, clear)) => clear <= drop,
            _ => true,
        };
        if !leaves {
            self.wrong(rule, "clear", "lies on the wrong side of the bound: the alert would clear while it fires".to_owned());
        }
        Condition::Metric {
            metric: metric.unwrap_or(Metric::Sent),
            bound: bounds.pop().unwrap_or(Bound::Is(Vec::new())),
            sites: self.sites(rule, typed.sites),
        }
    }

    fn plan(&mut self, rule: &str, typed: TypedPlan) -> Condition {
        if typed.used_above.is_none() && typed.forecast_above.is_none() {
            self.wrong(rule, "plan", "give used_above or forecast_above".to_owned());
        }
        Condition::Plan {
            used_above: typed.used_above.map(|text| self.ratio(rule, "used_above", &text)),
            forecast_above: typed.forecast_above.map(|text| self.ratio(rule, "forecast_above", &text)),
        }
    }

    fn duration(&mut self, rule: &str, key: &str, text: &str) -> Duration {
        parse_duration(text).unwrap_or_else(|why| {
            self.wrong(rule, key, why);
            Duration::ZERO
        })
    }

    /// Reads `85%` or `0.85`.
    fn ratio(&mut self, rule: &str, key: &str, text: &str) -> f64 {
        let number = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
            None => text.parse(),
        };
        number.ok().filter(|number| number.is_finite()).unwrap_or_else(|| {
            self.wrong(rule, key, format!("`{text}` is not a share such as 85% or 0.85"));
            0.0
        })
    }

    fn word<T: Copy + std::fmt::Display>(&mut self, rule: &str, key: &str, text: &str, known: &[T]) -> Option<T> {
        let words = known.iter().map(ToString::to_string).collect::<Vec<_>>();
        let found = known.iter().copied().zip(&words).find(|(_, word)| *word == text).map(|(value, _)| value);
        if found.is_none() {
            let words = words.iter().map(String::as_str).collect::<Vec<_>>();
            self.wrong(rule, key, format!("`{text}` is none of {}{}", words.join(", "), meant(text, &words)));
        }
        found
    }

    fn words<T: Copy + std::fmt::Display>(&mut self, rule: &str, key: &str, texts: &[String], known: &[T]) -> Vec<T> {
        texts.iter().filter_map(|text| self.word(rule, key, text, known)).collect()
    }

    fn wrong(&mut self, entry: &str, key: &str, text: String) {
        let (line, column) = place(self.text, &[entry, key]);
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, column, text: format!("{entry}: {key}: {text}") });
    }

    fn wrong_in(&mut self, entry: &str, group: &str, key: &str, text: String) {
        let (line, column) = place(self.text, &[entry, group, key]);
        self.mistakes.push(Mistake { file: self.file.to_owned(), line, column, text: format!("{entry}: {group}.{key}: {text}") });
    }
}

fn meant(typed: &str, known: &[&str]) -> String {
    nearest(typed, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Finds the last of `words` in the text, each looked for behind the one before; the deepest found counts.
pub(crate) fn place(text: &str, words: &[&str]) -> (usize, usize) {
    let mut at = 0;
    let mut found = None;
    for word in words {
        let Some(next) = word_at(&text[at..], word) else { continue };
        found = Some(at + next);
        at += next + word.len();
    }
    let Some(found) = found else { return (0, 0) };
    let before = &text[..found];
    (before.matches('\n').count() + 1, before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1)
}

fn word_at(text: &str, word: &str) -> Option<usize> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(word).map(|(place, _)| place).find(|place| {
        let before = text[..*place].chars().next_back();
        let after = text[place + word.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}
