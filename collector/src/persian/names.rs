//! What every word of the domain is called in both languages, one table per vocabulary.
//!
//! Each table is a `match` without a default arm: a state or cause added to the domain does not compile until it has
//! its Persian name.

use rusta_wire::{ClockSource, Metric, Network, Outcome, ProbeKind, Rung};

use super::Lang;
use crate::engine::{AgentState, LinkState, SiteState, VillageState};
use crate::inventory::{Access, Criticality, NodeKind, RegionKind, Role, SiteKind};

/// Something that has a name in both languages.
pub trait Named: Copy {
    /// Returns the names, Persian first.
    fn names(self) -> (&'static str, &'static str);

    /// Returns the name in one language.
    fn label(self, lang: Lang) -> &'static str {
        let (fa, en) = self.names();
        lang.pick(fa, en)
    }
}

macro_rules! named {
    ($kind:ident { $($variant:ident => $fa:literal, $en:literal;)+ }) => {
        impl Named for $kind {
            fn names(self) -> (&'static str, &'static str) {
                match self { $($kind::$variant => ($fa, $en),)+ }
            }
        }
    };
}

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

named!(AgentState {
    Reporting => "در حال گزارش", "reporting";
    Late => "با تأخیر", "late";
    Silent => "خاموش", "silent";
    Buffered => "در حال ارسال انباشته", "sending backlog";
    NeverSeen => "هنوز دیده نشده", "never seen";
});

named!(Network {
    Gov => "شبکه دولت", "government network";
    Apn => "APN روستایی", "rural APN";
    Nin => "شبکه ملی اطلاعات", "national information network";
    Internet => "اینترنت بین‌الملل", "international internet";
});

named!(Rung {
    Collector => "گردآورنده", "collector";
    Power => "برق", "power";
    Device => "مسیریاب", "router";
    Modem => "مودم", "modem";
    Sim => "سیم‌کارت و بسته", "SIM and plan";
    Radio => "رادیو و دکل", "radio and mast";
    Bearer => "حامل و APN", "bearer and APN";
    Gateway => "درگاه APN و تونل", "APN gateway and tunnel";
    Pop => "گره شهرستان", "county PoP";
    Core => "هسته استان", "provincial core";
    Nin => "شبکه ملی اطلاعات", "national information network";
    International => "اینترنت بین‌الملل", "international internet";
    Naming => "نام دامنه و گواهی", "names and certificates";
    Service => "خدمت یا مرکز تبادل", "service or exchange";
});

named!(ProbeKind {
    Icmp => "پینگ", "ICMP echo";
    Tcp => "اتصال TCP", "TCP connect";
    Dns => "پرسش DNS", "DNS query";
    Http => "درخواست HTTP", "HTTP request";
    Tls => "دست‌دهی TLS", "TLS handshake";
    Sip => "تماس آزمایشی SIP", "SIP OPTIONS";
    Ntp => "ساعت NTP", "NTP offset";
    Path => "مسیریابی", "path";
    Snmp => "خواندن SNMP", "SNMP";
    Modem => "مودم", "modem";
    Host => "خود مسیریاب", "host";
    Throughput => "آزمون گذردهی", "throughput test";
    Ussd => "کد USSD", "USSD";
    Exec => "افزونه", "plugin";
    Agent => "عامل پایش", "agent";
});

named!(Outcome {
    Ok => "پاسخ داد", "answered";
    Timeout => "بی‌پاسخ", "no answer";
    Refused => "نپذیرفت", "refused";
    Unreachable => "دست‌نیافتنی", "unreachable";
    ResolveFailed => "نام پیدا نشد", "name not resolved";
    TlsFailed => "خطای TLS", "TLS failed";
    ClockFault => "ساعت نادرست", "wrong clock";
    Unexpected => "پاسخ نابجا", "unexpected answer";
    Malformed => "پاسخ ناخوانا", "unreadable answer";
    LinkGone => "لینک در دسترس نیست", "link gone";
    NotPermitted => "بدون مجوز", "not permitted";
    NotRun => "اجرا نشد", "not run";
    SystemError => "خطای سیستم", "system error";
});

named!(ClockSource {
    None => "بدون ساعت", "no clock";
    Persisted => "زمان ذخیره‌شده", "persisted time";
    System => "ساعت سیستم", "system clock";
    Synchronised => "ساعت هماهنگ", "synchronised clock";
    Collector => "گردآورنده", "collector";
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
    Village => "نقطه روستا", "village point";
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

impl Named for Metric {
    /// Names what pages chart or list; the rest show their catalogue name.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Metric::RttUsMin => ("کمترین تأخیر", "smallest round trip"),
            Metric::RttUsP50 => ("میانه تأخیر رفت‌وبرگشت", "median round trip"),
            Metric::RttUsP90 => ("صدک ۹۰ تأخیر", "90th percentile round trip"),
            Metric::RttUsMax => ("بیشترین تأخیر", "largest round trip"),
            Metric::PdvUsP95 => ("لرزش", "delay variation"),
            Metric::ResolveUs => ("یافتن نام", "name resolution"),
            Metric::ConnectUs => ("برقراری اتصال", "connect"),
            Metric::TlsUs => ("دست‌دهی TLS", "TLS handshake"),
            Metric::FirstByteUs => ("نخستین بایت", "first byte"),
            Metric::TransferUs => ("دریافت", "transfer"),
            Metric::QueryUs => ("پرسش نام", "name query"),
            Metric::CertificateS => ("اعتبار گواهی", "certificate validity"),
            Metric::RsrpDbm => ("قدرت سیگنال (RSRP)", "signal power (RSRP)"),
            Metric::RsrqCb => ("کیفیت سیگنال (RSRQ)", "signal quality (RSRQ)"),
            Metric::SinrCb => ("نسبت سیگنال به نویز", "signal to noise (SINR)"),
            Metric::ReceiveBps => ("دریافت", "received"),
            Metric::TransmitBps => ("ارسال", "sent"),
            Metric::VoltageMv => ("ولتاژ تغذیه", "supply voltage"),
            Metric::UpsChargePct => ("شارژ باتری", "battery charge"),
            Metric::UpsMinutesLeft => ("زمان باقی‌مانده باتری", "battery time left"),
            Metric::TemperatureDc => ("دما", "temperature"),
            Metric::OpticalRxCdbm => ("توان نوری دریافتی", "optical power received"),
            Metric::PlanUsedKib => ("حجم مصرفی بسته", "plan used"),
            Metric::PlanLimitKib => ("حجم بسته", "plan size"),
            Metric::SpoolFrames => ("در انتظار ارسال", "waiting to be sent"),
            Metric::UptimeS => ("روشن از", "uptime"),
            other => (other.name(), other.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
