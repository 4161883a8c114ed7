//! Administration: people, tokens, the registry, planned work, and the audit of it all. For administrators of everything:
//! one bound to a region would see other regions' people here.

use askama::Template;
use axum::Form;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use rusta_wire::UnixMs;
use serde::Deserialize;

use super::errors;
use crate::day::Day;
use crate::inventory::versions::{self, Import, VersionError, VersionRow};
use crate::inventory::{Difference, Fault, ListChange, Versions, source};
use crate::people::{AuditEntry, NewToken, NewUser, PeopleError, Role, TokenRow, UserRow, Visitor};
use crate::persian::{Lang, words};
use crate::view::Time;
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Lines of the audit log shown; the database keeps all.
const AUDIT_LINES: usize = 40;

/// Faults of an import shown at once; mending a hundred is a day's work already.
const FAULTS: usize = 100;

/// A national registry as XLSX is about 20 MB.
pub const LARGEST_UPLOAD: usize = 64 << 20;

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    p: Page,
    users: Vec<UserRow>,
    tokens: Vec<TokenRow>,
    fresh_token: Option<String>,
    versions: Vec<VersionRow>,
    planned: Vec<Planned>,
    audit: Vec<AuditEntry>,
    roles: Vec<(Role, &'static str)>,
}

struct Planned {
    reason: String,
    from: Option<Time>,
    until: Option<Time>,
    announced: Option<Time>,
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    p: Page,
    faults: Vec<(String, String, String)>,
    more_faults: usize,
    changes: Vec<(&'static str, ListChange)>,
    stored: Option<u32>,
}

/// Whether somebody may administer everything.
fn governs(visitor: &Visitor) -> bool {
    visitor.role >= Role::Admin && visitor.region.is_none()
}

/// Shows the page.
pub async fn page(State(web): State<WebState>, asked: Asked) -> Response {
    show(&web, &asked, None)
}

fn show(web: &WebState, asked: &Asked, fresh_token: Option<String>) -> Response {
    if !governs(&asked.visitor) {
        return asked.forbidden();
    }
    let read = || -> Result<_, PeopleError> { Ok((web.people.users()?, web.people.tokens()?, web.people.audit(AUDIT_LINES)?)) };
    let (users, tokens, audit) = match read() {
        Ok(read) => read,
        Err(error) => return asked.failed(&error),
    };
    let versions = match versions::list(&web.store) {
        Ok(versions) => versions.into_iter().rev().take(10).collect(),
        Err(error) => return asked.failed(&error),
    };
    let p = asked.page(Section::Admin, words(asked.prefs.lang).admin);
    let snapshot = web.snapshot();
    let planned = snapshot.inventory.maintenance.iter().map(|window| Planned {
        reason: window.reason.clone(),
        from: Some(Time(window.span.0)),
        until: Some(Time(window.span.1)),
        announced: Some(Time(window.announced_at)),
    });
    let roles = Role::ALL.iter().map(|role| (*role, role_word(*role, p.lang))).collect();
    let planned = planned.collect();
    asked.show(&AdminPage { users, tokens, fresh_token, versions, planned, audit, roles, p })
}

/// A filled-in form for a user.
#[derive(Debug, Deserialize)]
pub struct UserForm {
    csrf: String,
    what: String,
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    region: String,
}

/// Adds or removes a user.
pub async fn users(State(web): State<WebState>, asked: Asked, Form(form): Form<UserForm>) -> Response {
    if let Err(refusal) = may_govern(&asked, &form.csrf) {
        return refusal;
    }
    let (people, actor, now) = (web.people.clone(), asked.visitor.actor(), asked.at);
    let region = match known_region(&web, &form.region) {
        Ok(region) => region,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let done = tokio::task::spawn_blocking(move || match form.what.as_str() {
        "remove" => people.remove_user(&form.name, &actor, now),
        _ => {
            let role = form.role.parse().map_err(PeopleError::Refused)?;
            people.add_user(&NewUser { name: form.name, password: form.password, role, region }, &actor, now)
        }
    });
    match done.await {
        Ok(done) => back_to_admin(&asked, done),
        Err(error) => asked.failed(&error),
    }
}

/// A filled-in form for a token.
#[derive(Debug, Deserialize)]
pub struct TokenForm {
    csrf: String,
    what: String,
    #[serde(default)]
    id: i64,
    #[serde(default)]
    label: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    region: String,
}

/// Creates or revokes a token.
pub async fn tokens(State(web): State<WebState>, asked: Asked, Form(form): Form<TokenForm>) -> Response {
    if let Err(refusal) = may_govern(&asked, &form.csrf) {
        return refusal;
    }
    let actor = asked.visitor.actor();
    if form.what == "revoke" {
        return back_to_admin(&asked, web.people.revoke_token(form.id, &actor, asked.at));
    }
    let region = match known_region(&web, &form.region) {
        Ok(region) => region,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let role: Role = match form.role.parse() {
        Ok(role) => role,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    match web.people.add_token(&NewToken { label: form.label, role, region, expires_at: None }, &actor, asked.at) {
        // Shown in the answer itself and nowhere else: a redirect would have to keep it.
        Ok(token) => show(&web, &asked, Some(token)),
        Err(error) => asked.failed(&error),
    }
}

/// Checks or stores an uploaded workbook.
pub async fn import(State(web): State<WebState>, asked: Asked, upload: Multipart) -> Response {
    let form = match read_upload(upload).await {
        Ok(form) => form,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    if let Err(refusal) = may_govern(&asked, &form.csrf) {
        return refusal;
    }
    let (store, actor, now) = (web.store.clone(), asked.visitor.actor(), asked.at);
    let outcome = tokio::task::spawn_blocking(move || run_import(&store, &form, &actor, now)).await;
    let mut page = ImportPage {
        p: asked.page(Section::Admin, words(asked.prefs.lang).inventory_import),
        faults: Vec::new(),
        more_faults: 0,
        changes: Vec::new(),
        stored: None,
    };
    match outcome {
        Ok(Ok(Imported::Checked(difference))) => {
            let w = page.p.w;
            let nodes = page.p.lang.pick("گره‌ها", "nodes");
            page.changes =
                vec![(w.regions, difference.regions), (w.sites, difference.sites), (w.links, difference.links), (nodes, difference.nodes)];
        }
        Ok(Ok(Imported::Stored(version))) => page.stored = Some(version),
        Ok(Err(VersionError::Faults(faults))) => {
            page.more_faults = faults.len().saturating_sub(FAULTS);
            page.faults = faults.iter().take(FAULTS).map(|fault| fault_line(fault, page.p.lang)).collect();
        }
        Ok(Err(error)) => return asked.failed(&error),
        Err(error) => return asked.failed(&error),
    }
    asked.show(&page)
}

struct Upload {
    csrf: String,
    store: bool,
    name: String,
    bytes: Vec<u8>,
}

enum Imported {
    Checked(Box<Difference>),
    Stored(u32),
}

async fn read_upload(mut upload: Multipart) -> Result<Upload, String> {
    let mut form = Upload { csrf: String::new(), store: false, name: String::new(), bytes: Vec::new() };
    while let Some(field) = upload.next_field().await.map_err(|error| error.body_text())? {
        let (name, file) = (field.name().unwrap_or_default().to_owned(), field.file_name().map(str::to_owned));
        let bytes = field.bytes().await.map_err(|error| error.body_text())?;
        match name.as_str() {
            "csrf" => form.csrf = String::from_utf8_lossy(&bytes).into_owned(),
            "what" => form.store = &bytes[..] == b"store",
            "file" => (form.name, form.bytes) = (file.unwrap_or_default(), bytes.to_vec()),
            _ => {}
        }
    }
    Ok(form)
}

/// Reads the workbook through a file of its own: the reader wants one, and removes nothing of ours if it fails.
fn run_import(store: &crate::store::Store, form: &Upload, actor: &str, at: UnixMs) -> Result<Imported, VersionError> {
    let folder = store.path().with_file_name("upload");
    let file = folder.join(format!("{}.xlsx", at.0));
    let unreadable = |error: std::io::Error| {
        let kind = crate::inventory::Kind::Unreadable { reason: error.to_string() };
        VersionError::Faults(vec![Fault::at(&form.name, 0, "", kind)])
    };
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, &form.bytes)).map_err(unreadable)?;
    let draft = source::read(&file).map_err(VersionError::Faults);
    std::fs::remove_file(&file).map_err(unreadable)?;
    let draft = draft?;
    let effective_from = Day::of(at).start();
    if form.store {
        let built = versions::import(store, &draft, &Import { by: actor, at, effective_from })?;
        return Ok(Imported::Stored(built.inventory.version));
    }
    let built = draft.build(0, effective_from).map_err(VersionError::Faults)?;
    let current = Versions::load(store)?.at(effective_from);
    Ok(Imported::Checked(Box::new(Difference::between(&current, &built.inventory))))
}

fn fault_line(fault: &Fault, lang: Lang) -> (String, String, String) {
    let (text, fix) = match lang {
        Lang::Fa => (fault.persian(), fault.fix_persian()),
        Lang::En => (fault.english(), fault.fix()),
    };
    (fault.place.to_string(), text, fix)
}

#[allow(clippy::result_large_err)] // The error is the answer.
fn may_govern(asked: &Asked, csrf: &str) -> Result<(), Response> {
    asked.may_change(Role::Admin, csrf)?;
    if governs(&asked.visitor) { Ok(()) } else { Err(asked.forbidden()) }
}

fn known_region(web: &WebState, code: &str) -> Result<Option<String>, String> {
    match code.trim() {
        "" => Ok(None),
        code if web.snapshot().inventory.region_by_code(code).is_some() => Ok(Some(code.to_owned())),
        code => Err(format!("there is no region `{code}`")),
    }
}

fn back_to_admin(asked: &Asked, done: Result<(), PeopleError>) -> Response {
    match done {
        Ok(()) => (StatusCode::SEE_OTHER, [(LOCATION, "/admin")]).into_response(),
        Err(PeopleError::Refused(reason)) => errors::refused_page(asked, &reason),
        Err(error) => asked.failed(&error),
    }
}

fn role_word(role: Role, lang: Lang) -> &'static str {
    let w = words(lang);
    match role {
        Role::Viewer => w.role_viewer,
        Role::Operator => w.role_operator,
        Role::Admin => w.role_admin,
    }
}
