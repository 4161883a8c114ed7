//! What states and the kinds of the registry are called in both languages, one table per vocabulary.
//!
//! They stand here and not beside the language, so that the registry and the engine may know how to spell Persian
//! without knowing each other.

use crate::engine::{AgentState, LinkState, SiteState, VillageState};
use crate::history::Ended;
use crate::inventory::{Access, Criticality, NodeKind, RegionKind, Role, SiteKind};
use crate::kpi::Counted;
use crate::persian::{Named, named};

named!(LinkState {
    Up => "برقرار", "up";
    Degraded => "افت کیفیت", "degraded";
    Down => "قطع", "down";
    Flapping => "نوسان", "flapping";
    Unknown => "نامشخص", "unknown";
    Maintenance => "در دست تعمیر", "under maintenance";
    NotInService => "خارج از سرویس", "not in service";
});

named!(SiteState {
    Up => "برقرار", "up";
    Degraded => "افت کیفیت", "degraded";
    BackupOnly => "فقط پشتیبان", "backup only";
    Down => "قطع", "down";
    Unknown => "نامشخص", "unknown";
    Maintenance => "در دست تعمیر", "under maintenance";
    NotInService => "خارج از سرویس", "not in service";
});

named!(VillageState {
    Connected => "متصل", "connected";
    Partial => "اتصال ناقص", "partial";
    Disconnected => "قطع", "disconnected";
    Unknown => "نامشخص", "unknown";
});

named!(Ended {
    Restored => "بازیابی شد", "restored";
    Silence => "پایان با خاموشی", "ended by silence";
    Work => "پایان با کار اعلام‌شده", "ended by announced work";
});

named!(AgentState {
    Reporting => "در حال گزارش", "reporting";
    Late => "با تأخیر", "late";
    Silent => "بدون گزارش", "silent";
    Buffered => "در حال ارسال انباشته", "sending backlog";
    NeverSeen => "هنوز دیده نشده", "never seen";
});

named!(RegionKind {
    Province => "استان", "province";
    County => "شهرستان", "county";
    District => "بخش", "district";
    RuralDistrict => "دهستان", "rural district";
    City => "شهر", "city";
    Village => "روستا", "village";
});

named!(SiteKind {
    Village => "سایت روستا", "village point";
    Dehyari => "دهیاری", "village administration";
    Farmandari => "فرمانداری", "county governorate";
    Bakhshdari => "بخشداری", "district office";
    CountyOffice => "اداره شهرستان", "county office";
    ProvincialOffice => "اداره کل استان", "provincial office";
    Headquarters => "استانداری", "governorate";
    Municipality => "شهرداری", "municipality";
    PublicBody => "نهاد عمومی غیردولتی", "public body";
    ServiceCounter => "دفتر پیشخوان", "service counter office";
    IctOffice => "دفتر ICT روستایی", "rural ICT office";
    HealthHouse => "خانه بهداشت", "health house";
    School => "مدرسه", "school";
    PollingSite => "شعبه اخذ رأی", "polling site";
    Bts => "دکل", "mast";
    Pop => "گره شبکه", "point of presence";
    Core => "هسته شبکه", "network core";
});

named!(NodeKind {
    Bts => "دکل", "mast";
    Pop => "گره شبکه", "point of presence";
    ApnGateway => "درگاه APN", "APN gateway";
    Core => "هسته استان", "provincial core";
    PowerFeeder => "خط تغذیه برق", "power feeder";
});

named!(Criticality {
    A => "الف", "A";
    B => "ب", "B";
    C => "ج", "C";
});

named!(Role {
    Primary => "اصلی", "primary";
    Backup => "پشتیبان", "backup";
});

named!(Access {
    Gsm => "نسل دوم", "2G";
    Umts => "نسل سوم", "3G";
    Lte => "نسل چهارم", "4G";
    TdLte => "نسل چهارم ثابت", "4G fixed (TD-LTE)";
    Nr => "نسل پنجم", "5G";
    Dsl => "DSL", "DSL";
    FibreGpon => "فیبر نوری (GPON)", "fibre (GPON)";
    Fibre => "فیبر نوری", "fibre";
    Radio => "رادیویی", "microwave radio";
    Vsat => "ماهواره", "satellite";
    Ethernet => "کابل شبکه", "Ethernet";
});

named!(Counted {
    Villages => "روستا", "villages";
    Sites => "سایت", "sites";
    Links => "لینک", "links";
    Outages => "قطعی", "outages";
    Interruptions => "بار قطعی", "interruptions";
    Services => "خدمت", "services";
    Attempts => "آزمون", "attempts";
    Seconds => "ثانیه", "s";
    Minutes => "دقیقه", "min";
    Hours => "ساعت", "h";
    Reports => "گزارش", "reports";
    Packets => "بسته", "packets";
    Rounds => "دور سنجش", "rounds";
    Readings => "خوانش مودم", "readings";
    Tests => "آزمون گذردهی", "throughput tests";
    Slots => "بازه پنج‌دقیقه‌ای", "five-minute slots";
    Fields => "فیلد", "fields";
    Kibibytes => "کیبی‌بایت", "KiB";
    Calls => "تماس", "calls";
    Shifts => "نوبت ۱۲ ساعته", "12-hour shifts";
    Nothing => "هیچ", "nothing";
});

#[cfg(test)]
mod tests {
    use rusta_wire::{Network, Outcome, ProbeKind, Rung};

    use super::*;
    use crate::persian::Lang;

    fn check<T: Named + std::fmt::Debug>(all: &[T]) {
        for item in all {
            let (fa, en) = item.names();
            assert!(!fa.is_empty() && !en.is_empty(), "{item:?}");
            assert!(!fa.contains(['ي', 'ك', 'ى']), "Arabic letter in {fa}");
            assert!(!en.chars().any(|c| ('\u{600}'..'\u{700}').contains(&c)), "Persian letter in {en}");
        }
        let names: std::collections::HashSet<_> = all.iter().map(|item| item.label(Lang::Fa)).collect();
        assert_eq!(names.len(), all.len(), "two things share a Persian name: {all:?}");
    }

    #[test]
    fn every_vocabulary_is_complete_and_distinct() {
        check(LinkState::ALL);
        check(SiteState::ALL);
        check(VillageState::ALL);
        check(AgentState::ALL);
        check(RegionKind::ALL);
        check(SiteKind::ALL);
        check(NodeKind::ALL);
        check(Criticality::ALL);
        check(Role::ALL);
        check(Access::ALL);
        check(Rung::ALL);
        check(Network::ALL);
        check(ProbeKind::ALL);
        check(Outcome::ALL);
        check(Counted::ALL);
    }
}
