//! `rusta-collector inventory …`

use std::io::BufRead;
use std::path::PathBuf;

use clap::Subcommand;

use super::fault::Fault;
use super::generate::{self, Size};
use super::intake::{Dropped, Intake};
use super::versions::{self, Import, VersionError};
use super::{dates, export, programs, source};
use crate::cli::{Failure, Place};
use crate::clock;
use crate::day::Day;
use crate::people::{Attempt, Login, People, Role};
use crate::store::audit::{self, Deed};
use crate::terminal::say;

/// Registry versions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Validate a folder or workbook whole and store it as a version.
    ///
    /// Any mistake refuses the import, changes nothing, and is listed with file, row, column and a fix. A folder holds
    /// regions.csv, sites.csv, links.csv, nodes.csv, declared.csv, goals.csv, services.yaml, profiles.yaml,
    /// calendars.yaml, events.yaml and maintenance.yaml; a workbook one sheet of the same name for each.
    Import {
        /// Folder or XLSX file.
        path: PathBuf,
        /// Show what would change and store nothing.
        #[arg(long)]
        dry_run: bool,
        /// From when on it holds, Gregorian or Jalali; today if not given.
        #[arg(long, value_name = "DATE")]
        effective_from: Option<String>,
        /// Take probes that run programs or read files on routers. Without this an import that brings any is refused; with it
        /// they wait until another administrator confirms them (`inventory confirm`, or the import page).
        #[arg(long)]
        with_programs: bool,
        /// Lay it over what is in force instead of replacing it: one list, or the lists of one province.
        ///
        /// Regions, sites and links become those of the import in every province it has rows of, and stay in the others; a list
        /// it does not have stays. Of nodes, declared figures, goals and YAML files its entries take the place of those of the
        /// same code or name, and nothing else changes. PATH may then be one file such as sites.csv.
        #[arg(long, conflicts_with = "replace")]
        merge: bool,
        /// Drop what the import does not name, however much. Without this an import is refused that drops more than
        /// `inventory.drop_limit` of the regions, sites or links: 10 % where the configuration says nothing else.
        #[arg(long)]
        replace: bool,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List probes that run programs or read files on routers, those that wait for confirmation first.
    Programs {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Confirm such a probe, as an administrator who did not bring it in. The password is read from standard input, one line.
    Confirm {
        /// What `inventory programs` calls it; the first eight digits are enough.
        digest: String,
        /// Login name of the administrator who confirms.
        #[arg(long = "as", value_name = "NAME")]
        by: String,
    },
    /// Write a version as a folder, or as a workbook, that imports to the same version again.
    Export {
        /// Folder, or XLSX file, to write.
        path: PathBuf,
        /// Version number; the newest if not given.
        #[arg(long)]
        version: Option<u32>,
    },
    /// Write a synthetic registry, and in later/ what happens to it over a year. The same seed gives the same bytes.
    Generate {
        /// demo, small, kr, lorestan or national.
        #[arg(long, value_parser = |text: &str| text.parse::<Size>())]
        size: Size,
        /// Seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// List the stored versions.
    List {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command.
pub fn run(place: &Place, command: Command) -> Result<(), Failure> {
    match command {
        Command::Import { path, dry_run, effective_from, with_programs, merge, replace, json } => {
            let wanted = Wanted { path, dry_run, effective_from, with_programs, merge, replace, json };
            import(place, &wanted)
        }
        Command::Programs { json } => list_programs(place, json),
        Command::Confirm { digest, by } => confirm(place, &digest, &by),
        Command::Export { path, version } => export_version(place, &path, version),
        Command::Generate { size, seed, out } => generate_registry(size, seed, &out),
        Command::List { json } => list(place, json),
    }
}

/// What `inventory import` was asked for.
struct Wanted {
    path: PathBuf,
    dry_run: bool,
    effective_from: Option<String>,
    with_programs: bool,
    merge: bool,
    replace: bool,
    json: bool,
}

fn import(place: &Place, wanted: &Wanted) -> Result<(), Failure> {
    let at = clock::now();
    let effective_from = match &wanted.effective_from {
        Some(text) => dates::moment(text).map_err(|e| Failure::Usage(format!("--effective-from `{text}` is not {e}")))?,
        None => Day::of(at).start(),
    };
    let read = if wanted.merge { source::read_part } else { source::read };
    let draft = read(&wanted.path).map_err(|faults| refused(&faults, wanted))?;
    let config = place.config()?;
    let store = place.store()?;
    let intake = match Intake::of(&store, draft, wanted.merge, effective_from) {
        Ok(intake) => intake,
        Err(VersionError::Faults(faults)) => return Err(refused(&faults, wanted)),
        Err(error) => return Err(error.into()),
    };
    let dropped = if wanted.replace { Vec::new() } else { intake.dropped(config.drop_limit) };
    if wanted.dry_run {
        report(&intake, &dropped, None, wanted.json);
        return Ok(());
    }
    if !dropped.is_empty() {
        return Err(too_much_gone(&intake, &dropped, config.drop_limit, wanted.json));
    }
    let known = programs::list(&store)?;
    let fresh: Vec<_> =
        programs::of(&intake.built.inventory).into_iter().filter(|program| !known.iter().any(|one| one.digest == program.digest)).collect();
    if !fresh.is_empty() && !wanted.with_programs {
        let list: Vec<String> = fresh.iter().map(|program| format!("{}: {}", program.used_by.join(", "), program.probe)).collect();
        return Err(Failure::Usage(format!(
            "{}\nthese run programs or read files on routers; --with-programs takes them, and another administrator has to confirm them; \
             nothing was changed / این‌ها روی مسیریاب‌ها برنامه اجرا می‌کنند یا پرونده می‌خوانند؛ چیزی تغییر نکرد",
            list.join("\n")
        )));
    }
    match versions::import(&store, &intake.draft, &Import { by: "cli", at, effective_from }) {
        Ok(built) => report(&intake, &[], Some(built.inventory.version), wanted.json),
        Err(VersionError::Faults(faults)) => return Err(refused(&faults, wanted)),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Refuses an import that drops more than it may unasked.
fn too_much_gone(intake: &Intake, dropped: &[Dropped], limit: f64, json: bool) -> Failure {
    if json {
        say!("{}", serde_json::json!({ "imported": false, "dropped": dropped, "difference": intake.difference }));
    }
    let percent = limit * 100.0;
    let lists: Vec<String> = dropped.iter().map(|one| format!("{} of {} {}", one.gone, one.of, one.list)).collect();
    Failure::Usage(format!(
        "{}{} would be gone, more than {percent} % (inventory.drop_limit): --merge keeps what the import does not name, --replace drops \
         it; nothing was changed / بیش از {percent}٪ حذف می‌شد: ‎--merge‎ آنچه را در ورودی نیست نگه می‌دارد و ‎--replace‎ حذف می‌کند؛ چیزی تغییر نکرد",
        intake.difference.gone(),
        lists.join(", "),
    ))
}

fn list_programs(place: &Place, json: bool) -> Result<(), Failure> {
    let store = place.store()?;
    versions::ask_for_all(&store)?;
    let all = programs::list(&store)?;
    if json {
        say!("{}", serde_json::to_string(&all)?);
        return Ok(());
    }
    for one in all {
        let state = one.confirmed_by.map_or_else(|| "waits".to_owned(), |by| format!("confirmed by {by}"));
        let settings = one.settings.trim().replace('\n', " ");
        say!("{}  {} {settings}  brought in by {}, {state}", one.digest.get(..16).unwrap_or(&one.digest), one.probe, one.asked_by);
    }
    Ok(())
}

fn confirm(place: &Place, digest: &str, name: &str) -> Result<(), Failure> {
    let (store, now) = (place.store()?, clock::now());
    versions::ask_for_all(&store)?;
    let mut password = String::new();
    std::io::stdin().lock().read_line(&mut password)?;
    let people = People::new(store.clone());
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    let mut code = String::new();
    std::io::stdin().lock().read_line(&mut code)?;
    let attempt = Attempt { name: name.to_owned(), password, code, address: "cli".to_owned(), ..Attempt::default() };
    let Login::Welcome(entry) = people.sign_in(&attempt, now)? else {
        return Err(Failure::Usage("name or password is wrong".to_owned()));
    };
    let visitor = people.by_session(&entry.session, now)?;
    people.sign_out(&entry.session, now)?;
    let visitor = visitor.filter(|visitor| visitor.role >= Role::Admin && visitor.region.is_none());
    let visitor = visitor.ok_or_else(|| Failure::Usage(format!("{name} is no administrator of the whole province")))?;
    let confirmed = programs::confirm(&store, digest, &visitor.actor(), now)?;
    say!("{} {} is assigned from now on", confirmed.probe, confirmed.digest.get(..16).unwrap_or(&confirmed.digest));
    Ok(())
}

fn refused(faults: &[Fault], wanted: &Wanted) -> Failure {
    if wanted.json {
        say!("{}", serde_json::json!({ "imported": false, "faults": faults }));
    }
    faulty(faults, source::is_workbook(&wanted.path))
}

fn faulty(faults: &[Fault], workbook: bool) -> Failure {
    let list: Vec<String> = faults.iter().map(|fault| if workbook { fault.of_workbook() } else { fault.to_string() }).collect();
    Failure::Usage(format!(
        "{}\n{} mistakes; nothing was changed / {} اشتباه؛ چیزی تغییر نکرد",
        list.join("\n"),
        faults.len(),
        faults.len()
    ))
}

/// Says what was stored as a version, or with none what would be.
fn report(intake: &Intake, dropped: &[Dropped], version: Option<u32>, json: bool) {
    let Intake { built, difference, .. } = intake;
    let inventory = &built.inventory;
    if json {
        let outcome = serde_json::json!({
            "imported": version.is_some(),
            "version": version.unwrap_or(0),
            "effective_from": inventory.effective_from.0,
            "regions": inventory.regions.len(),
            "sites": inventory.sites.len(),
            "links": inventory.links.len(),
            "nodes": inventory.nodes.len(),
            "notes": built.notes,
            "dropped": dropped,
            "difference": difference,
        });
        say!("{outcome}");
        return;
    }
    for note in built.notes.iter().take(SHOWN_NOTES) {
        eprintln!("note: {}: {} / {}", note.place, note.english, note.persian);
    }
    if built.notes.len() > SHOWN_NOTES {
        eprintln!("note: and {} more; --json lists all", built.notes.len() - SHOWN_NOTES);
    }
    for one in dropped {
        eprintln!("{} of {} {} would be gone: the import is refused without --merge or --replace", one.gone, one.of, one.list);
    }
    let Some(version) = version else { return say!("{}", difference.to_string().trim_end()) };
    let counts = (inventory.regions.len(), inventory.sites.len(), inventory.links.len(), inventory.nodes.len());
    say!("version {version}: {} regions, {} sites, {} links, {} nodes", counts.0, counts.1, counts.2, counts.3);
    let gone = difference.gone();
    if !gone.is_empty() {
        say!("{}", gone.trim_end());
    }
}

/// A screenful; the rest is in `--json`.
const SHOWN_NOTES: usize = 20;

fn export_version(place: &Place, path: &std::path::Path, version: Option<u32>) -> Result<(), Failure> {
    let store = place.store()?;
    let newest = || versions::list(&store).map(|rows| rows.last().map(|row| row.version));
    let version = match version {
        Some(version) => version,
        None => newest()?.ok_or_else(|| Failure::Usage("no inventory was imported yet; `inventory import DIR` does".to_owned()))?,
    };
    let files = export::guarded_lists(versions::files(&store, version)?)?;
    if source::is_workbook(path) {
        crate::files::replace(path, &export::to_workbook(&files)?)?;
    } else {
        export::to_folder(&files, path)?;
    }
    let (subject, detail) = (format!("version {version}"), path.display().to_string());
    let deed = Deed { at: clock::now(), actor: "cli", action: "inventory.export", subject: &subject, detail: &detail };
    store.write(|tx| audit::record(tx, &deed))?;
    say!("version {version} written to {}", path.display());
    Ok(())
}

fn generate_registry(size: Size, seed: u64, out: &std::path::Path) -> Result<(), Failure> {
    let draft = generate::draft(size, seed).map_err(|faults| faulty(&faults, false))?;
    let later = generate::write(&draft, out)?;
    say!("{} regions, {} sites, {} links in {}", draft.regions.len(), draft.sites.len(), draft.links.len(), out.display());
    for name in later {
        say!("then {}", out.join("later").join(name).display());
    }
    Ok(())
}

fn list(place: &Place, json: bool) -> Result<(), Failure> {
    let rows = versions::list(&place.store()?)?;
    if json {
        say!("{}", serde_json::to_string(&rows)?);
        return Ok(());
    }
    for row in rows {
        let from = Day::of(rusta_wire::UnixMs(row.effective_from));
        say!("{:4}  from {from}  imported by {}  {}", row.version, row.imported_by, &row.digest[..12.min(row.digest.len())]);
    }
    Ok(())
}
