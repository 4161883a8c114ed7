//! What every word of the wire is called in both languages, one table per vocabulary; the collector's own words are in
//! `crate::names`.
//!
//! Each table is a `match` without a default arm: a state or cause added to the domain does not compile until it has
//! its Persian name.

use rusta_wire::{ClockSource, Metric, Network, Outcome, ProbeKind, Rung};

use super::Lang;

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

impl<T: Named> Named for &T {
    fn names(self) -> (&'static str, &'static str) {
        (*self).names()
    }
}

macro_rules! named {
    // An enum of the contract: a later version may have codes this one does not know.
    (open $kind:ident { $($variant:ident => $fa:literal, $en:literal;)+ }) => {
        impl Named for $kind {
            fn names(self) -> (&'static str, &'static str) {
                match self {
                    $($kind::$variant => ($fa, $en),)+
                    $kind::Unknown(_) => ("ناشناخته", "unknown"),
                }
            }
        }
    };
    ($kind:ident { $($variant:ident => $fa:literal, $en:literal;)+ }) => {
        impl Named for $kind {
            fn names(self) -> (&'static str, &'static str) {
                match self { $($kind::$variant => ($fa, $en),)+ }
            }
        }
    };
}
pub(crate) use named;

/// Names the operators of the country as they call themselves, Persian first; others keep their id.
pub fn operator_names(id: &str) -> (&str, &str) {
    match id {
        "mci" => ("همراه اول", "MCI"),
        "irancell" | "mtn" => ("ایرانسل", "Irancell"),
        "rightel" => ("رایتل", "RighTel"),
        "shatel" => ("شاتل", "Shatel"),
        "tci" => ("مخابرات ایران", "TCI"),
        other => (other, other),
    }
}

named!(open Network {
    Gov => "شبکه دولت", "government network";
    Apn => "APN روستایی", "rural APN";
    Nin => "شبکه ملی اطلاعات", "national information network";
    Internet => "اینترنت بین‌الملل", "international internet";
});

named!(open Rung {
    Collector => "گردآورنده", "collector";
    Power => "برق", "power";
    Device => "مسیریاب", "router";
    Modem => "مودم", "modem";
    Sim => "سیم‌کارت و بسته", "SIM and plan";
    Radio => "رادیو و دکل", "radio and mast";
    Bearer => "حامل و APN", "bearer and APN";
    Gateway => "درگاه APN و تونل", "APN gateway and tunnel";
    Pop => "PoP شهرستان", "county PoP";
    Core => "هسته استان", "provincial core";
    Nin => "شبکه ملی اطلاعات", "national information network";
    International => "اینترنت بین‌الملل", "international internet";
    Naming => "نام دامنه و گواهی", "names and certificates";
    Service => "خدمت یا مرکز تبادل", "service or exchange";
});

named!(open ProbeKind {
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

named!(open Outcome {
    Ok => "پاسخ داد", "answered";
    Timeout => "بی‌پاسخ", "no answer";
    Refused => "نپذیرفت", "refused";
    Unreachable => "دست‌نیافتنی", "unreachable";
    ResolveFailed => "نام پیدا نشد", "name not resolved";
    TlsFailed => "خطای TLS", "TLS failed";
    ClockFault => "ساعت نادرست", "wrong clock";
    Unexpected => "پاسخ غیرمنتظره", "unexpected answer";
    Malformed => "پاسخ ناخوانا", "unreadable answer";
    LinkGone => "لینک در دسترس نیست", "link gone";
    NotPermitted => "بدون مجوز", "not permitted";
    NotRun => "اجرا نشد", "not run";
    SystemError => "خطای سیستم", "system error";
});

named!(open ClockSource {
    None => "بدون ساعت", "no clock";
    Persisted => "زمان ذخیره‌شده", "persisted time";
    System => "ساعت سیستم", "system clock";
    Synchronised => "ساعت هماهنگ", "synchronised clock";
    Collector => "گردآورنده", "collector";
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
