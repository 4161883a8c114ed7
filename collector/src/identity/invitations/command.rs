//! `agents token` and `agents tokens`: invitations, one for a device or a sheet of them for a contractor's round.
//!
//! An invitation is one word (`rusta_wire::Invitation`): where the collector is, its authority's fingerprint, a token.

use std::path::PathBuf;
use std::time::Duration;

use rusta_wire::{Invitation, UnixMs};
use serde::Serialize;

use super::super::authority::{self, Authority};
use super::super::enrolment::make_token;
use crate::cli::{Failure, Place};
use crate::config::{Agents, parse_duration};
use crate::inventory::{Inventory, Site, SiteKind, Versions};
use crate::store::Store;
use crate::terminal::say;
use crate::web::{escape, qr};

/// Most invitations of one command: a province has some thousands of sites, and each is a row of the database.
const INVITATIONS: usize = 20_000;

/// Whom to invite, and how it is told.
#[derive(Debug, clap::Args)]
pub struct TokensArgs {
    /// A file with a site's code on each line; `#` begins a comment.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["region", "kind"], required_unless_present_any = ["region", "kind"])]
    list: Option<PathBuf>,
    /// Every site of a region and of the regions in it.
    #[arg(long, value_name = "CODE")]
    region: Option<String>,
    /// Every site of a kind, such as village.
    #[arg(long, value_name = "KIND", value_parser = |text: &str| text.parse::<SiteKind>())]
    kind: Option<SiteKind>,
    /// How long they can be used: 24h, 30d.
    #[arg(long, default_value = "30d", value_parser = parse_duration)]
    ttl: Duration,
    /// Writes a page to print, with a QR code for each site.
    #[arg(long, value_name = "FILE.html")]
    sheet: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An invitation of a site, as it is shown once.
#[derive(Serialize)]
pub(in crate::identity) struct Made {
    pub(in crate::identity) invitation: String,
    /// The token alone, for `rusta-agent enroll --token`.
    pub(in crate::identity) token: String,
    pub(in crate::identity) site: String,
    pub(in crate::identity) expires_at: String,
    #[serde(skip)]
    name: String,
}

/// Makes the invitation of one site.
///
/// # Errors
/// What the database or the authority's files say.
pub(in crate::identity) fn invite(
    place: &Place,
    store: &Store,
    site: &str,
    second: bool,
    (now, ttl): (UnixMs, Duration),
) -> Result<Made, Failure> {
    let token = make_token(store, site, second, "cli", now, ttl)?;
    let invitation = template(place, now)?.with(token.clone());
    Ok(Made { invitation, token, site: site.to_owned(), expires_at: super::super::command::date_text(now + ttl), name: String::new() })
}

/// Runs `agents tokens`.
///
/// # Errors
/// A site or region that is not in the registry: then no token is made.
pub(in crate::identity) fn run(place: &Place, store: &Store, args: &TokensArgs, now: UnixMs) -> Result<(), Failure> {
    let versions = Versions::load(store)?;
    let inventory = versions.at(now);
    let sites = chosen(args, &inventory)?;
    if sites.is_empty() || sites.len() > INVITATIONS {
        return Err(Failure::Usage(format!("{} sites are meant; from 1 to {INVITATIONS} are invited at once", sites.len())));
    }
    let template = template(place, now)?;
    let expires_at = super::super::command::date_text(now + args.ttl);
    let mut made = Vec::with_capacity(sites.len());
    for site in sites {
        let token = make_token(store, &site.code, false, "cli", now, args.ttl)?;
        let invitation = template.with(token.clone());
        made.push(Made { invitation, token, site: site.code.clone(), expires_at: expires_at.clone(), name: site.name_fa.clone() });
    }
    if let Some(file) = &args.sheet {
        std::fs::write(file, sheet(&made)).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&made)?);
    } else if let Some(file) = &args.sheet {
        say!("{} invitations until {expires_at}; {} is to be printed, and then deleted: it holds the tokens", made.len(), file.display());
    } else {
        made.iter().for_each(|made| say!("{}\t{}", made.site, made.invitation));
    }
    Ok(())
}

