//! What a person does on a page holds when the page answers: with the engine and the agents' assignments behind it. And
//! who may not do it is refused before a byte of what they send is read.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use hyper::body::Frame;
use tokio::sync::watch;

use super::{Answer, ask, get_with, post, routed};
use crate::advance::{self, Advance};
use crate::clock;
use crate::config::Thresholds;
use crate::ingest::{Assignments, InventoryAssignments};
use crate::inventory::versions::{self, Import};
use crate::inventory::{Published, export, source};
use crate::log::{self, Keeping, Log};
use crate::people::{Attempt, Login, NewUser, Role};
use crate::store::Store;
use crate::web::WebState;

const PASSWORD: &str = "correct horse battery staple";

fn registry(target: &str) -> source::Files {
    let profiles = format!(
        "- name: fixed\n  networks: [gov]\n  targets:\n    - {{ name: {target}, rung: gateway, every: 60s, icmp: {{ address: 10.0.0.1, count: 1 }} }}\n"
    );
    let list = [
        (
            "regions.csv",
            "code,kind,parent_code,name_fa\n09,province,,خراسان\n0901,county,09,مشهد\n090101,district,0901,مرکزی\n\
          0901010001,rural_district,090101,طوس\n0901010001000001,village,0901010001,علی‌آباد\n",
        ),
        ("sites.csv", "code,kind,region_code,name_fa\nV-1,village,0901010001000001,علی‌آباد\n"),
        ("links.csv", "site_code,name,network,role,access\nV-1,gov0,gov,primary,radio\n"),
        ("profiles.yaml", &profiles),
    ];
    list.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect::<BTreeMap<_, _>>()
}

struct Running {
    _dir: tempfile::TempDir,
    web: WebState,
    router: Router,
    assignments: InventoryAssignments,
    cookie: String,
    csrf: String,
    _stop: watch::Sender<bool>,
}

/// Pages over a running engine, and a governor signed in.
fn running() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let import = Import { by: "cli", at: clock::now(), effective_from: rusta_wire::UnixMs(0) };
    versions::import(&store, &source::draft(&registry("gateway")).unwrap(), &import).unwrap();
    let registry = Published::load(store.clone()).unwrap();
    let log = Log::open(Keeping { dir: log::dir_in(dir.path()), retention_days: 9, group_commit: Duration::from_millis(1) }).unwrap();
    let parts = advance::Parts { log, store: store.clone(), inventories: registry.follow(), thresholds: Thresholds::default() };
    let advance = Advance::open(parts, clock::now()).unwrap();
    let web = WebState::new(advance.snapshots(), store).with_registry(registry.clone());
    let (stop, stopped) = watch::channel(false);
    let _ends_with_its_teller = advance.run(stopped);
    for (name, role) in [("governor", Role::Admin), ("viewer", Role::Viewer)] {
        let user = NewUser { name: name.to_owned(), password: PASSWORD.to_owned(), role, region: None };
        web.people.add_user(&user, "cli", clock::now()).unwrap();
    }
    let (cookie, csrf) = signed_in(&web, "governor");
    let router = routed(web.clone());
    Running { _dir: dir, web, router, assignments: InventoryAssignments::new(registry.follow()), cookie, csrf, _stop: stop }
}

fn signed_in(web: &WebState, name: &str) -> (String, String) {
    let attempt = Attempt { name: name.to_owned(), password: PASSWORD.to_owned(), address: "127.0.0.1".to_owned(), ..Attempt::default() };
    let Login::Welcome(entry) = web.people.sign_in(&attempt, clock::now()).unwrap() else { panic!("not let in") };
    let visitor = web.people.by_session(&entry.session, clock::now()).unwrap().unwrap();
    (format!("rusta_session={}", entry.session), visitor.csrf)
}

impl Running {
    async fn post(&self, address: &str, form: &str) -> Answer {
        post(&self.router, address, &format!("csrf={}&{form}", self.csrf), &self.cookie).await
    }

    /// The address the form of the governor's session sends a workbook to.
    async fn upload_address(&self) -> String {
        let form = get_with(&self.router, "/admin/import", &self.cookie).await.text();
        let after = form.split("action=\"/admin/import/check/").nth(1).unwrap_or_else(|| panic!("{form}"));
        format!("/admin/import/check/{}", &after[..64])
    }
}

