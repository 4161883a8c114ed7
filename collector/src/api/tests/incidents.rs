use axum::http::StatusCode;

use super::{get_with, post, routed, stage};
use crate::inventory::Inventory;
use crate::people::Role;
use crate::store::{Store, StoreError};

/// Adds incidents of one site each, every third of them over, spread over the counties; returns their sites by number.
fn add_incidents(store: &Store, inventory: &Inventory) -> Vec<(i64, String)> {
    let sites = inventory.sites.iter().step_by(3).take(200).map(|site| site.code.clone());
    let rows: Vec<(i64, String)> = (100..).zip(sites).collect();
    store
        .write(|tx| {
            for (id, site) in &rows {
                let sql = "INSERT INTO incidents (id, root_kind, root_code, rule_kind, root_fa, root_en, trouble, measured, started_at,
                           opened_at, resolved_at, causes, sites, villages, villages_share, classes)
                           VALUES (?1, 'site', ?2, 'site', ?2, ?2, 'down', 1, ?3, ?3, ?4, '[]', 1, 1, 0.0, 'B')";
                tx.execute(sql, (id, site, stage::NOW.0 - 1_000, (id % 3 == 0).then_some(stage::NOW.0)))?;
                let sql = "INSERT INTO incident_members (incident, site_code, link_name, trouble, since, attached_at)
                           VALUES (?1, ?2, 'l', 'down', 1, 1)";
                tx.execute(sql, (id, site))?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    rows
}

/// Reads the numbers a page lists, and the address of the next.
fn read(page: &str) -> (Vec<i64>, Option<String>) {
    let number = |part: &str| part.split('"').next().unwrap().parse().ok();
    let mut ids: Vec<i64> = page.split("href=\"/incidents/").skip(1).filter_map(number).collect();
    ids.dedup();
    let pager = page.split("class=\"pager\"").nth(1);
    let next = pager.map(|pager| pager.split("href=\"").nth(1).unwrap().split('"').next().unwrap());
    (ids, next.map(|address| address.replace("&amp;", "&").replace("&#38;", "&")))
}

#[tokio::test]
async fn no_incident_is_missed_while_some_end_between_two_pages() {
    let (_dir, web) = stage::web();
    let province = stage::province();
    let rows = add_incidents(&web.store, &province);
    let county = province.regions.iter().find(|region| region.kind.as_str() == "county").unwrap().code.clone();
    let of_county = province.region_by_code(&county).unwrap();
    let of_county: Vec<i64> = rows
        .iter()
        .filter(|(_, site)| province.is_within(province.site(province.site_by_code(site).unwrap()).region, of_county))
        .map(|(id, _)| *id)
        .collect();
    assert!(of_county.len() > 10, "{}", of_county.len());
    let all = stage::session(&web.people, "hame", Role::Viewer, None).0;
    let bound = stage::session(&web.people, "karim", Role::Viewer, Some(&county)).0;
    let store = web.store.clone();
    let router = routed(web);
    for (cookie, expected) in [(all, rows.iter().map(|(id, _)| *id).collect()), (bound, of_county)] {
        let (mut seen, mut address) = (Vec::new(), Some("/incidents?all=1".to_owned()));
        while let Some(page) = address {
            let (ids, next) = read(&get_with(&router, &page, &cookie).await.text());
            assert!(!ids.is_empty(), "{page} is empty");
            seen.extend(ids);
            address = next;
            // Work goes on while somebody reads.
            let sql = "UPDATE incidents SET resolved_at = 9 WHERE id IN
                       (SELECT id FROM incidents WHERE resolved_at IS NULL AND id >= 100 ORDER BY id * 7919 % 101 LIMIT 20)";
            store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, [])?)).unwrap();
        }
        let missed: Vec<&i64> = expected.iter().filter(|id| !seen.contains(id)).collect();
        assert!(missed.is_empty(), "{missed:?} are on no page");
    }
}

