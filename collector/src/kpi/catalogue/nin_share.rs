//! `nin_share_20plus`, `nin_share_10_19`, `nin_share_10_15`: villages of a household band on the national network.

use super::villages_connected_month::is_connected;
use crate::kpi::{Breakdown, Kpi, Measure, Tally, Term, VillageFact, Work};

const SHARED: Kpi = Kpi {
    formula: (
        "روستاهایی از این گروه خانوار که لنگرهای شبکه ملی در دست‌کم ۹۰٪ زمان معلومشان در دسترس بوده، بخش بر روستاهای سنجیده این باند؛ هدف با کران پایین سنجیده می‌شود",
        "villages of the band whose national anchors were reached in at least 90 % of the known time, over the measured villages of the band; goals are judged by the lower bound",
    ),
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::Cohort],
    basis: "programme goal",
    work: Work::LeftOut,
    stands_on: &[Term::Connected, Term::Measured],
    whole: true,
    seconds: |village| village.seconds.nin,
    second: Some(|first| Kpi {
        formula: (
            "روستاهایی از این باند که لنگرهای شبکه ملی در دست‌کم ۹۰٪ زمان معلومشان در دسترس بوده، بخش بر روستاهای سنجیده این باند؛ از کار اعلام‌شده زمان قطع و نامعلوم کنار گذاشته می‌شود؛ خانوار از آخرین آمار تا پایان بازه؛ هدف با کران پایین سنجیده می‌شود",
            "villages of the band whose national anchors were reached in at least 90 % of the known time, over the measured villages of the band; of announced work down and unknown time is left out; households from the last count up to the window's end; goals are judged by the lower bound",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

/// 20 households and more.
pub const KPI_20_PLUS: Kpi = Kpi {
    id: "nin_share_20plus",
    names: ("اتصال روستاهای ۲۰ خانوار و بیشتر به شبکه ملی", "NIN share, 20 households and more"),
    measures: &[Measure::Village(|village| measure(village, 20, u32::MAX))],
    ..SHARED
};
/// 10 to 19 households.
pub const KPI_10_19: Kpi = Kpi {
    id: "nin_share_10_19",
    names: ("اتصال روستاهای ۱۰ تا ۱۹ خانوار به شبکه ملی", "NIN share, 10 to 19 households"),
    measures: &[Measure::Village(|village| measure(village, 10, 19))],
    ..SHARED
};
/// 10 to 15 households.
pub const KPI_10_15: Kpi = Kpi {
    id: "nin_share_10_15",
    names: ("اتصال روستاهای ۱۰ تا ۱۵ خانوار به شبکه ملی", "NIN share, 10 to 15 households"),
    measures: &[Measure::Village(|village| measure(village, 10, 15))],
    ..SHARED
};

fn measure(village: &VillageFact<'_>, least: u32, most: u32) -> Option<Tally> {
    let households = village.region().households?;
    (least..=most).contains(&households).then(|| Tally::of(is_connected(&village.seconds.nin, village.terms)))
}
