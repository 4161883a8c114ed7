use std::time::Duration;

use super::*;

const NOW: UnixMs = UnixMs(1_795_206_600_000);
const PASSWORD: &str = "a long enough password";

fn people() -> (tempfile::TempDir, People) {
    let dir = tempfile::tempdir().unwrap();
    let people = People::new(Store::open(dir.path()).unwrap());
    (dir, people)
}

fn user(name: &str, role: Role, region: Option<&str>) -> NewUser {
    NewUser { name: name.to_owned(), password: PASSWORD.to_owned(), role, region: region.map(str::to_owned) }
}

fn attempt(name: &str, password: &str, address: &str) -> Attempt {
    Attempt { name: name.to_owned(), password: password.to_owned(), address: address.to_owned(), ..Attempt::default() }
}

fn welcome(login: Login) -> String {
    match login {
        Login::Welcome(entry) => entry.session,
        other => panic!("not let in: {other:?}"),
    }
}

#[test]
fn a_session_carries_role_and_region_and_ends() {
    let (_dir, people) = people();
    people.add_user(&user("zahra", Role::Operator, Some("0901")), "cli", NOW).unwrap();
    let secret = welcome(people.sign_in(&attempt("zahra", PASSWORD, "127.0.0.1"), NOW).unwrap());
    let visitor = people.by_session(&secret, NOW).unwrap().unwrap();
    assert_eq!((visitor.name.as_deref(), visitor.role, visitor.region.as_deref()), (Some("zahra"), Role::Operator, Some("0901")));
    assert_eq!(visitor.csrf.len(), 64);
    let later = NOW + Duration::from_secs(13 * 3600);
    assert_eq!(people.by_session(&secret, later).unwrap(), None, "an idle session ends after a shift");
    people.sign_out(&secret, NOW).unwrap();
    assert_eq!(people.by_session(&secret, NOW).unwrap(), None);
    assert_eq!(people.by_session("guess", NOW).unwrap(), None);
}

#[test]
fn a_language_is_the_persons_on_every_device() {
    let (_dir, people) = people();
    people.add_user(&user("zahra", Role::Viewer, None), "cli", NOW).unwrap();
    let session = || welcome(people.sign_in(&attempt("zahra", PASSWORD, "127.0.0.1"), NOW).unwrap());
    let lang_of = |secret: &str| people.by_session(secret, NOW).unwrap().unwrap().lang;
    let (office, phone) = (session(), session());
    assert_eq!(lang_of(&office), None);
    people.set_language("zahra", Lang::En).unwrap();
    assert_eq!((lang_of(&office), lang_of(&phone)), (Some(Lang::En), Some(Lang::En)));
}

#[test]
fn a_busy_session_lives_on_but_not_for_ever() {
    let (_dir, people) = people();
    people.add_user(&user("reza", Role::Viewer, None), "cli", NOW).unwrap();
    let secret = welcome(people.sign_in(&attempt("reza", PASSWORD, "127.0.0.1"), NOW).unwrap());
    let mut hours = 0;
    while people.by_session(&secret, NOW + Duration::from_secs(hours * 3600)).unwrap().is_some() {
        hours += 6;
        assert!(hours < 400, "a session has no end");
    }
    assert_eq!(hours, 7 * 24 + 6);
}

#[test]
fn wrong_passwords_make_strangers_wait_and_never_a_device_its_owner_signed_in_from() {
    let (_dir, people) = people();
    people.add_user(&user("ali", Role::Admin, None), "cli", NOW).unwrap();
    let Login::Welcome(entry) = people.sign_in(&attempt("ali", PASSWORD, "10.0.0.1"), NOW).unwrap() else { panic!("not let in") };
    for _ in 0..5 {
        assert_eq!(people.sign_in(&attempt("ali", "wrong password", "10.0.0.9"), NOW).unwrap(), Login::Wrong);
    }
    let held = people.sign_in(&attempt("ali", PASSWORD, "10.0.0.10"), NOW).unwrap();
    assert_eq!(held, Login::Held(Duration::from_secs(5)), "from any address nobody knows");
    let own = |password: &str| Attempt { device: Some(entry.device.clone()), ..attempt("ali", password, "10.0.0.9") };
    assert!(matches!(people.sign_in(&own(PASSWORD), NOW).unwrap(), Login::Welcome(_)), "the owner's device, even from there");
    assert_eq!(people.sign_in(&attempt("ali", PASSWORD, "10.0.0.10"), NOW).unwrap(), held, "which does not help the strangers");
    for _ in 0..5 {
        assert_eq!(people.sign_in(&own("wrong password"), NOW).unwrap(), Login::Wrong);
    }
    assert!(matches!(people.sign_in(&own(PASSWORD), NOW).unwrap(), Login::Held(_)), "a stolen device guesses no faster");
    let later = NOW + Duration::from_secs(5);
    assert!(matches!(people.sign_in(&attempt("ali", PASSWORD, "10.0.0.10"), later).unwrap(), Login::Welcome(_)));
}

