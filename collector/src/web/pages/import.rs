//! The wizard that brings in a registry: a workbook is uploaded, checked and compared; only what was checked can be stored.
//!
//! ```text
//! upload --> kept as upload/SHA-256.xlsx --> faults, or the difference to the registry in force --> stored from a day on
//! ```
//! What is stored is the file that was checked, byte for byte. Uploads nobody stored are removed after a day.
//!
//! An upload's address carries a ticket that only the form of the same session has: whoever may not import is refused before
//! a byte of the body is read. What comes goes to the disk as it comes, and one workbook is read at a time.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use askama::Template;
use axum::Form;
use axum::extract::{self, FromRequest, Multipart, Request, State};
use axum::response::Response;
use rusta_wire::UnixMs;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::admin::{governs, may_endanger};
use super::errors;
use crate::files;
use crate::inventory::versions::{self, Import, VersionError};
use crate::inventory::workbook::LARGEST_WORKBOOK;
use crate::inventory::{Draft, Dropped, Fault, Intake, ListChange, source};
use crate::persian::{JalaliDate, Lang, decimal, integer, words};
use crate::store::Store;
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Faults shown at once; mending a hundred is a day's work already.
const FAULTS: usize = 100;

/// Codes named of each kind of change.
const NAMED: usize = 12;

/// Uploads kept at once; the oldest give way.
const KEPT: usize = 8;

/// The longest body: a workbook, and what a form of one field has around it.
pub const LARGEST_BODY: usize = (LARGEST_WORKBOOK + 64 * 1024) as usize;

/// Uploads older than this were forgotten.
const FORGOTTEN_MS: i64 = 86_400_000;

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    p: Page,
    /// Whose upload it is, for the form's address.
    ticket: String,
    step: Step,
}

enum Step {
    Choose,
    Faulty { name: String, faults: Vec<(String, String, String)>, more: usize },
    Checked(Checked),
    Stored { version: u32, from: String },
}

/// What a workbook would change.
struct Checked {
    name: String,
    upload: String,
    /// Whether it is laid over what is in force.
    merge: bool,
    changes: Vec<Change>,
    /// Lists that would lose more than they may unasked.
    dropped: Vec<String>,
    today: String,
    programs: usize,
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
    asked.show(&ImportPage {
        p: asked.page(Section::Admin, words(asked.prefs.lang).inventory_import),
        ticket: asked.ticket("import"),
        step,
    })
}

/// Checks an uploaded workbook; nothing of the registry changes.
pub async fn check(State(web): State<WebState>, asked: Asked, extract::Path(ticket): extract::Path<String>, request: Request) -> Response {
    if !governs(&asked.visitor) {
        return asked.refuse("needs the role admin of everything");
    }
    if !asked.holds_ticket("import", &ticket) {
        return asked.refuse("the form's ticket is wrong");
    }
    let upload = match Multipart::from_request(request, &()).await {
        Ok(form) => receive(form, &folder(&web.store), asked.at).await,
        Err(error) => Err(anyhow::anyhow!(error.body_text())),
    };
    let upload = match upload {
        Ok(upload) => upload,
        Err(reason) => return errors::refused_page(&asked, &format!("{reason:#}")),
    };
    let (store, now, lang, limit) = (web.store.clone(), asked.at, asked.prefs.lang, web.drop_limit);
    // One at a time: what a workbook may unfold to is bounded, what twenty of them may is not.
    let turn = web.reads_workbook.clone().acquire_owned().await;
    let read = tokio::task::spawn_blocking(move || {
        // Kept until it is read, also where nobody waits for the answer any more.
        let _turn = turn;
        checked(&store, upload, now, lang, limit)
    });
    match read.await {
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
    /// Lay it over what is in force.
    #[serde(default)]
    merge: String,
    /// Drop what it does not name, however much.
    #[serde(default)]
    replace: String,
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
    let (store, actor, now, lang, limit) = (web.store.clone(), asked.visitor.actor(), asked.at, asked.prefs.lang, web.drop_limit);
    let (merge, replace) = (!form.merge.is_empty(), !form.replace.is_empty());
    let turn = web.reads_workbook.clone().acquire_owned().await;
    let stored = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let draft = read(&file, merge).map_err(VersionError::Faults)?;
        // What is in force may have changed since it was checked.
        let intake = Intake::of(&store, draft, merge, from.start())?;
        let dropped = if replace { Vec::new() } else { intake.dropped(limit) };
        if !dropped.is_empty() {
            return Ok(Err(too_much(&dropped, limit, lang)));
        }
        let built = versions::import(&store, &intake.draft, &Import { by: &actor, at: now, effective_from: from.start() })?;
        // It stands in the registry; a file that cannot be removed is removed with tomorrow's upload.
        let _kept = std::fs::remove_file(&file);
        Ok::<_, VersionError>(Ok(built.inventory.version))
    });
    match stored.await {
        Ok(Ok(Ok(version))) => {
            web.take_up().await;
            show(&asked, Step::Stored { version, from: from.in_figures(asked.prefs.lang) })
        }
        Ok(Ok(Err(reason))) => errors::refused_page(&asked, &reason),
        Ok(Err(VersionError::Faults(faults))) => show(&asked, faulty(String::new(), &faults, asked.prefs.lang)),
        Ok(Err(error)) => asked.failed(&error),
        Err(error) => asked.failed(&error),
    }
}

