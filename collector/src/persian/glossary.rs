//! The glossary: every label a page, a report or a message prints, once, in both languages.
//!
//! [`Words`] has one field per entry, so a template that names a label nobody translated does not compile.

use super::Lang;

macro_rules! glossary {
    ($($key:ident: $fa:literal, $en:literal;)+) => {
        /// The labels of one language.
        #[derive(Debug)]
        pub struct Words { $(#[doc = $en] pub $key: &'static str,)+ }

        static FA: Words = Words { $($key: $fa,)+ };
        static EN: Words = Words { $($key: $en,)+ };

        #[cfg(test)]
        const ENTRIES: &[(&str, &str, &str)] = &[$((stringify!($key), $fa, $en),)+];
    };
}

/// Returns the labels of a language.
pub fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::Fa => &FA,
        Lang::En => &EN,
    }
}

glossary! {
    product: "روستا", "Rusta";
    tagline: "پایش اتصال روستاها", "village connectivity";
    // Places and things.
    province: "استان", "province";
    county: "شهرستان", "county";
    counties: "شهرستان‌ها", "counties";
    district: "بخش", "district";
    rural_district: "دهستان", "rural district";
    region: "منطقه", "region";
    regions: "تقسیمات کشوری", "administrative divisions";
    village: "روستا", "village";
    villages: "روستاها", "villages";
    households: "خانوار", "households";
    population: "جمعیت", "population";
    site: "سایت", "site";
    sites: "سایت‌ها", "sites";
    site_record: "شناسنامه سایت", "site record";
    link: "لینک", "link";
    links: "لینک‌ها", "links";
    target: "هدف سنجش", "target";
    targets: "اهداف سنجش", "targets";
    agent: "عامل پایش", "agent";
    agents: "عامل‌ها", "agents";
    network: "شبکه", "network";
    networks: "شبکه‌ها", "networks";
    operator: "اپراتور", "operator";
    access: "فناوری", "technology";
    role: "نقش", "role";
    service: "خدمت", "service";
    services: "خدمات", "services";
    contact: "تماس", "contact";
    code: "کد", "code";
    name: "نام", "name";
    kind: "نوع", "kind";
    state: "وضعیت", "state";
    since: "از", "since";
    cause: "علت", "cause";
    confidence: "اطمینان", "confidence";
    class: "رده", "class";
    tags: "برچسب‌ها", "tags";
    calendar: "تقویم خدمت", "service calendar";
    location: "موقعیت روی نقشه", "map location";
    map: "نقشه", "map";
    band: "گروه خانوار", "household band";
    // Figures.
    connected_now: "متصل در این لحظه", "connected now";
    kpi: "شاخص کلیدی", "KPI";
    kpis: "شاخص‌ها", "KPIs";
    value: "مقدار", "value";
    estimate: "برآورد با داده دیررسیده", "estimate from late data";
    explained: "عددهای سازنده این مقدار", "the numbers behind this figure";
    window_too_short: "بازه کوتاه‌تر از آن است که داوری شود", "window too short to judge";
    lower_bound: "کران پایین", "lower bound";
    upper_bound: "کران بالا", "upper bound";
    bounds: "کران‌ها", "bounds";
    known_ratio: "سهم داده معلوم", "known share";
    numerator: "صورت", "numerator";
    denominator: "مخرج", "denominator";
    of_which: "از", "of";
    weight: "وزن", "weight";
    unit: "واحد", "unit";
    period: "دوره", "period";
    definition: "تعریف", "definition";
    definition_version: "نسخه تعریف", "definition version";
    goal: "هدف", "goal";
    baseline: "مبنا", "baseline";
    declared: "اعلامی", "declared";
    measured: "سنجیده", "measured";
    gap: "شکاف", "gap";
    provisional: "موقت", "provisional";
    published: "نهایی", "published";
    revision: "ویرایش", "revision";
    live: "زنده", "live";
    insufficient_data: "داده ناکافی", "insufficient data";
    not_collected: "هنوز داده‌ای گردآوری نشده است", "no data has been collected yet";
    breakdown: "به تفکیک", "broken down by";
    source: "منبع", "source";
    as_of: "به تاریخ", "as of";
    publisher: "ناشر", "publisher";
    dictionary: "واژه‌نامه داده", "data dictionary";
    worked_example: "نمونه محاسبه", "worked example";
    trend: "روند ۱۴ روز", "14-day trend";
    history: "پیشینه", "history";
    availability: "دسترس‌پذیری", "availability";
    // States as groups.
    connected: "متصل", "connected";
    disconnected: "قطع", "disconnected";
    unknown: "نامشخص", "unknown";
    partial: "اتصال ناقص", "partial";
    down: "قطع", "down";
    up: "برقرار", "up";
    degraded: "افت کیفیت", "degraded";
    silent: "بدون گزارش", "silent";
    all: "همه", "all";
    total: "جمع", "total";
    none: "هیچ", "none";
    attention: "نیازمند رسیدگی", "needs attention";
    no_attention: "هیچ سایتی قطع یا نامشخص نیست.", "No site is down or unknown.";
    silent_agents: "عامل‌های بدون گزارش", "silent agents";
    worst_movers: "بیشترین افت", "worst movers";
    by_network: "به تفکیک شبکه", "by network";
    by_cause: "به تفکیک علت", "by cause";
    unattributed: "علت نامشخص", "unattributed";
    // Site page.
    ladder: "مراحل عیب‌یابی", "fault ladder";
    ladder_hint: "پایین‌ترین مرحله ناموفق، محل خرابی است.", "The lowest broken rung is where the fault is.";
    rung: "پله", "rung";
    broken_rung: "محل خرابی", "broken rung";
    rung_holds: "برقرار", "holds";
    rung_broken: "شکسته", "broken";
    rung_above: "بالای خرابی", "above the fault";
    rung_unmeasured: "سنجیده نمی‌شود", "not measured";
    last_hour: "یک ساعت گذشته", "last hour";
    last_24h: "۲۴ ساعت گذشته", "last 24 hours";
    last_7d: "۷ روز گذشته", "last 7 days";
    last_30d: "۳۰ روز گذشته", "last 30 days";
    last_year: "یک سال گذشته", "last year";
    state_ribbon: "نوار وضعیت", "state over time";
    rtt: "تأخیر رفت‌وبرگشت", "round-trip time";
    rtt_spread: "خط: میانه؛ سایه: از کمترین تا بیشترین", "line: median; shade: smallest to largest";
    loss: "اتلاف بسته", "packet loss";
    radio: "رادیو", "radio";
    traffic: "ترافیک", "traffic";
    power: "برق", "power";
    outages: "قطعی‌ها", "outages";
    outage: "قطعی", "outage";
    no_outages: "در این بازه قطعی ثبت نشده است.", "No outage is recorded in this range.";
    started: "آغاز", "started";
    restored: "پایان", "restored";
    duration: "مدت", "duration";
    ongoing: "ادامه دارد", "ongoing";
    no_samples: "در این بازه سنجشی ثبت نشده است.", "No measurement is recorded in this range.";
    result: "نتیجه", "result";
    probe: "روش سنجش", "probe";
    observed: "زمان سنجش", "observed";
    evidence: "آخرین شاهد", "latest evidence";
    metered: "حجمی", "metered";
    plan: "بسته داده", "data plan";
    plan_use: "مصرف بسته", "plan use";
    sim: "سیم‌کارت", "SIM";
    sim_swaps: "تعویض سیم‌کارت", "SIM changes";
    own_share: "سهم خود عامل", "the agent's own share";
    as_tables: "نمایش جدولی", "as tables";
    as_charts: "نمایش نمودار", "as charts";
    ahead: "در پیش", "ahead";
    no_maintenance: "کار برنامه‌ریزی‌شده‌ای برای این سایت اعلام نشده است.", "No planned work is announced for this site.";
    no_incidents_here: "این سایت تاکنون در رخدادی نبوده است.", "This site has not been part of an incident.";
    clock: "ساعت", "clock";
    clock_skew: "اختلاف ساعت", "clock skew";
    spool: "در انتظار ارسال", "waiting to be sent";
    samples_lost: "سنجش از دست رفته", "samples lost";
    last_report: "آخرین گزارش", "last report";
    version: "نسخه", "version";
    refused_batches: "گزارش ردشده", "batches refused";
    assignment: "برنامه سنجش", "assignment";
    assignment_own: "تنظیم خود عامل", "the agent's own file";
    on_trial: "در حال آزمون", "on trial";
    assignment_refused: "برنامه سنجش ردشده", "assignment refused";
    certificate_until: "اعتبار گواهی تا", "certificate valid until";
    no_agent: "عاملی برای این سایت ثبت نشده است.", "No agent is enrolled for this site.";
    never: "هرگز", "never";
    // Incidents.
    incident: "رخداد", "incident";
    incidents: "رخدادها", "incidents";
    open_incidents: "رخدادهای باز", "open incidents";
    no_incidents: "رخداد بازی نیست.", "No incident is open.";
    worst_now: "بزرگ‌ترین رخداد", "the largest now";
    nobody_told: "به کسی خبر داده نشده", "nobody told";
    notified: "خبررسانی", "notified";
    told: "خبر داده شد به", "told";
    nobody: "هیچ‌کس", "nobody";
    began_within: "شروع در", "began within";
    persons: "نفر", "recipients";
    root_cause: "علت ریشه‌ای", "root cause";
    severity: "شدت", "severity";
    affected: "سایت‌های درگیر", "affected sites";
    acknowledge: "تأیید دریافت", "acknowledge";
    acknowledged_by: "تأیید شده توسط", "acknowledged by";
    resolve: "پایان دادن", "resolve";
    assign: "ارجاع", "assign";
    assignee: "مسئول", "assignee";
    note: "یادداشت", "note";
    add_note: "ثبت یادداشت", "add note";
    site_visited: "از سایت بازدید شد", "site visited";
    timeline: "روند رخداد", "timeline";
    why_called: "چرا خبر داده شد، چرا نه", "why someone was called, or not";
    maintenance: "در دست تعمیر", "under maintenance";
    maintenance_windows: "پنجره‌های نگهداری", "maintenance windows";
    covers: "شامل", "covers";
    every_week: "هر هفته", "every week";
    announce: "اعلام", "announce";
    end_work: "پایان", "end";
    opened: "باز شده", "opened";
    closed: "بسته", "closed";
    open: "باز", "open";
    // Lists.
    search: "جست‌وجو", "search";
    search_hint: "نام فارسی یا لاتین، یا کد", "Persian or Latin name, or code";
    filter: "فیلتر", "filter";
    apply: "اعمال", "apply";
    clear: "پاک کردن", "clear";
    found: "مورد", "found";
    nothing_found: "چیزی پیدا نشد.", "Nothing found.";
    next_page: "صفحه بعد", "next page";
    first_page: "صفحه نخست", "first page";
    previous_page: "صفحه پیش", "previous page";
    export: "خروجی گرفتن", "export";
    monthly_report: "گزارش ماهانه", "monthly report";
    sort_by: "مرتب‌سازی بر پایه", "sort by";
    more: "بیشتر", "more";
    show_all: "نمایش همه", "show all";
    print: "چاپ", "print";
    // Shell.
    home: "نمای استان", "overview";
    wall: "نمای دیواری", "wall screen";
    admin: "مدیریت", "administration";
    settings: "تنظیمات", "settings";
    sign_in: "ورود", "sign in";
    sign_out: "خروج", "sign out";
    user: "کاربر", "user";
    users: "کاربران", "users";
    user_name: "نام کاربری", "user name";
    password: "گذرواژه", "password";
    signed_in_as: "کاربر", "signed in as";
    wrong_login: "نام کاربری یا گذرواژه درست نیست.", "The user name or the password is wrong.";
    too_many_logins: "تلاش‌های ناموفق زیاد بود. چند دقیقه دیگر دوباره بیازمایید.", "Too many failed attempts. Try again in a few minutes.";
    identities: "هویت عامل‌ها", "agents' identities";
    waits_for_approval: "در انتظار تأیید", "waits for approval";
    revoked: "باطل‌شده", "revoked";
    approve: "تأیید", "approve";
    enrol_again: "توکن ثبت دوباره", "token to enrol again";
    replace_agent: "ابطال و توکن جایگزین", "revoke and replace";
    counts_nowhere_from: "بی‌اعتبار از", "counts nowhere from";
    enrolment_token_once: "توکن ثبت، یک بار و تا ۲۴ ساعت به کار می‌آید و دیگر نشان داده نمی‌شود. برای سایت:", "Enrolment token, good once and for 24 hours, not shown again. For site:";
    directory_is_silent: "سامانه‌ای که حساب شما را می‌شناسد پاسخ نمی‌دهد. حساب‌های خود این سامانه همچنان باز می‌شوند.", "The directory that knows your account does not answer. Accounts of this collector still open.";
    single_sign_on: "ورود یکپارچه", "single sign-on";
    form_is_old: "این برگه کهنه است یا مرورگر کوکی نمی‌پذیرد. دوباره بیازمایید.", "This form is old, or the browser takes no cookies. Try again.";
    account: "حساب من", "my account";
    change_password: "تغییر گذرواژه", "change password";
    current_password: "گذرواژه کنونی", "current password";
    new_password: "گذرواژه تازه", "new password";
    password_again: "تکرار گذرواژه تازه", "new password again";
    password_hint: "دست‌کم ۱۰ نویسه. چند واژه بی‌ربط کنار هم بهتر از یک واژه با رقم است. نشست‌های دیگر شما پایان می‌یابد.", "At least 10 characters. A few unrelated words are better than one word with digits. Your other sessions end.";
    password_is_temporary: "این گذرواژه موقت است. پیش از هر کاری گذرواژه خود را بگذارید.", "This password is temporary. Choose your own before anything else.";
    passwords_differ: "دو گذرواژه تازه یکی نیستند.", "The two new passwords differ.";
    password_is_the_same: "گذرواژه تازه همان گذرواژه کنونی است.", "The new password is the current one.";
    wrong_password: "گذرواژه درست نیست.", "The password is wrong.";
    confirm_password: "تأیید گذرواژه", "confirm your password";
    confirm_password_hint: "این کار حساس است و بیش از ۱۰ دقیقه از آخرین بار که گذرواژه را نوشتید گذشته است. هنوز چیزی تغییر نکرده؛ پس از تأیید دوباره انجام دهید.", "This is a sensitive act, and you typed your password more than 10 minutes ago. Nothing was changed; do it again after confirming.";
    second_factor: "عامل دوم", "second factor";
    second_factor_hint: "افزون بر گذرواژه، هنگام ورود رمزی شش‌رقمی از برنامه رمزساز تلفن پرسیده می‌شود.", "Besides the password, signing in asks for a six-digit code of an authenticator app.";
    second_factor_needed: "نقش شما عامل دوم می‌خواهد. پیش از هر کاری آن را راه بیندازید.", "Your role needs a second factor. Set it up before anything else.";
    second_factor_scan: "این تصویر را با برنامه رمزساز بخوانید یا متن زیر آن را بنویسید، سپس رمزی را که نشان می‌دهد وارد کنید. بار دیگر نشان داده نمی‌شود.", "Scan this with an authenticator app, or type the text under it; then enter the code it shows. It is not shown again.";
    second_factor_on: "راه انداختن", "set up";
    second_factor_off: "برداشتن", "take off";
    second_factor_in_force: "عامل دوم برقرار است.", "The second factor is in force.";
    second_code: "رمز برنامه رمزساز (اگر راه انداخته‌اید)", "code of the authenticator app (if you set it up)";
    wrong_code: "رمز درست نیست. دوباره راه بیندازید.", "The code is wrong. Set it up again.";
    recovery_once: "این رمزها هر یک یک بار به جای تلفن به کار می‌روند و تنها همین یک بار نشان داده می‌شوند:", "Each of these works once in place of the telephone, and they are shown this once:";
    sessions: "نشست‌های باز", "open sessions";
    this_session: "همین نشست", "this session";
    end_session: "پایان دادن", "end";
    end_sessions: "پایان همه نشست‌ها", "end all sessions";
    reset_password: "گذرواژه موقت", "temporary password";
    temporary_once: "این گذرواژه یک ساعت اعتبار دارد و تنها همین یک بار نشان داده می‌شود:", "This password holds for an hour and is shown this once:";
    last_used: "آخرین استفاده", "last used";
    expires: "پایان اعتبار", "expires";
    allowed_addresses: "نشانی‌های مجاز", "allowed addresses";
    address: "نشانی", "address";
    anywhere: "همه جا", "anywhere";
    days: "روز", "days";
    language: "زبان", "language";
    other_language: "English", "فارسی";
    theme: "پوسته", "theme";
    light: "روشن", "light";
    dark: "تیره", "dark";
    automatic: "خودکار", "automatic";
    skip: "پرش به محتوا", "skip to content";
    menu: "فهرست", "menu";
    last_update: "آخرین به‌روزرسانی", "last update";
    renew: "به‌روزرسانی", "renew";
    stale_page: "ارتباط با گردآورنده قطع است؛ این صفحه کهنه است.", "The collector does not answer; this page is old.";
    not_found: "پیدا نشد", "not found";
    not_found_hint: "چنین صفحه‌ای نیست یا در حوزه دسترسی شما نیست.", "There is no such page, or it is outside your region.";
    forbidden: "اجازه ندارید", "not allowed";
    forbidden_hint: "نقش شما اجازه این کار را ندارد.", "Your role does not allow this.";
    failed: "انجام نشد", "failed";
    save: "ثبت", "save";
    cancel: "انصراف", "cancel";
    remove: "حذف", "remove";
    // Administration.
    role_viewer: "بیننده", "viewer";
    role_operator: "بهره‌بردار", "operator";
    role_admin: "مدیر", "administrator";
    scope: "حوزه دسترسی", "region scope";
    whole_country: "همه", "everything";
    tokens: "توکن‌های API", "API tokens";
    token: "توکن", "token";
    token_once: "این توکن تنها همین یک بار نشان داده می‌شود:", "This token is shown only this once:";
    create: "ساختن", "create";
    revoke: "لغو", "revoke";
    audit: "دفتر رویدادهای کاربری", "audit log";
    who: "چه کسی", "who";
    what: "چه کاری", "what";
    when: "زمان", "when";
    inventory: "فهرست سایت‌ها", "inventory";
    inventory_import: "بارگذاری فهرست", "inventory import";
    dry_run: "بررسی بدون اجرا", "dry run";
    import_apply: "ثبت نسخه تازه", "store as new version";
    import_choose: "انتخاب فایل اکسل", "choose a workbook";
    import_hint: "فایل اکسل با یک برگه برای هر فهرست. نخست بررسی می‌شود و چیزی تغییر نمی‌کند؛ ثبت گام بعدی است.", "An Excel workbook with one sheet per list. It is checked first and nothing changes; storing it is the next step.";
    import_faulty: "ایراد دارد", "has faults";
    import_nothing_changed: "چیزی تغییر نکرد. ایرادها را برطرف کنید و دوباره بفرستید.", "Nothing was changed. Mend the faults and upload it again.";
    import_checked: "درست است؛ تفاوت با فهرست کنونی سایت‌ها", "is sound; the difference to the present inventory";
    effective_from: "معتبر از", "effective from";
    added: "افزوده", "added";
    removed: "برداشته", "removed";
    changed: "تغییریافته", "changed";
    file: "فایل", "file";
    line: "سطر", "line";
    column: "ستون", "column";
    fault: "ایراد", "fault";
    remedy: "چاره", "remedy";
    reason: "دلیل", "reason";
    announced: "اعلام شده", "announced";
    from: "از", "from";
    until: "تا", "until";
    range_to: "تا", "to";
    // Services.
    owner: "متولی", "owner";
    channel: "کانال", "channel";
    vantage: "نقطه سنجش", "vantage point";
    reachable: "در دسترس", "reachable";
    failing: "ناموفق", "failing";
    not_measured: "سنجیده نشده", "not measured";
    against_week: "در برابر هفته گذشته", "against the week before";
    week_before: "هفته گذشته", "the week before";
    change: "تغییر", "change";
    connected_by_day: "سهم روزانه اتصال روستاها", "connected share of villages by day";
    shade_bounds: "٪؛ سایه: میان کران‌ها", "%; shade: between the bounds";
    all_kpis: "همه شاخص‌های اینجا", "all KPIs of this place";
    declared_measured: "اعلامی در برابر سنجیده (شبکه ملی)", "declared against measured (national network)";
    declared_not_measured: "اعلام شده ولی دیده نشده", "declared but not seen";
    months_before: "نمایش شش ماه گذشته", "show the six months before";
    services_by_county: "خدمات از دید شهرستان‌ها", "services as the counties see them";
    public_status: "وضعیت اتصال استان", "province connectivity status";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persian::{digits, normalise};

    #[test]
    fn labels_are_spelled_as_the_language_spells() {
        for (key, fa, en) in ENTRIES {
            assert!(!fa.is_empty() && !en.is_empty(), "{key}");
            assert_eq!(digits(&normalise(fa), Lang::Fa), **fa, "{key} is not in stored spelling");
            if *key != "other_language" {
                assert!(fa.chars().any(|c| ('\u{600}'..'\u{700}').contains(&c)), "{key}: {fa}");
                assert!(!en.chars().any(|c| ('\u{600}'..'\u{700}').contains(&c)), "{key}: {en}");
            }
        }
    }

    #[test]
    fn the_glossary_of_the_customer_is_kept() {
        let fa = words(Lang::Fa);
        let agreed = [
            (fa.county, "شهرستان"),
            (fa.availability, "دسترس‌پذیری"),
            (fa.rtt, "تأخیر رفت‌وبرگشت"),
            (fa.loss, "اتلاف بسته"),
            (fa.agent, "عامل پایش"),
            (fa.root_cause, "علت ریشه‌ای"),
            (fa.insufficient_data, "داده ناکافی"),
            (fa.site_record, "شناسنامه سایت"),
            (fa.gap, "شکاف"),
        ];
        for (ours, theirs) in agreed {
            assert_eq!(ours, theirs);
        }
    }
}