#[test]
fn failures_of_accounts_are_audited_those_of_names_nobody_has_are_counted() {
    let (_dir, people) = people();
    people.add_user(&user("ali", Role::Admin, None), "cli", NOW).unwrap();
    let mut now = NOW;
    for _ in 0..20 {
        now = now + Duration::from_secs(3_600);
        assert_eq!(people.sign_in(&attempt("ali", "wrong password", "10.0.0.9"), now).unwrap(), Login::Wrong);
    }
    let failed = |people: &People| {
        people.audit(&AuditFilter::default(), 100).unwrap().into_iter().filter(|entry| entry.action == "login.failed").collect::<Vec<_>>()
    };
    let of_ali: Vec<_> = failed(&people).into_iter().map(|entry| entry.detail).collect();
    assert_eq!(of_ali.len(), 7, "1 to 5, 8 and 16 in a row");
    assert_eq!(of_ali[0], "from 10.0.0.9, 16 in a row");
    for at in 0..20 {
        let name = format!("my secret word {at}");
        assert_eq!(people.sign_in(&attempt(&name, "x", &format!("10.0.1.{at}")), now).unwrap(), Login::Wrong);
    }
    let failed = failed(&people);
    assert_eq!(failed.len(), 7 + 5, "1, 2, 4, 8, 16");
    assert!(!format!("{failed:?}").contains("secret word"));
}

#[test]
fn removing_a_user_ends_their_sessions_and_keeps_the_last_administrator() {
    let (_dir, people) = people();
    people.add_user(&user("boss", Role::Admin, None), "cli", NOW).unwrap();
    people.add_user(&user("mina", Role::Viewer, None), "cli", NOW).unwrap();
    let secret = welcome(people.sign_in(&attempt("mina", PASSWORD, "127.0.0.1"), NOW).unwrap());
    people.remove_user("mina", "user:boss", NOW).unwrap();
    assert_eq!(people.by_session(&secret, NOW).unwrap(), None);
    assert!(matches!(people.remove_user("boss", "user:boss", NOW), Err(PeopleError::Refused(_))));
    assert!(matches!(people.add_user(&user("boss", Role::Admin, None), "cli", NOW), Err(PeopleError::Refused(_))));
    assert!(matches!(people.add_user(&user("a b", Role::Admin, None), "cli", NOW), Err(PeopleError::Refused(_))));
}

#[test]
fn a_token_works_until_it_ends_or_is_revoked() {
    let (_dir, people) = people();
    let expires_at = Some(NOW + Duration::from_secs(60));
    let wanted =
        NewToken { label: "grafana".to_owned(), role: Role::Viewer, region: Some("0902".to_owned()), expires_at, networks: Vec::new() };
    let bearer = people.add_token(&wanted, "user:boss", NOW).unwrap();
    let visitor = people.by_token(&bearer, "10.0.0.1", NOW).unwrap().unwrap();
    assert_eq!((visitor.role, visitor.region.as_deref()), (Role::Viewer, Some("0902")));
    assert_eq!(people.by_token(&bearer, "10.0.0.1", NOW + Duration::from_secs(61)).unwrap(), None);
    let id = people.tokens().unwrap()[0].id;
    people.revoke_token(id, "user:boss", NOW).unwrap();
    assert_eq!(people.by_token(&bearer, "10.0.0.1", NOW).unwrap(), None);
    let kept: Vec<_> = people.audit(&AuditFilter::default(), 10).unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(kept, ["token.revoke", "token.use", "token.add"], "its first use of a day is told, and no more");
    assert!(!format!("{:?}", people.tokens().unwrap()).contains(&bearer));
}

