//! `meaningful_share`: villages whose connection is good enough to change something.

use crate::history::Histogram;
use crate::inventory::SiteKind;
use crate::kpi::{Breakdown, Kpi, Measure, Tally, Term, VillageFact, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "meaningful_share",
    work: Work::ConnectsNobody,
    names: ("اتصال معنادار", "meaningful connectivity"),
    formula: (
        "روستاهای با دسترس‌پذیری دست‌کم ۹۵٪، دریافت دست‌کم ۵ و ارسال دست‌کم ۱ مگابیت و یک نقطه عمومی بی‌حجم، بخش بر روستاهای سنجیده",
        "villages with availability of at least 95 %, 5 Mbps down and 1 up, and an unmetered public point, over measured villages",
    ),
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Operator],
    basis: "A4AI 4 pillars, FCC LTE 5/1, ITU schools",
    stands_on: &[Term::Policy, Term::Available, Term::DownloadMbps, Term::UploadMbps],
    whole: true,
    needs: ("آزمون گذردهی دست‌کم یک روستا", "a throughput test of at least one village"),
    measures: &[Measure::Village(measure)],
    ..Kpi::BASE
};

/// Offices where people may sit down without a bill.
const PUBLIC: [SiteKind; 3] = [SiteKind::IctOffice, SiteKind::ServiceCounter, SiteKind::School];

fn measure(village: &VillageFact<'_>) -> Option<Tally> {
    let (mut down, mut up) = (Histogram::default(), Histogram::default());
    for (_, link) in village.links() {
        if let Some(rounds) = &link.rounds {
            down.merge(&rounds.download_bps);
            up.merge(&rounds.upload_bps);
        }
    }
    let seconds = village.state();
    let speeds = down.quantile(0.5).zip(up.quantile(0.5)).filter(|_| seconds.known() > 0);
    let good = speeds.map(|(down, up)| {
        let available = seconds.carried() as f64 >= village.terms.available * seconds.known() as f64;
        let mbps = |bps: i64| bps as f64 / 1e6;
        available && mbps(down) >= village.terms.mbps.0 && mbps(up) >= village.terms.mbps.1 && has_public_point(village)
    });
    Some(Tally::of(good))
}

fn has_public_point(village: &VillageFact<'_>) -> bool {
    let inventory = &village.section.inventory;
    let is_free = |site: &&crate::inventory::SiteId| {
        PUBLIC.contains(&inventory.site(**site).kind) && inventory.links_of(**site).any(|link| !inventory.link(link).metered)
    };
    inventory.sites_of(village.id).iter().any(|site| is_free(&site))
}
