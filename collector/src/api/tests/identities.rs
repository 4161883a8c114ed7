//! The page on which an administrator revokes, replaces and approves agents.

use axum::http::StatusCode;

use super::{get_with, post, routed, stage};
use crate::identity::{Registry, Standing};
use crate::people::Role;
use crate::store::StoreError;

const THIEF: &str = "00000000000000a1";
const SECOND: &str = "00000000000000a2";

fn enrolled(web: &crate::web::WebState, site: &str) -> Registry {
    let insert = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after, approved) VALUES (?1, ?2, 'k', ?3, ?4, ?5)";
    let (from, until) = (stage::NOW.0 - 1_000, stage::NOW.0 + 86_400_000);
    let agents = [(THIEF, true), (SECOND, false)];
    let write = |db: &rusqlite::Transaction<'_>| {
        agents.iter().try_for_each(|(id, approved)| db.execute(insert, (id, site, from, until, approved)).map(drop))?;
        Ok::<_, StoreError>(())
    };
    web.store.write(write).unwrap();
    Registry::load(&web.store).unwrap()
}

#[tokio::test]
async fn an_agent_is_revoked_replaced_and_approved_on_a_page_and_that_holds_when_it_answers() {
    let (_dir, web) = stage::web();
    let site = stage::province().sites[0].code.clone();
    let registry = enrolled(&web, &site);
    let standing = |id: &str| registry.standing(id.parse().unwrap());
    let router = routed(web.clone().with_agents(registry.clone()));
    let (cookie, csrf) = stage::session(&web.people, "boss", Role::Admin, None);
    let (operator, operators_csrf) = stage::session(&web.people, "omid", Role::Operator, None);
    assert_eq!(get_with(&router, "/admin/agents", &operator).await.status, StatusCode::FORBIDDEN);
    let page = get_with(&router, "/admin/agents?q=A2", &cookie).await;
    assert!(page.status == StatusCode::OK && page.text().contains(SECOND) && !page.text().contains(THIEF), "{}", page.text());

    let change = |what: &str, id: &str, more: &str| format!("csrf={csrf}&what={what}&id={id}{more}");
    let refused = [
        (change("revoke", THIEF, ""), "without a reason"),
        (change("revoke", THIEF, "&reason=+"), "with an empty one"),
        (change("revoke", THIEF, "&reason=stolen&since=soon"), "since no time"),
        (change("revoke", THIEF, "&reason=stolen&since=1500-01-01"), "since a time to come"),
        (change("revoke", "00000000000000ff", "&reason=stolen"), "whom there is not"),
        (change("revoke", "nobody", "&reason=stolen"), "whom there cannot be"),
        (change("approve", THIEF, ""), "who does not wait"),
        (change("wipe", THIEF, ""), "for something nobody knows"),
    ];
    for (form, why) in &refused {
        assert_eq!(post(&router, "/admin/agents", form, &cookie).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{why}");
    }
    let by_operator = format!("csrf={operators_csrf}&what=revoke&id={THIEF}&reason=x");
    assert_eq!(post(&router, "/admin/agents", &by_operator, &operator).await.status, StatusCode::FORBIDDEN);
    assert_eq!((standing(THIEF), standing(SECOND)), (Standing::Speaks(site.as_str().into()), Standing::Waits));

    assert_eq!(post(&router, "/admin/agents", &change("approve", SECOND, ""), &cookie).await.status, StatusCode::SEE_OTHER);
    assert_eq!(standing(SECOND), Standing::Speaks(site.as_str().into()));
    let replaced = post(&router, "/admin/agents", &change("replace", THIEF, "&reason=stolen+router&since=1405-08-20"), &cookie).await;
    assert_eq!(replaced.status, StatusCode::OK);
    assert_eq!(standing(THIEF), Standing::Revoked);
    let text = replaced.text();
    let token = text.split("class=\"secret\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(token.len(), 26);
    assert!(!get_with(&router, "/admin/agents", &cookie).await.text().contains(token), "shown once");

    let (kept, audited): ((String, i64), Vec<String>) = web
        .store
        .read(|db| {
            let kept =
                db.query_row("SELECT revoke_reason, disowned_since FROM agents WHERE id = ?1", [THIEF], |r| Ok((r.get(0)?, r.get(1)?)))?;
            let mut rows = db.prepare("SELECT actor || ' ' || action || ' ' || detail FROM audit WHERE actor = 'user:boss' ORDER BY id")?;
            let audited = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok::<_, StoreError>((kept, audited))
        })
        .unwrap();
    assert_eq!(kept, ("stolen router".to_owned(), crate::inventory::dates::moment("1405-08-20").unwrap().0));
    let told = |beginning: &str| audited.iter().any(|line| line.starts_with(beginning));
    assert!(told(&format!("user:boss agent.revoke {site}: stolen router")) && told("user:boss agent.disown since "), "{audited:?}");
    assert!(told("user:boss agent.approve") && told("user:boss token.make") && !audited.concat().contains(token), "{audited:?}");
}

#[tokio::test]
async fn who_typed_no_password_lately_is_asked_for_it_before_an_agent_is_revoked() {
    let (_dir, web) = stage::web();
    let registry = enrolled(&web, &stage::province().sites[0].code);
    let router = routed(web.clone().with_agents(registry.clone()));
    let (cookie, csrf) = stage::session(&web.people, "boss", Role::Admin, None);
    web.store.write(|db| Ok::<_, StoreError>(db.execute("UPDATE sessions SET confirmed_at = 0", [])?)).unwrap();
    let asked = post(&router, "/admin/agents", &format!("csrf={csrf}&what=revoke&id={THIEF}&reason=x"), &cookie).await;
    assert!(asked.status == StatusCode::FORBIDDEN && asked.text().contains("/account/confirm"), "{}", asked.text());
    assert!(matches!(registry.standing(THIEF.parse().unwrap()), Standing::Speaks(_)));
}
