use std::time::Duration;

use rusta_wire::UnixMs;

use super::*;
use crate::engine::incident::IncidentId;
use crate::persian::Window;

fn at(date: &str) -> UnixMs {
    UnixMs(date.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

#[test]
fn the_rules_that_ship_are_valid_and_follow_the_practice() {
    let rules = parse("alerts.yaml", DEFAULT_RULES).unwrap();
    let severity = |name: &str| rules.rule(name).unwrap_or_else(|| panic!("no rule {name}")).severity;
    assert_eq!(severity("core-down"), Severity::Page);
    assert_eq!(severity("class-a-down"), Severity::Page);
    assert_eq!(severity("village-down"), Severity::Ticket);
    assert_eq!(severity("flapping"), Severity::Digest);
    assert_eq!(rules.rule("pop-down").unwrap().hold, Duration::from_secs(1800));
    assert_eq!(rules.rule("village-down").unwrap().hold, Duration::from_secs(4 * 3600));
    assert!(rules.rules.iter().all(|rule| rule.title.is_some()), "people read titles, not names");
}

#[test]
fn every_mistake_has_its_line_and_column() {
    let text = "calendars:
  - { name: day, hours: \"7-22\" }
rules:
  - name: one
    incident: { roots: [corr] }
    severity: page
  - name: two
    metric: { name: rsrp_dbn, below: -110, clear: -120 }
    for: 2 hours
    severity: wake
    calendar: night
";
    let mistakes = parse("alerts.yaml", text).unwrap_err().0;
    let lines = mistakes.iter().map(|mistake| (mistake.line, mistake.text.clone())).collect::<Vec<_>>();
    let said = |line: usize, part: &str| assert!(lines.iter().any(|(at, text)| *at == line && text.contains(part)), "{part}: {lines:#?}");
    said(2, "is not hours");
    said(5, "did you mean `core`");
    said(8, "did you mean `rsrp_dbm`");
    said(8, "wrong side");
    said(9, "is not a duration");
    said(10, "is none of digest, ticket, page");
    said(11, "there is no calendar `night`");
    assert_eq!(lines.len(), 7);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let text = "rules:\n  - name: one\n    incident: {}\n    severty: page\n    severity: page\n";
    let mistakes = parse("alerts.yaml", text).unwrap_err();
    assert!(mistakes.to_string().contains("severity"), "{mistakes}");
}

#[test]
fn a_calendar_knows_fridays_nights_and_holidays() {
    let rules = parse("x", "calendars:\n  - { name: office, hours: \"07:30-14:30\", days: [sat, sun, mon, tue, wed], except_holidays: true }\n  - { name: night, hours: \"22:00-06:00\", days: [thu] }\nholidays: [\"1405-01-01\"]\n").unwrap();
    let open = |name: &str, time: &str| rules.calendars.is_open(name, at(time));
    assert!(open("office", "2026-11-21T06:00:00Z"), "Saturday 09:30");
    assert!(!open("office", "2026-11-20T06:00:00Z"), "Friday");
    assert!(!open("office", "2026-03-21T06:00:00Z"), "Nowruz is a Saturday and a holiday");
    assert!(open("night", "2026-11-19T23:00:00Z"), "Friday 02:30 belongs to Thursday's night");
    assert!(!open("night", "2026-11-20T23:00:00Z"));
    assert_eq!(rules.calendars.opens_at("office", at("2026-11-20T06:00:00Z")), Some(at("2026-11-21T04:00:00Z")));
}

fn stored(id: u64, started: &str, resolved: Option<&str>) -> StoredIncident {
    StoredIncident {
        id: IncidentId(id),
        root_kind: "site".into(),
        trouble: Trouble::Down,
        started_at: at(started),
        opened_at: at(started) + Duration::from_secs(100),
        resolved_at: resolved.map(at),
        sites: 1,
        villages_share: 0.0,
        classes: vec![Criticality::C],
        title: "village".into(),
    }
}

#[test]
fn replay_says_what_would_have_fired_inside_the_calendar() {
    let rules = parse("alerts.yaml", DEFAULT_RULES).unwrap();
    let rule = rules.rule("village-down").unwrap();
    let incidents = [
        stored(1, "2026-11-21T05:00:00Z", Some("2026-11-21T08:00:00Z")),
        stored(2, "2026-11-21T05:00:00Z", Some("2026-11-21T10:00:00Z")),
        stored(3, "2026-11-21T18:00:00Z", None),
    ];
    let window = Window { from: at("2026-11-20T00:00:00Z"), until: at("2026-11-30T00:00:00Z") };
    let Condition::Incident(wanted) = &rule.condition else { panic!("{:?}", rule.condition) };
    let fired = replay(wanted, rule, &rules, &incidents, window, at("2026-11-25T00:00:00Z"));
    let subjects = fired.iter().map(|fired| fired.subject.clone()).collect::<Vec<_>>();
    assert_eq!(subjects, [Subject::Incident(2), Subject::Incident(3)], "three hours are not four");
    assert_eq!(fired[0].at, at("2026-11-21T09:00:00Z"));
    assert_eq!(fired[1].at, at("2026-11-22T03:30:00Z"), "at night it waits for seven in the morning");
}
