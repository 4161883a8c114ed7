//! The wizard that brings in a registry: a workbook is uploaded, checked and compared; only what was checked can be stored.
//!
//! ```text
//! upload --> kept as upload/SHA-256.xlsx --> faults, or the difference to the registry in force --> stored from a day on
//! ```
//! What is stored is the file that was checked, byte for byte. Uploads nobody stored are removed after a day.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use askama::Template;
use axum::Form;
use axum::extract::{Multipart, State};
use axum::response::Response;
use rusta_wire::UnixMs;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::admin::{governs, may_endanger, may_govern};
use super::errors;
use crate::inventory::versions::{self, Import, VersionError};
use crate::inventory::{Difference, Draft, Fault, Kind, ListChange, Versions, source};
use crate::persian::{JalaliDate, Lang, words};
use crate::store::Store;
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Faults shown at once; mending a hundred is a day's work already.
const FAULTS: usize = 100;

/// Codes named of each kind of change.
const NAMED: usize = 12;

/// A national registry as XLSX is about 20 MB.
pub const LARGEST_UPLOAD: usize = 64 << 20;

/// Uploads older than this were forgotten.
const FORGOTTEN_MS: i64 = 86_400_000;

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    p: Page,
    step: Step,
}

enum Step {
    Choose,
    Faulty { name: String, faults: Vec<(String, String, String)>, more: usize },
    Checked { name: String, changes: Vec<Change>, upload: String, today: String, programs: usize },
    Stored { version: u32, from: String },
}

/// How one list differs.
struct Change {
    title: &'static str,
    total: usize,
    /// What is added, removed and changed.
    lists: [Listed; 3],
}

/// How many, and which first.
struct Listed {
    count: usize,
    codes: String,
}

/// Shows the first step.
pub async fn form(asked: Asked) -> Response {
    if !governs(&asked.visitor) {
        return asked.forbidden();
    }
    // Asked before a workbook is sent, not after.
    match asked.is_confirmed() {
        Ok(()) => show(&asked, Step::Choose),
        Err(refusal) => refusal,
    }
}

fn show(asked: &Asked, step: Step) -> Response {
    asked.show(&ImportPage { p: asked.page(Section::Admin, words(asked.prefs.lang).inventory_import), step })
}