/// A workbook that was received whole.
struct Upload {
    /// What the person calls it.
    name: String,
    /// SHA-256 of its bytes, by which it is kept.
    digest: String,
    /// Whether it is laid over what is in force.
    merge: bool,
}

/// Writes the form's file to the disk as it comes.
async fn receive(mut form: Multipart, folder: &Path, now: UnixMs) -> anyhow::Result<Upload> {
    files::make_folder(folder)?;
    forget_old(folder, now);
    let mut merge = false;
    while let Some(mut field) = form.next_field().await.map_err(|error| anyhow::anyhow!(error.body_text()))? {
        merge |= field.name() == Some("merge");
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().chars().take(100).collect();
        let (file, partial) = files::make_beside(&folder.join("upload"))?;
        let partial = files::Unkept(partial);
        let (mut file, mut digest, mut length) = (tokio::fs::File::from_std(file), Sha256::new(), 0);
        while let Some(chunk) = field.chunk().await.map_err(|error| anyhow::anyhow!(error.body_text()))? {
            length += chunk.len() as u64;
            anyhow::ensure!(length <= LARGEST_WORKBOOK, "the file passes the limit of {LARGEST_WORKBOOK}");
            digest.update(&chunk);
            file.write_all(&chunk).await.context("the upload cannot be kept")?;
        }
        file.flush().await.context("the upload cannot be kept")?;
        let digest = format!("{:x}", digest.finalize());
        partial.keep_as(&folder.join(format!("{digest}.xlsx"))).context("the upload cannot be kept")?;
        return Ok(Upload { name, digest, merge });
    }
    anyhow::bail!("there is no file in the form")
}

/// Reads a received workbook and compares it.
fn checked(store: &Store, form: Upload, now: UnixMs, lang: Lang, limit: f64) -> Result<Step, VersionError> {
    let (upload, merge) = (form.digest, form.merge);
    let file = folder(store).join(format!("{upload}.xlsx"));
    let compared = read(&file, merge).map_err(VersionError::Faults);
    let intake = match compared.and_then(|draft| Intake::of(store, draft, merge, JalaliDate::at(now).start())) {
        Ok(intake) => intake,
        Err(VersionError::Faults(faults)) => {
            // One that cannot be removed is removed with tomorrow's upload.
            let _kept = std::fs::remove_file(&file);
            return Ok(faulty(form.name, &faults, lang));
        }
        Err(error) => return Err(error),
    };
    let difference = &intake.difference;
    let changes = difference.lists().into_iter().map(|(list, change)| describe(title(list, lang), change)).collect();
    let dropped = intake.dropped(limit).iter().map(|one| loses(one, lang)).collect();
    let (today, programs) = (JalaliDate::at(now).in_figures(lang), difference.programs.len());
    Ok(Step::Checked(Checked { name: form.name, upload, merge, changes, dropped, today, programs }))
}