/// Lists the sites that are meant, in the registry's order, or the list's.
fn chosen<'a>(args: &TokensArgs, inventory: &'a Inventory) -> Result<Vec<&'a Site>, Failure> {
    if let Some(file) = &args.list {
        let text = std::fs::read_to_string(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        let codes =
            (1..).zip(text.lines().map(|line| line.split('#').next().unwrap_or_default().trim())).filter(|(_, code)| !code.is_empty());
        let mut faults = Vec::new();
        let mut sites: Vec<&Site> = Vec::new();
        for (line, code) in codes {
            match inventory.site_by_code(code) {
                None => faults.push(format!("{}:{line}: the registry has no site `{code}`", file.display())),
                Some(id) if sites.iter().any(|site| site.code == inventory.site(id).code) => {
                    faults.push(format!("{}:{line}: `{code}` stands here twice", file.display()));
                }
                Some(id) => sites.push(inventory.site(id)),
            }
        }
        return if faults.is_empty() { Ok(sites) } else { Err(Failure::Usage(format!("{}; no token was made", faults.join("\n")))) };
    }
    let unknown = |code: &String| Failure::Usage(format!("the registry has no region `{code}`; no token was made"));
    let region = args.region.as_ref().map(|code| inventory.region_by_code(code).ok_or_else(|| unknown(code))).transpose()?;
    let is_meant = |site: &&Site| {
        args.kind.is_none_or(|kind| site.kind == kind) && region.is_none_or(|region| inventory.is_within(site.region, region))
    };
    Ok(inventory.sites.iter().filter(is_meant).collect())
}

/// An invitation without its token.
struct Template {
    fingerprint: [u8; 32],
    places: Vec<String>,
}

impl Template {
    fn with(&self, token: String) -> String {
        Invitation { token, fingerprint: Some(self.fingerprint), places: self.places.clone() }.to_string()
    }
}

fn template(place: &Place, now: UnixMs) -> Result<Template, Failure> {
    let config = place.config()?;
    let authority = Authority::open(&authority::dir_in(&config.data_dir), now)?;
    Ok(Template { fingerprint: authority.fingerprint(), places: places(&config.agents) })
}

/// Lists where agents reach the collector: its names without those of its own machine, unless it has no other.
fn places(agents: &Agents) -> Vec<String> {
    let port = agents.listen.port();
    let is_own = |name: &&String| *name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let outside: Vec<&String> = agents.names.iter().filter(|name| !is_own(name)).collect();
    let names = if outside.is_empty() { agents.names.iter().collect() } else { outside };
    let place = |name: &String| if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") };
    names.into_iter().map(place).collect()
}

/// Makes a page of cards, eight to a sheet of A4, that needs nothing from anywhere else.
fn sheet(made: &[Made]) -> String {
    let card = |made: &Made| {
        let qr = qr(&made.invitation).map(|svg| svg.to_string()).unwrap_or_default();
        format!(
            "<section><div>{qr}</div><div><h2 lang=\"fa\" dir=\"rtl\">{}</h2><p><b dir=\"ltr\">{}</b> · تا {}</p><code dir=\"ltr\">{}</code></div></section>\n",
            escape(&made.name),
            escape(&made.site),
            escape(&made.expires_at),
            escape(&made.invitation)
        )
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"fa\" dir=\"rtl\"><meta charset=\"utf-8\"><title>Rusta</title>\n<style>{SHEET_STYLE}</style>\n\
         <p>هر کد یک بار و تنها برای همان محل به کار می‌رود. روی روتر: <code dir=\"ltr\">rusta-agent enroll rusta1:…</code></p>\n{}</html>\n",
        made.iter().map(card).collect::<String>()
    )
}

const SHEET_STYLE: &str = "body{font:11pt Vazirmatn,Tahoma,sans-serif;margin:8mm}section{display:inline-flex;gap:4mm;width:88mm;height:62mm;\
    padding:3mm;border:1px dashed #888;overflow:hidden;break-inside:avoid;vertical-align:top;box-sizing:border-box}svg{width:44mm;height:44mm}\
    h2{font-size:12pt;margin:0}code{font:7pt monospace;overflow-wrap:anywhere;user-select:all}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_those_that_a_village_can_reach() {
        let mut agents = crate::config::Config::default().agents;
        assert_eq!(places(&agents), ["localhost:8443", "127.0.0.1:8443"]);
        agents.names = ["127.0.0.1", "collector.example", "2001:db8::1"].map(str::to_owned).into();
        assert_eq!(places(&agents), ["collector.example:8443", "[2001:db8::1]:8443"]);
    }

    #[test]
    fn a_sheet_shows_names_and_words_as_they_are() {
        let made = Made {
            invitation: "rusta1:tok::h".into(),
            token: "tok".into(),
            site: "09-V1<".into(),
            expires_at: "2026-12-30T00:00:00Z".into(),
            name: "علی‌آباد".into(),
        };
        let page = sheet(&[made]);
        assert!(
            page.contains("<svg") && page.contains("علی‌آباد") && page.contains("09-V1&lt;") && page.contains(">rusta1:tok::h<"),
            "{page}"
        );
        assert!(!page.contains("http"), "nothing is loaded from elsewhere");
    }
}
