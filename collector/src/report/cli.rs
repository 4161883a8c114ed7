//! `rusta-collector report`.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::content::Content;
use super::gather::gather;
use super::held::{self, Outcome};
use super::revision::{self, Frozen};
use super::{Form, html, publish};
use crate::cli::{Failure, Place};
use crate::clock;
use crate::files;
use crate::inventory::{RegionKind, Versions};
use crate::persian::{Lang, Period};
use crate::store::Store;
use crate::store::audit::{self, Deed};
use crate::terminal::say;

/// Write the monthly report.
///
/// On day 3 of the next Jalali month the running collector freezes revision 1 of each province, and data that came late
/// makes the next revision; this command does the same for the region it is asked for. Before that day, and while days of the month
/// wait to be built, a report is provisional. When an import changed what a published month says, the next revision waits until a
/// person publishes it.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The month, such as 1405-08.
    #[arg(long)]
    period: String,
    /// Code of a region; the first province if not given.
    #[arg(long, value_name = "CODE")]
    region: Option<String>,
    /// File to write; its ending chooses the form: .xlsx, .csv or .html.
    #[arg(long)]
    out: PathBuf,
    /// Publish the next revision although the registry is what changed it.
    #[arg(long, conflicts_with = "revision")]
    publish: bool,
    /// Write a published revision again instead of computing.
    #[arg(long)]
    revision: Option<u32>,
    /// Language of the HTML: fa or en.
    #[arg(long, default_value = "fa")]
    lang: String,
}

/// Runs the command.
pub fn run(place: &Place, args: &ReportArgs) -> Result<(), Failure> {
    let period: Period = args.period.parse().map_err(Failure::Usage)?;
    let lang = Lang::from_code(&args.lang).ok_or_else(|| Failure::Usage(format!("`{}` is neither fa nor en", args.lang)))?;
    let Some(publishable_from) = revision::publishable_from(period) else {
        return Err(Failure::Usage(format!("`{}` is not a month such as 1405-08", args.period)));
    };
    let store = place.store()?;
    let (content, frozen, held) = match args.revision {
        Some(number) => published(&store, args, period, number)?,
        None => computed(&store, args, period, publishable_from)?,
    };
    write(&content, frozen.as_ref(), &args.out, lang)?;
    let subject = format!("{period} of {}", content.region.0);
    let detail = args.out.display().to_string();
    store.write(|tx| audit::record(tx, &Deed { at: clock::now(), actor: "cli", action: "report", subject: &subject, detail: &detail }))?;
    match frozen {
        Some(frozen) => say!(
            "{}: revision {}, sha256 {}, {} villages changed",
            args.out.display(),
            frozen.revision,
            frozen.digest,
            frozen.changed_villages()
        ),
        None => say!("{}: provisional", args.out.display()),
    }
    if let Some((stands, registry)) = held {
        let versions = registry.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        say!("revision {stands} stands: the registry (version {versions}) changed what it says; --publish makes revision {}", stands + 1);
    }
    Ok(())
}

/// What is written, the revision it was published as, and the revision that stands while the registry's versions wait.
type Report = (Content, Option<Frozen>, Option<(u32, Vec<u32>)>);

fn published(store: &Store, args: &ReportArgs, period: Period, number: u32) -> Result<Report, Failure> {
    let region = region_of(store, args)?;
    let found = store.read(|tx| revision::frozen(tx, &period.to_string(), &region, Some(number)))?;
    let frozen = found.ok_or_else(|| Failure::Usage(format!("{period} of {region} has no revision {number}")))?;
    Ok((frozen.content.clone(), Some(frozen), None))
}

fn computed(store: &Store, args: &ReportArgs, period: Period, publishable_from: rusta_wire::UnixMs) -> Result<Report, Failure> {
    let now = clock::now();
    let versions = Versions::load(store)?;
    let region = region_of(store, args)?;
    let content = store.read(|db| gather(db, &versions, period, &region, now))?;
    let content = content.ok_or_else(|| Failure::Usage(format!("there is no region `{region}`")))?;
    if now < publishable_from || store.read(|db| publish::waits(db, period.window(now)))? {
        return Ok((content, None, None));
    }
    Ok(match store.write(|tx| held::publish(tx, &content, period.window(now), args.publish, now))? {
        Outcome::Published(frozen) | Outcome::Stands(frozen) => (content, Some(frozen), None),
        Outcome::Held(stands, registry) => (content, None, Some((stands.revision, registry))),
    })
}

fn region_of(store: &Store, args: &ReportArgs) -> Result<String, Failure> {
    if let Some(region) = &args.region {
        return Ok(region.clone());
    }
    let map = Versions::load(store)?.last();
    let province = map.regions.iter().find(|r| r.kind == RegionKind::Province).map(|r| r.code.clone());
    province.ok_or_else(|| Failure::Usage("no inventory was imported yet; `inventory import DIR` does".to_owned()))
}

fn write(content: &Content, frozen: Option<&Frozen>, out: &Path, lang: Lang) -> Result<(), Failure> {
    let ending = out.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let bytes = match (ending.as_str(), ending.parse::<Form>()) {
        (_, Ok(form)) => form.write(content, frozen)?,
        ("html", _) => html::write(content, frozen, lang).into_bytes(),
        _ => return Err(Failure::Usage(format!("{} ends neither in .xlsx nor .csv nor .html", out.display()))),
    };
    Ok(files::replace(out, &bytes).with_context(|| format!("{} cannot be written", out.display()))?)
}
