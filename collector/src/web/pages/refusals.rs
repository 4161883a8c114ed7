//! Why a form was refused, in the reader's language. What refuses says it in English, for commands and records; here
//! stands the Persian of each.

use crate::persian::{Form, Lang, reworded};

const FORMS: &[Form] = &[
    ("there is a user `{}` already", "کاربری با نام «{}» هست"),
    ("there is no user `{}`", "کاربری با نام «{}» نیست"),
    ("the last administrator cannot be removed", "تنها مدیر سامانه را نمی‌توان برداشت"),
    (
        "`{}` is not a user name: 1 to {} letters, digits, `.`, `-` or `_`",
        "«{}» نام کاربری درستی نیست: ۱ تا {} حرف، رقم، نقطه، خط تیره یا خط زیر",
    ),
    ("a password has {} to {} characters; this one has {}", "گذرواژه {} تا {} نویسه دارد؛ این یکی {} نویسه است"),
    ("this password is among the first that anybody would try", "این گذرواژه از نخستین‌هایی است که هر کسی می‌آزماید"),
    ("there is no session {}", "نشست {} باز نیست"),
    ("`{}` is no network such as 10.20.0.0/16", "«{}» نشانی شبکه‌ای مانند 10.20.0.0/16 نیست"),
    ("there is no live token {}", "توکن فعالی با شماره {} نیست"),
    ("the operating system gives no random numbers", "سیستم‌عامل عدد تصادفی نمی‌دهد"),
    ("there is no agent {}", "عاملی با شناسه {} نیست"),
    ("agent {} does not wait for approval", "عامل {} در انتظار تأیید نیست"),
    ("from: in the future", "آغاز در آینده است"),
    ("`{}` signs in by the directory and has no password here", "«{}» با ورود یکپارچه وارد می‌شود و اینجا گذرواژه ندارد"),
    ("there is no region `{}`", "ناحیه‌ای با کد «{}» نیست"),
    ("`{}` is none of {}", "«{}» هیچ‌یک از این‌ها نیست: {}"),
    ("there is no incident {}", "رخدادی با شماره {} نیست"),
    ("incident {} is over", "رخداد {} پایان یافته است"),
    ("write something", "چیزی بنویسید"),
    ("longer than {} characters", "بلندتر از {} نویسه است"),
    ("there is no maintenance window {}", "پنجره نگهداری {} نیست"),
    ("maintenance window {} is over", "پنجره نگهداری {} پایان یافته است"),
    ("reason: give one of at most {} characters", "علت را بنویسید، حداکثر {} نویسه"),
    ("until: lies after `from`, at most 92 days", "پایان پس از آغاز است، حداکثر ۹۲ روز"),
    ("from: more than 60 days ago, which cannot be built again", "آغاز بیش از ۶۰ روز پیش است و دیگر بازسازی نمی‌شود"),
    ("weekly: longer than a week", "تکرار هفتگی: بلندتر از یک هفته است"),
    (
        "covers: give 1 to {} of region/CODE, site/CODE, link/SITE/NAME, node/CODE",
        "دامنه: ۱ تا {} مورد از region/CODE، site/CODE، link/SITE/NAME یا node/CODE بنویسید",
    ),
    (
        "covers: `{}` is no region/CODE, site/CODE, link/SITE/NAME or node/CODE of the registry",
        "دامنه: «{}» در شناسنامه‌ها نیست؛ به شکل region/CODE، site/CODE، link/SITE/NAME یا node/CODE بنویسید",
    ),
    ("from: a moment such as {} or {}", "آغاز: زمانی مانند {} یا {} بنویسید"),
    ("until: a moment such as {} or {}", "پایان: زمانی مانند {} یا {} بنویسید"),
    ("the file passes the limit of {}", "پرونده از {} بایت بزرگ‌تر است"),
    ("there is no file in the form", "پرونده‌ای در فرم نیست"),
    ("`{}` is not a day such as {}", "«{}» روزی مانند {} نیست"),
    ("`{}` is not a day of the Jalali calendar", "«{}» در تقویم خورشیدی نیست"),
];

/// Words a refusal; one that has no Persian stays English.
pub fn in_words(reason: &str, lang: Lang) -> String {
    let persian = if lang == Lang::Fa { reworded(FORMS, reason) } else { None };
    persian.unwrap_or_else(|| reason.to_owned())
}
