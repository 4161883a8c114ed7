//! Why a call was made or not, and what became of it, in the reader's language.
//!
//! Reasons are kept in English, as the stages and channels say them: records outlive wordings. Here stands the Persian of
//! each.

use crate::persian::{Form, Lang, reworded};

/// Every form a reason has, with its Persian.
const FORMS: &[Form] = &[
    ("announced maintenance covers all of it", "همه آن در پنجره نگهداری اعلام‌شده است"),
    ("no maintenance covers it", "پنجره نگهداری ندارد"),
    ("it is the cause itself", "خودش علت است"),
    ("the monitoring itself is blind", "خود سامانه پایش نابیناست"),
    ("explained by incident {}", "رخداد {} آن را توضیح می‌دهد"),
    ("its cause is not judged yet", "علت آن هنوز تشخیص داده نشده است"),
    ("no incident explains it", "رخدادی آن را توضیح نمی‌دهد"),
    ("came back {} times in half an hour: called if it stays until {}", "در نیم ساعت {} بار بازگشت: اگر تا {} بماند خبر داده می‌شود"),
    ("does not flap", "نوسان ندارد"),
    ("stands in the shift's digest", "در خلاصه نوبت می‌آید"),
    ("one case of: {}", "یک گروه هشدار برای: {}"),
    ("acknowledged by {}", "{} دریافت را تأیید کرده است"),
    ("its route names nobody for this severity", "مسیر خبر برای این شدت کسی را ندارد"),
    ("everybody on its route was told", "همه افراد مسیر خبردار شده‌اند"),
    ("the next step is due at {}", "گام بعدی در {} است"),
    ("step {} is due", "زمان گام {} رسیده است"),
    ("quiet hours of {}", "ساعات بدون اعلان {}"),
    ("nobody new to tell in this step", "در این گام کس تازه‌ای نیست"),
    ("they wait for their summary already", "پیش‌تر در صف خلاصه‌اند"),
    ("over before the summary of {}", "پیش از خلاصه {} پایان یافت"),
    ("step {}: {}; quiet hours of {}", "گام {}: {}؛ ساعات بدون اعلان {}"),
    ("step {} done", "گام {} انجام شد"),
    ("step {}: {}", "گام {}: {}"),
    ("called {}; summary for {}", "به {} خبر داده شد؛ {} در خلاصه می‌خواند"),
    ("called {}", "به {} خبر داده شد"),
    ("over the cap of {}: goes into the summary", "سقف خبر {} پر است: در خلاصه می‌آید"),
    ("became part of incident/{}", "بخشی از رخداد {} شد"),
    ("over before anybody was called", "پیش از خبر دادن پایان یافت"),
    ("over: {} told", "پایان یافت: به {} نفر گفته شد"),
    ("{}: gathering", "{}: منتظر همسایه‌ها"),
    ("{}: parent_undecided", "{}: منتظر تشخیص علت بالادست"),
    ("{}: parent_maintenance", "{}: بالادست در دست تعمیر است"),
    ("{}: own_outage", "{}: شاید خود سامانه پایش نابیناست"),
    // Which sites, and why they left an incident.
    ("recovered: {}", "برقرار شد: {}"),
    ("maintenance: {}", "در دست تعمیر: {}"),
    ("removed: {}", "از فهرست بیرون رفت: {}"),
    ("cause_restored: {}", "علت برطرف شد و جداگانه سنجیده می‌شود: {}"),
    ("absorbed: {}", "رخداد دیگری آن را بهتر توضیح می‌دهد: {}"),
    ("by_hand: {}", "یک نفر پایان داد: {}"),
    // What became of a call: its channel, after its recipient in a story.
    ("{}: delivered", "{}: رسید"),
    ("{}no channel: no channel reaches this recipient", "{}هیچ کانالی به این گیرنده نمی‌رسد"),
    ("{}: the channel is not configured", "{}: این کانال تنظیم نشده است"),
    ("{}: no address on this channel", "{}: در این کانال نشانی ندارد"),
    ("{}: interrupted by a restart", "{}: با راه‌اندازی دوباره نیمه‌کاره ماند"),
    ("{}: no connection", "{}: اتصال برقرار نشد"),
    ("{}: no connection: {}", "{}: اتصال برقرار نشد: {}"),
    ("{}: no answer in time", "{}: به‌موقع پاسخی نیامد"),
    ("{}: the connection broke", "{}: اتصال قطع شد"),
    ("{}: the request cannot be built", "{}: درخواست ساخته نشد"),
    ("{}: the channel's own rate limit", "{}: سقف ارسال خود کانال پر است"),
    ("{}: HTTP {}: {}", "{}: پاسخ HTTP {}: {}"),
    ("{}: the gateway said {}", "{}: درگاه گفت {}"),
    ("{}: the mail server hung up", "{}: سرور ایمیل اتصال را بست"),
    ("{}: the mail server cannot be reached: {}", "{}: سرور ایمیل در دسترس نیست: {}"),
    ("{}: the mail server refused: {}", "{}: سرور ایمیل نپذیرفت: {}"),
    ("{}: the mail server said later: {}", "{}: سرور ایمیل گفت بعداً: {}"),
    ("{}: the mail server did not answer in time", "{}: سرور ایمیل به‌موقع پاسخ نداد"),
    ("{}: the connection to the mail server broke: {}", "{}: اتصال به سرور ایمیل قطع شد: {}"),
    ("{}: spool folder: {}", "{}: پوشه صف مودم: {}"),
];

/// Words a reason; one nobody knows stays as it was kept.
pub fn in_words(reason: &str, lang: Lang) -> String {
    if lang == Lang::En {
        return reason.to_owned();
    }
    reworded(FORMS, reason).unwrap_or_else(|| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_worded_with_what_differs_in_it() {
        let fa = |reason| in_words(reason, Lang::Fa);
        assert_eq!(fa("explained by incident 12"), "رخداد ۱۲ آن را توضیح می‌دهد");
        assert_eq!(fa("step 1: ali, sara"), "گام ۱: ali, sara");
        assert_eq!(fa("step 1 done"), "گام ۱ انجام شد");
        assert_eq!(fa("called ali; summary for sara"), "به ali خبر داده شد؛ sara در خلاصه می‌خواند");
        assert_eq!(
            fa("came back 4 times in half an hour: called if it stays until 10:30"),
            "در نیم ساعت ۴ بار بازگشت: اگر تا ۱۰:۳۰ بماند خبر داده می‌شود"
        );
        assert_eq!(fa("gov0: parent_undecided"), "gov0: منتظر تشخیص علت بالادست");
        assert_eq!(fa("sms: delivered"), "sms: رسید");
        assert_eq!(fa("ali: sms: HTTP 503: busy"), "ali: sms: پاسخ HTTP ۵۰۳: busy");
        assert_eq!(fa("ali: no channel: no channel reaches this recipient"), "ali: هیچ کانالی به این گیرنده نمی‌رسد");
        assert_eq!(fa("nobody knows this one"), "nobody knows this one");
        assert_eq!(in_words("does not flap", Lang::En), "does not flap");
    }
}