fn read(file: &Path, merge: bool) -> Result<Draft, Vec<Fault>> {
    if merge { source::read_part(file) } else { source::read(file) }
}

/// Names a list of the registry.
fn title(list: &'static str, lang: Lang) -> &'static str {
    let w = words(lang);
    match list {
        "regions" => w.regions,
        "sites" => w.sites,
        "links" => w.links,
        "nodes" => lang.pick("گره‌ها", "nodes"),
        "declared" => lang.pick("ارقام اعلام‌شده", "declared figures"),
        "goals" => lang.pick("هدف‌های برنامه", "goals"),
        _ => lang.pick("هدف‌های سنجش", "targets"),
    }
}

/// Says what a list would lose.
fn loses(dropped: &Dropped, lang: Lang) -> String {
    let (gone, of) = (count(dropped.gone, lang), count(dropped.of, lang));
    match lang {
        Lang::Fa => format!("{}: {gone} از {of} حذف می‌شود", title(dropped.list, lang)),
        Lang::En => format!("{}: {gone} of {of} would be gone", title(dropped.list, lang)),
    }
}

fn count(number: usize, lang: Lang) -> String {
    integer(i64::try_from(number).unwrap_or(i64::MAX), lang)
}

fn too_much(dropped: &[Dropped], limit: f64, lang: Lang) -> String {
    let lists: Vec<String> = dropped.iter().map(|one| loses(one, lang)).collect();
    let percent = decimal(limit * 100.0, 0, lang);
    match lang {
        Lang::Fa => format!(
            "{}. این بیش از {percent}٪ است؛ یا آن را با فهرست موجود ادغام کنید یا حذف را تأیید کنید. چیزی تغییر نکرد.",
            lists.join("؛ ")
        ),
        Lang::En => {
            format!(
                "{}. That is more than {percent} %: merge it with what is in force, or confirm the removal. Nothing was changed.",
                lists.join("; ")
            )
        }
    }
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
        let (english, persian) = fault.place.of_workbook();
        (lang.pick(&persian, &english).to_owned(), text, fix)
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

/// Removes what is older than a day, and the oldest beyond what is kept at once.
fn forget_old(folder: &Path, now: UnixMs) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let written = |entry: std::fs::DirEntry| {
        let at = entry.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((i64::try_from(at.as_millis()).ok()?, entry.path()))
    };
    let mut kept: Vec<_> = entries.filter_map(Result::ok).filter_map(written).collect();
    kept.sort_unstable();
    let surplus = kept.len().saturating_sub(KEPT - 1);
    for (at, (written, path)) in kept.into_iter().enumerate() {
        if (at < surplus || now.0 - written > FORGOTTEN_MS)
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(%error, file = %path.display(), "old upload not removed");
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
        std::fs::create_dir_all(folder(&store)).unwrap();
        std::fs::write(folder(&store).join("a.xlsx"), b"no workbook").unwrap();
        let form = Upload { name: "list.xlsx".to_owned(), digest: "a".to_owned(), merge: false };
        let step = checked(&store, form, UnixMs(1_795_206_600_000), Lang::Fa, 0.1).unwrap();
        assert!(matches!(step, Step::Faulty { faults, .. } if !faults.is_empty()));
        assert_eq!(std::fs::read_dir(folder(&store)).unwrap().count(), 0);
    }

    #[test]
    fn uploads_do_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let now = crate::clock::now();
        for n in 0..3 * KEPT {
            std::fs::write(dir.path().join(n.to_string()), b"x").unwrap();
        }
        forget_old(dir.path(), now);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), KEPT - 1, "with the one that comes there are {KEPT}");
        forget_old(dir.path(), UnixMs(now.0 + FORGOTTEN_MS + 60_000));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