fn multipart(address: &str, cookie: &str, body: Body) -> Request<Body> {
    Request::post(address).header("content-type", "multipart/form-data; boundary=b").header("cookie", cookie).body(body).unwrap()
}

fn form_with(workbook: &[u8]) -> Vec<u8> {
    let mut form = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"list.xlsx\"\r\n\r\n".to_vec();
    form.extend_from_slice(workbook);
    form.extend_from_slice(b"\r\n--b--\r\n");
    form
}

/// Work announced by page held only after another process wrote the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_announced_by_page_holds_when_the_page_answers() {
    let running = running();
    let windows = || running.web.snapshot().inventory.maintenance.len();
    assert_eq!(windows(), 0);
    let from = clock::now() - Duration::from_secs(60);
    let until = clock::now() + Duration::from_secs(3_600);
    let time = |at: rusta_wire::UnixMs| crate::persian::Moment::at(at).rfc3339().replace('+', "%2B");
    let form = format!("what=add&reason=mast&from={}&until={}&covers=site/V-1", time(from), time(until));
    let answer = running.post("/admin/maintenance", &form).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(windows(), 1);
    let answer = running.post("/admin/maintenance", "what=end&id=1").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(running.web.snapshot().inventory.maintenance.iter().all(|window| window.ended_at.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_imported_by_page_holds_when_the_page_answers() {
    let running = running();
    let measured = |assignments: &InventoryAssignments| assignments.version("V-1");
    let (before, version) = (measured(&running.assignments), running.web.snapshot().inventory.version);
    let workbook = export::to_workbook(&registry("gateway-2")).unwrap();
    let address = running.upload_address().await;
    let checked = ask(&running.router, multipart(&address, &running.cookie, Body::from(form_with(&workbook)))).await.text();
    let upload = checked.split("name=\"upload\" value=\"").nth(1).unwrap_or_else(|| panic!("{checked}"))[..64].to_owned();
    assert_eq!(running.web.snapshot().inventory.version, version, "a look changes nothing");
    let stored = running.post("/admin/import/store", &format!("upload={upload}&from=1405-01-01")).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(running.web.snapshot().inventory.version, version + 1, "the engine and the pages");
    assert_ne!(measured(&running.assignments), before, "the agents' assignments");
}

/// A body that tells whether anybody read of it.
struct Unread(Arc<AtomicBool>);

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.0.store(true, Ordering::Relaxed);
        Poll::Ready(None)
    }
}

/// 64 MiB were read before anybody asked for the role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_import_is_refused_before_a_byte_is_read() {
    let running = running();
    let own = running.upload_address().await;
    let (viewer, _) = signed_in(&running.web, "viewer");
    let foreign = format!("/admin/import/check/{}", "0".repeat(64));
    let short = &own[..own.len() - 1];
    for (what, address, cookie, status) in [
        ("a viewer", own.as_str(), viewer.as_str(), 403),
        ("another session's form", &foreign, &running.cookie, 403),
        ("half a ticket", short, &running.cookie, 403),
        ("nobody", &own, "", 303),
    ] {
        let read = Arc::new(AtomicBool::new(false));
        let answer = ask(&running.router, multipart(address, cookie, Body::new(Unread(read.clone())))).await;
        assert_eq!(answer.status, status, "{what}");
        assert!(!read.load(Ordering::Relaxed), "{what}: the body was read");
    }
    let uploads = || std::fs::read_dir(running._dir.path().join("upload")).map_or(0, Iterator::count);
    assert_eq!(uploads(), 0);
    // Whoever may is told what is wrong, and nothing of it stays.
    for body in [form_with(b"no workbook"), b"--b\r\n\r\n".to_vec(), Vec::new()] {
        let answer = ask(&running.router, multipart(&own, &running.cookie, Body::from(body))).await;
        assert!(answer.status == 200 || answer.status == 422, "{}", answer.status);
        assert_eq!(uploads(), 0);
    }
    let large = Body::from(form_with(&vec![b'x'; 65 << 20]));
    let answer = ask(&running.router, multipart(&own, &running.cookie, large)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(uploads(), 0);
}
