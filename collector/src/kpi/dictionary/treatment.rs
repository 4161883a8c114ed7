//! What a definition does about what is not plain: unknown time, announced work, late data, rounding.

use super::Said;
use crate::kpi::{Form, Kpi};

/// What announced work does to a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The figure looks at no state.
    NotLookedAt,
    /// What was not up inside work announced a day ahead is left out; what was up counts.
    LeftOut,
    /// The same, and all of what lies inside work announced later is left out too.
    LaterLeftOutToo,
    /// What was not up counts as down.
    Down,
    /// It connects nobody: a village all of whose paths are down or under work is disconnected.
    ConnectsNobody,
    /// It does not split an outage.
    SplitsNothing,
    /// As in the figure that is compared.
    AsCompared,
}

impl Work {
    pub(super) const fn said(self) -> Said {
        match self {
            Work::NotLookedAt => ("نقشی ندارد: این عدد به وضعیت‌ها نگاه نمی‌کند", "plays no part: the figure looks at no state"),
            Work::LeftOut => (
                "از کاری که ۲۴ ساعت پیش‌تر اعلام شده زمان قطع و نامعلوم (Tm) در صورت و مخرج نیست و زمان برقرار درون آن شمرده می‌شود؛ کاری که دیرتر اعلام شده چیزی را تغییر نمی‌دهد",
                "of work announced 24 hours ahead down and unknown time (Tm) is in neither numerator nor denominator, time up inside it counts; work on short notice changes nothing",
            ),
            Work::LaterLeftOutToo => (
                "از کاری که ۲۴ ساعت پیش‌تر اعلام شده زمان قطع و نامعلوم (Tm) در صورت و مخرج نیست و زمان برقرار درون آن شمرده می‌شود؛ از کاری که دیرتر اعلام شده هیچ زمانی شمرده نمی‌شود",
                "of work announced 24 hours ahead down and unknown time (Tm) is in neither numerator nor denominator, time up inside it counts; of work on short notice no time counts at all",
            ),
            Work::Down => (
                "از کاری که ۲۴ ساعت پیش‌تر اعلام شده آنچه برقرار نبوده (Tm) در مخرج است و در صورت نیست",
                "of work announced 24 hours ahead what was not up (Tm) is in the denominator and not in the numerator",
            ),
            Work::ConnectsNobody => (
                "کار کسی را متصل نمی‌کند: روستایی که همه مسیرهایش قطع یا زیر کار اعلام‌شده است قطع است؛ مسیر برقرار درون کار متصل است",
                "work connects nobody: a village all of whose paths are down or under announced work is disconnected; a path up inside work connects",
            ),
            Work::SplitsNothing => (
                "کار اعلام‌شده درون یک قطعی آن را دو تا نمی‌کند و جزو مدت آن است",
                "announced work inside an outage does not split it and is part of its duration",
            ),
            Work::AsCompared => ("همان‌گونه که در عدد مقایسه‌شده", "as in the figure that is compared"),
        }
    }
}

/// Says how unknown time enters a figure.
pub(super) fn unknown(kpi: &Kpi) -> Said {
    if kpi.work == Work::AsCompared {
        return ("کران‌ها از کران‌های عدد مقایسه‌شده می‌آید", "the bounds come of the bounds of the figure that is compared");
    }
    match kpi.form {
        Form::Share => (
            "مقدار N/D تنها از آنچه معلوم است؛ کران پایین N/(D+U) و کران بالا (N+U)/(D+U)",
            "value N/D of what is known alone; lower bound N/(D+U), upper bound (N+U)/(D+U)",
        ),
        Form::ShareOfAll => (
            "مخرج آنچه نامعلوم است را هم دارد: مقدار و کران پایین N/D، کران بالا (N+U)/D",
            "the denominator holds what is unknown too: value and lower bound N/D, upper bound (N+U)/D",
        ),
        Form::Rate => (
            "مقدار N/D تنها از آنچه معلوم است؛ کران پایین N/(D+U)؛ کران بالا (N+W)/(D+U) که W بدترین اتفاق ممکن در زمان نامعلوم است",
            "value N/D of what is known alone; lower bound N/(D+U); upper bound (N+W)/(D+U), W being the worst that could have happened in unknown time",
        ),
        Form::Count | Form::Mean | Form::Median | Form::Percentile(..) => (
            "کرانی ندارد: آنچه سنجیده نشده کران‌پذیر نیست؛ سهم معلوم کنار آن می‌آید",
            "no bounds: what was not measured cannot be bounded; the known share stands beside",
        ),
        Form::Between => (
            "بدون رویداد تنها «بیشتر از N»؛ سهم معلوم کنار آن می‌آید",
            "without an event only \"longer than N\"; the known share stands beside",
        ),
    }
}

/// Says what late data does to any figure.
pub(super) const LATE: Said = (
    "داده دیررسیده گذشته را از نو می‌سازد؛ تا ۷۲ ساعت پس از پایان بازه موقت است و گزارش منتشرشده بازبینی می‌گیرد",
    "late data builds the past again; provisional until 72 hours after the window, and a published report gets a revision",
);

/// Says where a figure is rounded.
pub(super) const fn rounding(form: Form) -> Said {
    match form {
        Form::Percentile(..) => (
            "ثانیه و شمارش عدد درست؛ صدک، میانه سطل خود در هیستوگرام است (خطا تا ۱/۳۲)؛ گرد کردن تنها هنگام نمایش",
            "whole seconds and counts; a percentile is the middle of its bucket (off by at most 1/32); rounded only when shown",
        ),
        Form::Median => ("میانه با رتبه نزدیک‌ترین؛ گرد کردن تنها هنگام نمایش", "median by the nearest rank; rounded only when shown"),
        _ => (
            "N و D و U جمع عددهای درست‌اند و یک بار تقسیم می‌شوند؛ گرد کردن تنها هنگام نمایش",
            "N, D and U are sums of whole numbers, divided once; rounded only when shown",
        ),
    }
}

/// Says how a value comes of the sums.
pub(super) const fn form(form: Form) -> Said {
    match form {
        Form::Share | Form::Rate | Form::Mean | Form::ShareOfAll => ("N/D", "N/D"),
        Form::Count => ("N", "N"),
        Form::Between => ("N/D، بدون رویداد بیشتر از N", "N/D, longer than N without an event"),
        Form::Median => ("میانه یک مقدار از هر شیء", "median of one value for each object"),
        Form::Percentile(50, _) => ("میانه توزیع ادغام‌شده", "median of the merged distribution"),
        Form::Percentile(..) => ("صدک ۹۵ توزیع ادغام‌شده", "95th percentile of the merged distribution"),
    }
}

/// Says the shortest window a definition judges.
pub(super) fn least_window(kpi: &Kpi) -> (String, String) {
    match kpi.least_days {
        0 => ("هر بازه‌ای".to_owned(), "any window".to_owned()),
        days => {
            let fa = crate::persian::digits(&format!("{days} روز؛ در بازه کوتاه‌تر تنها کران‌ها"), crate::persian::Lang::Fa);
            (fa, format!("{days} days; of a shorter one the bounds alone"))
        }
    }
}