#[test]
fn a_link_signs_in_once_and_for_minutes() {
    let (_dir, people) = people();
    people.add_user(&user("demo", Role::Admin, None), "cli", NOW).unwrap();
    assert!(matches!(people.make_link("nobody", "cli", NOW), Err(PeopleError::Refused(_))));
    let link = people.make_link("demo", "cli", NOW).unwrap();
    // Looking at it does not use it up.
    assert_eq!(people.whose_link(&link, NOW).unwrap().as_deref(), Some("demo"));
    let session = people.sign_in_by_link(&link, "127.0.0.1", "browser", NOW).unwrap().unwrap();
    assert_eq!(people.by_session(&session, NOW).unwrap().unwrap().role, Role::Admin);
    assert_eq!(people.sign_in_by_link(&link, "127.0.0.1", "browser", NOW).unwrap(), None, "it is good once");
    let link = people.make_link("demo", "cli", NOW).unwrap();
    assert_eq!(people.whose_link(&link, NOW + LINK_VALIDITY).unwrap(), None);
    assert_eq!(people.sign_in_by_link(&link, "127.0.0.1", "browser", NOW + LINK_VALIDITY).unwrap(), None, "it is good for minutes");
    assert_eq!(people.sign_in_by_link("guess", "127.0.0.1", "browser", NOW).unwrap(), None);
    let link = people.make_link("demo", "cli", NOW).unwrap();
    people.add_user(&user("other", Role::Admin, None), "cli", NOW).unwrap();
    people.remove_user("demo", "cli", NOW).unwrap();
    assert_eq!(people.sign_in_by_link(&link, "127.0.0.1", "browser", NOW).unwrap(), None, "it goes with its user");
}

#[test]
fn a_second_factor_is_asked_for_once_it_is_in_force_and_no_code_counts_twice() {
    let (_dir, people) = people();
    people.add_user(&user("zahra", Role::Admin, None), "cli", NOW).unwrap();
    let people = people.with_second_factor_for(&[Role::Admin]);
    let visitor = |secret: &str| people.by_session(secret, NOW).unwrap().unwrap();
    let first = visitor(&welcome(people.sign_in(&attempt("zahra", PASSWORD, "10.0.0.1"), NOW).unwrap()));
    assert!(people.owes(&first), "an administrator without one may only set it up");
    let secret = people.begin_second_factor("zahra").unwrap().secret;
    assert!(!people.has_second_factor("zahra").unwrap(), "a secret nobody has shown to hold is not in force");
    let code = |at: UnixMs| second::code_at(&secret, at);
    assert_eq!(people.finish_second_factor(&first, "000000", NOW).unwrap(), None);
    let recovery = people.finish_second_factor(&first, &code(NOW), NOW).unwrap().unwrap();
    assert_eq!(recovery.len(), 10);

    let later = NOW + Duration::from_secs(60);
    let with = |code: &str| people.sign_in(&Attempt { code: code.to_owned(), ..attempt("zahra", PASSWORD, "10.0.0.1") }, later).unwrap();
    assert_eq!(with(""), Login::Wrong, "the password alone is not enough");
    assert_eq!(with(&code(NOW)), Login::Wrong, "the code it was set up with is used");
    let secret = welcome(with(&code(later)));
    assert!(!people.owes(&visitor(&secret)));
    assert_eq!(with(&code(later)), Login::Wrong, "a code somebody looked at is of no use");
    welcome(with(&recovery[0].to_uppercase()));
    assert_eq!(with(&recovery[0]), Login::Wrong, "a recovery code works once");
    let kept = std::fs::read(people.store.path()).unwrap();
    assert!(!kept.windows(16).any(|part| part == recovery[1].as_bytes()), "recovery codes are kept as digests");
    people.drop_second_factor("zahra", "cli", later).unwrap();
    welcome(with(""));
}
