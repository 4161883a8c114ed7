use super::*;
use crate::people::{AuditFilter, NewUser};
use crate::store::Store;

const NOW: UnixMs = UnixMs(1_795_206_600_000);

fn people() -> (tempfile::TempDir, People) {
    let dir = tempfile::tempdir().unwrap();
    let group = |name: &str, role, region: Option<&str>| config::Group { name: name.to_owned(), role, region: region.map(str::to_owned) };
    let groups = vec![group("noc-admins", "admin", None), group("county-0901", "operator", Some("0901")), group("readers", "viewer", None)];
    let directories = Directories::new(&config::SignIn { groups, ..config::SignIn::default() }).unwrap();
    let people = People::new(Store::open(dir.path()).unwrap()).with_directories(directories);
    (dir, people)
}

fn person(name: &str, groups: &[&str]) -> Person {
    Person { name: name.to_owned(), subject: format!("id of {name}"), groups: groups.iter().map(ToString::to_string).collect() }
}

fn rights(people: &People, name: &str) -> (Role, Option<String>) {
    let row = people.users().unwrap().into_iter().find(|row| row.name == name).unwrap();
    (row.role, row.region)
}

#[test]
fn groups_are_known_by_their_whole_name_or_their_first_part() {
    assert!(is_group("cn=NOC,ou=groups,dc=example", "noc") && is_group("CN=NOC,dc=example", "cn=noc,DC=example"));
    assert!(!is_group("ou=noc,dc=example", "noc") && !is_group("cn=noc2,dc=example", "noc") && !is_group("cn=x,cn=noc", "noc"));
}

#[test]
fn rights_follow_the_groups_and_end_with_them() {
    let (_dir, people) = people();
    let admit = |groups: &[&str]| people.admit(Directory::OpenId, &person("zahra", groups), NOW).unwrap();
    assert_eq!(admit(&["staff"]), None, "nobody comes in without a group");
    assert!(people.users().unwrap().is_empty(), "and leaves no account");
    assert_eq!(admit(&["county-0901"]).as_deref(), Some("zahra"));
    assert_eq!(rights(&people, "zahra"), (Role::Operator, Some("0901".to_owned())));
    let entry = people.welcome("zahra", &Attempt::default(), NOW, NOW).unwrap();
    assert_eq!(admit(&["readers", "noc-admins"]).as_deref(), Some("zahra"));
    assert_eq!(rights(&people, "zahra"), (Role::Admin, None), "the first line of the configuration holds");
    assert!(people.by_session(&entry.session, NOW).unwrap().is_some());
    assert_eq!(admit(&[]), None);
    assert_eq!(people.by_session(&entry.session, NOW).unwrap(), None, "what was open ends with the group");
    let told: Vec<_> = people.audit(&AuditFilter::default(), 20).unwrap().into_iter().map(|entry| (entry.actor, entry.action)).collect();
    let told: Vec<_> = told.iter().rev().map(|(actor, action)| (actor.as_str(), action.as_str())).collect();
    let by = "directory:openid";
    assert_eq!(told, [(by, "login.failed"), (by, "user.add"), ("user:zahra", "login"), (by, "user.rights"), (by, "login.failed")]);
}

#[test]
fn no_name_in_a_directory_opens_somebody_elses_account() {
    let (_dir, people) = people();
    let boss = NewUser { name: "boss".to_owned(), password: "a long enough password".to_owned(), role: Role::Admin, region: None };
    people.add_user(&boss, "cli", NOW).unwrap();
    for directory in [Directory::OpenId, Directory::Ldap] {
        assert_eq!(people.admit(directory, &person("boss", &["noc-admins"]), NOW).unwrap(), None);
    }
    assert!(people.admit(Directory::OpenId, &person("mina", &["readers"]), NOW).unwrap().is_some());
    let stranger = Person { subject: "another".to_owned(), ..person("mina", &["noc-admins"]) };
    assert_eq!(people.admit(Directory::OpenId, &stranger, NOW).unwrap(), None, "one who took her name at the provider");
    assert_eq!(rights(&people, "mina"), (Role::Viewer, None));
    let renamed = Person { name: "mina.karimi".to_owned(), ..person("mina", &["readers"]) };
    assert_eq!(people.admit(Directory::OpenId, &renamed, NOW).unwrap().as_deref(), Some("mina"), "a new name is no new person");
    for name in ["", "a b", "<b>", &"x".repeat(65)] {
        assert_eq!(people.admit(Directory::Ldap, &person(name, &["readers"]), NOW).unwrap(), None, "{name}");
    }
}

#[test]
fn an_account_of_a_directory_has_no_password_here() {
    let (_dir, people) = people();
    people.admit(Directory::OpenId, &person("mina", &["readers"]), NOW).unwrap();
    for typed in ["", "nobody", password::NOBODY] {
        let attempt = Attempt { name: "mina".to_owned(), password: typed.to_owned(), ..Attempt::default() };
        assert_eq!(people.sign_in(&attempt, NOW).unwrap(), Login::Wrong);
    }
    for refused in [
        people.reset_password("mina", "cli", NOW).map(drop),
        people.change_password("mina", "a long enough password", &crate::people::Means::Nobody, "cli", NOW),
    ] {
        assert!(matches!(refused, Err(PeopleError::Refused(reason)) if reason.contains("directory")));
    }
}

#[test]
fn a_session_of_a_directory_ends_after_a_shift_and_is_confirmed_by_what_was_typed_there() {
    use std::time::Duration;
    let (_dir, people) = people();
    let vouched = |authenticated_s| Vouched { person: person("mina", &["readers"]), authenticated_s };
    let enter = |authenticated_s| match people.admit_vouched(&Attempt::default(), &vouched(authenticated_s), NOW).unwrap() {
        Login::Welcome(entry) => entry.session,
        other => panic!("{other:?}"),
    };
    let is_confirmed = |session: &str| people.by_session(session, NOW).unwrap().unwrap().is_confirmed(NOW);
    assert!(!is_confirmed(&enter(None)) && !is_confirmed(&enter(Some(NOW.seconds() - 3_600))));
    let session = enter(Some(NOW.seconds() - 5));
    assert!(is_confirmed(&session));
    let mut now = NOW;
    while people.by_session(&session, now).unwrap().is_some() {
        now = now + Duration::from_secs(3_600);
    }
    assert_eq!(now.since(NOW), Duration::from_secs(13 * 3_600), "however busy");
}