/// Checks an uploaded workbook; nothing of the registry changes.
pub async fn check(State(web): State<WebState>, asked: Asked, upload: Multipart) -> Response {
    let form = match read_upload(upload).await {
        Ok(form) => form,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    if let Err(refusal) = may_govern(&asked, &form.csrf) {
        return refusal;
    }
    let (store, now, lang) = (web.store.clone(), asked.at, asked.prefs.lang);
    match tokio::task::spawn_blocking(move || checked(&store, form, now, lang)).await {
        Ok(Ok(step)) => show(&asked, step),
        Ok(Err(error)) => asked.failed(&error),
        Err(error) => asked.failed(&error),
    }
}

/// A filled-in form of the last step.
#[derive(Debug, Deserialize)]
pub struct StoreForm {
    #[serde(default)]
    csrf: String,
    upload: String,
    from: String,
}

/// Stores what was checked as the next version.
pub async fn store(State(web): State<WebState>, asked: Asked, Form(form): Form<StoreForm>) -> Response {
    if let Err(refusal) = may_endanger(&asked, &form.csrf) {
        return refusal;
    }
    let from: JalaliDate = match form.from.trim().parse() {
        Ok(day) => day,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let Some(file) = kept(&web.store, &form.upload) else {
        return errors::refused_page(
            &asked,
            asked.prefs.lang.pick("فایل دیگر نگه داشته نشده است؛ دوباره بفرستید.", "the file is kept no longer; upload it again"),
        );
    };
    let (store, actor, now) = (web.store.clone(), asked.visitor.actor(), asked.at);
    let stored = tokio::task::spawn_blocking(move || {
        let draft = source::read(&file).map_err(VersionError::Faults)?;
        let built = versions::import(&store, &draft, &Import { by: &actor, at: now, effective_from: from.start() })?;
        // It stands in the registry; a file that cannot be removed is removed with tomorrow's upload.
        let _kept = std::fs::remove_file(&file);
        Ok::<_, VersionError>(built.inventory.version)
    });
    match stored.await {
        Ok(Ok(version)) => show(&asked, Step::Stored { version, from: from.in_figures(asked.prefs.lang) }),
        Ok(Err(VersionError::Faults(faults))) => show(&asked, faulty(String::new(), &faults, asked.prefs.lang)),
        Ok(Err(error)) => asked.failed(&error),
        Err(error) => asked.failed(&error),
    }
}

struct Upload {
    csrf: String,
    name: String,
    bytes: Vec<u8>,
}

async fn read_upload(mut upload: Multipart) -> Result<Upload, String> {
    let mut form = Upload { csrf: String::new(), name: String::new(), bytes: Vec::new() };
    while let Some(field) = upload.next_field().await.map_err(|error| error.body_text())? {
        let (name, file) = (field.name().unwrap_or_default().to_owned(), field.file_name().map(str::to_owned));
        let bytes = field.bytes().await.map_err(|error| error.body_text())?;
        match name.as_str() {
            "csrf" => form.csrf = String::from_utf8_lossy(&bytes).into_owned(),
            "file" => (form.name, form.bytes) = (file.unwrap_or_default(), bytes.to_vec()),
            _ => {}
        }
    }
    Ok(form)
}

/// Reads the workbook through a file of its own: the reader wants one, and the next step stores the same bytes.
fn checked(store: &Store, form: Upload, now: UnixMs, lang: Lang) -> Result<Step, VersionError> {
    let upload = format!("{:x}", Sha256::digest(&form.bytes));
    let file = folder(store).join(format!("{upload}.xlsx"));
    let unreadable = |error: std::io::Error| {
        let kind = Kind::Unreadable { reason: error.to_string() };
        VersionError::Faults(vec![Fault::at(&form.name, 0, "", kind)])
    };
    std::fs::create_dir_all(folder(store)).and_then(|()| std::fs::write(&file, &form.bytes)).map_err(unreadable)?;
    forget_old(&folder(store), now);
    let compared = source::read(&file).and_then(|draft| compare(&draft, now));
    let new = match compared {
        Ok(new) => new,
        Err(faults) => {
            std::fs::remove_file(&file).map_err(unreadable)?;
            return Ok(faulty(form.name, &faults, lang));
        }
    };
    let current = Versions::load(store)?.at(now);
    let difference = Difference::between(&current, &new);
    let w = words(lang);
    let lists = [
        (w.regions, difference.regions),
        (w.sites, difference.sites),
        (w.links, difference.links),
        (lang.pick("گره‌ها", "nodes"), difference.nodes),
        (lang.pick("هدف‌های سنجش", "targets"), difference.targets),
    ];
    let changes = lists.into_iter().map(|(title, change)| describe(title, &change)).collect();
    let programs = difference.programs.len();
    Ok(Step::Checked { name: form.name, changes, upload, today: JalaliDate::at(now).in_figures(lang), programs })
}

fn compare(draft: &Draft, now: UnixMs) -> Result<crate::inventory::Inventory, Vec<Fault>> {
    Ok(draft.build(0, JalaliDate::at(now).start())?.inventory)
}

fn describe(title: &'static str, change: &ListChange) -> Change {
    let listed = |codes: &[String]| {
        let more = if codes.len() > NAMED { " …" } else { "" };
        Listed {
            count: codes.len(),
            codes: format!("{}{more}", codes.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ")),
        }
    };
    // Of what agents measure, what it becomes is the point: a code alone would hide it.
    let changed: Vec<_> = change.changed.iter().map(|(code, what)| format!("{code} ({what})")).collect();
    Change { title, total: change.total, lists: [&change.added, &change.removed, &changed].map(|codes| listed(codes)) }
}

fn faulty(name: String, faults: &[Fault], lang: Lang) -> Step {
    let line = |fault: &Fault| {
        let (text, fix) = match lang {
            Lang::Fa => (fault.persian(), fault.fix_persian()),
            Lang::En => (fault.english(), fault.fix()),
        };
        (fault.place.to_string(), text, fix)
    };
    Step::Faulty { name, faults: faults.iter().take(FAULTS).map(line).collect(), more: faults.len().saturating_sub(FAULTS) }
}

fn folder(store: &Store) -> PathBuf {
    store.path().with_file_name("upload")
}

/// Finds a checked upload; anything that is not the name of one is none.
fn kept(store: &Store, upload: &str) -> Option<PathBuf> {
    let is_name = upload.len() == 64 && upload.bytes().all(|byte| byte.is_ascii_hexdigit());
    let file = folder(store).join(format!("{upload}.xlsx"));
    (is_name && file.is_file()).then_some(file)
}

fn forget_old(folder: &Path, now: UnixMs) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let written = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        if written.is_some_and(|written| i64::try_from(written.as_millis()).is_ok_and(|at| now.0 - at > FORGOTTEN_MS))
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(%error, file = %entry.path().display(), "old upload not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_checked_upload_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        std::fs::create_dir_all(folder(&store)).unwrap();
        let name = "a".repeat(64);
        assert_eq!(kept(&store, &name), None);
        std::fs::write(folder(&store).join(format!("{name}.xlsx")), b"x").unwrap();
        assert!(kept(&store, &name).is_some());
        assert_eq!(kept(&store, "../../etc/passwd"), None);
        assert_eq!(kept(&store, &format!("../{}", "a".repeat(61))), None);
    }

    #[test]
    fn a_workbook_that_is_none_is_faulty_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let form = Upload { csrf: String::new(), name: "list.xlsx".to_owned(), bytes: b"no workbook".to_vec() };
        let step = checked(&store, form, UnixMs(1_795_206_600_000), Lang::Fa).unwrap();
        assert!(matches!(step, Step::Faulty { faults, .. } if !faults.is_empty()));
        assert_eq!(std::fs::read_dir(folder(&store)).unwrap().count(), 0);
    }
}