#[tokio::test]
async fn a_site_s_page_says_in_persian_why_nobody_was_called_to_those_who_may_know() {
    let (_dir, web) = stage::web();
    let site = stage::a_down_site();
    web.store
        .write(|tx| {
            let sql = "INSERT INTO decisions (case_key, at, stage, verdict, reason, site) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let decided = |key: &str, stage: &str, verdict: &str, reason: &str| {
                (key.to_owned(), 1, stage.to_owned(), verdict.to_owned(), reason.to_owned(), site.clone())
            };
            tx.execute(sql, decided("alert/agent-silent/agent/00000000000000a1", "root_cause", "drop", "explained by incident 12"))?;
            tx.execute(sql, decided(&format!("site/{site}"), "judge", "hold", "gov0: parent_undecided"))?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let operator = stage::session(&web.people, "omid", Role::Operator, None).0;
    let viewer = stage::session(&web.people, "vida", Role::Viewer, None).0;
    let router = routed(web);
    let page = get_with(&router, &format!("/sites/{site}?lang=fa"), &operator).await.text();
    for said in ["رخداد ۱۲ آن را توضیح می‌دهد", "gov0: منتظر تشخیص علت بالادست", "alert/agent-silent/agent/00000000000000a1"]
    {
        assert!(page.contains(said), "{said}");
    }
    assert!(!get_with(&router, &format!("/sites/{site}?lang=fa"), &viewer).await.text().contains("رخداد ۱۲ آن"));
}

#[tokio::test]
async fn every_refusal_is_in_the_reader_s_language() {
    let (_dir, web) = stage::web();
    let admin = stage::session(&web.people, "boss", Role::Admin, None);
    let router = routed(web);
    let user = |rest: &str| ("/admin/users", format!("what=add&{rest}"));
    let work = |rest: &str| ("/admin/maintenance", format!("what=add&reason=r&{rest}"));
    let hours = "from=1405-09-01+08:00&until=1405-09-01+12:00";
    let refused = [
        user("name=boss&password=ten+letters!&role=viewer"),
        user("name=a+b&password=ten+letters!&role=viewer"),
        user("name=nader&password=short&role=viewer"),
        user("name=nader&password=ten+letters!&role=king"),
        user("name=nader&password=ten+letters!&role=viewer&region=0000"),
        ("/admin/users", "what=remove&name=nobody".to_owned()),
        ("/admin/users", "what=remove&name=boss".to_owned()),
        ("/admin/tokens", "what=revoke&id=77".to_owned()),
        ("/admin/maintenance", "what=end&id=77".to_owned()),
        work("from=yesterday&until=1405-09-01&covers=site/x"),
        work("from=1405-09-01&until=soon&covers=site/x"),
        work("from=1405-09-02&until=1405-09-01&covers=site/x"),
        work("from=1404-09-02&until=1404-09-03&covers=site/x"),
        work(&format!("{hours}&covers=")),
        work(&format!("{hours}&covers=site/nowhere")),
        ("/incidents/1", "what=note&text=".to_owned()),
        ("/incidents/1", "what=cause&text=XXX".to_owned()),
        ("/incidents/2", "what=acknowledge".to_owned()),
    ];
    let text = |page: &str| page.split("<main").nth(1).unwrap().split("</main>").next().unwrap().to_owned();
    for (address, form) in refused {
        let form = format!("csrf={}&{form}", admin.1);
        let english = post(&router, &format!("{address}?lang=en"), &form, &admin.0).await;
        assert_eq!(english.status, StatusCode::UNPROCESSABLE_ENTITY, "{address} {form}");
        let persian = text(&post(&router, &format!("{address}?lang=fa"), &form, &admin.0).await.text());
        for word in [" is ", " a ", " of ", "write", "longer", "give", "cannot"] {
            assert!(!persian.contains(word), "{address} {form}: {persian}");
        }
        assert_ne!(persian, text(&english.text()));
    }
}

#[tokio::test]
async fn the_largest_open_incident_stands_first_and_every_filter_says_what_it_leaves() {
    let (_dir, web) = stage::web();
    let province = stage::province();
    let rows = add_incidents(&web.store, &province);
    let set = |sql: &str| web.store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, [])?)).unwrap();
    let open = rows.iter().map(|(id, _)| *id).filter(|id| id % 3 != 0).collect::<Vec<_>>();
    let (large, owned, told) = (open[open.len() / 2], open[3], open[5]);
    set(&format!("UPDATE incidents SET villages = 148, sites = 160 WHERE id = {large}"));
    set(&format!("UPDATE incidents SET assignee = 'maryam' WHERE id = {owned}"));
    let call = format!("'a', 'incident/{told}', 'ali', '[]', '{{}}', 1, 1, 'delivered'");
    set(&format!("INSERT INTO outbox (id, case_key, recipient, channels, letter, created_at, next_at, state) VALUES ({call})"));
    let cookie = stage::session(&web.people, "hame", Role::Viewer, None).0;
    let router = routed(web);
    let walk = async |first: &str| {
        let (mut seen, mut address) = (Vec::new(), Some(first.to_owned()));
        while let Some(page) = address {
            let (ids, next) = read(&get_with(&router, &page, &cookie).await.text());
            seen.extend(ids);
            address = next;
        }
        seen
    };
    let all = walk("/incidents").await;
    let mut sorted = all.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!((all[0], sorted.len()), (large, all.len()), "the largest first, none twice");
    assert!(open.iter().all(|id| all.contains(id)), "none is left out");
    assert_eq!(walk("/incidents?owner=maryam").await, [owned]);
    let without = |id: i64| all.iter().copied().filter(|other| *other != id).collect::<Vec<_>>();
    assert_eq!(walk("/incidents?owner=-").await, without(owned));
    assert_eq!(walk("/incidents?told=no").await, without(told));
    for nothing in ["/incidents?owner=nobody-of-this-name", "/incidents?region=nowhere", "/incidents?since=x", "/incidents?after=x"] {
        assert!(walk(nothing).await.is_empty(), "{nothing}");
    }
    let wall = get_with(&router, "/?lang=en", &cookie).await.text();
    assert!(wall.contains("148 villages") && wall.contains("nobody told"), "the wall says what is worst, and that nobody knows");
}
