//! What the dashboards show: one description, said twice (InfluxQL and PromQL). Titles are bilingual, because Grafana has
//! no Persian of its own.

use super::query::{Filter, Fold, Query};

/// How a panel draws its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Lines over time.
    Lines,
    /// One big number.
    Number,
    /// A row per group.
    Table,
    /// Coloured dots on a local map.
    Map,
}

/// One panel.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// Persian and English title.
    pub title: (&'static str, &'static str),
    /// How it draws.
    pub draw: Draw,
    /// Grafana's unit id.
    pub unit: &'static str,
    /// Columns of the 24-column grid.
    pub width: u8,
    /// What it asks, each with its legend.
    pub queries: &'static [(&'static str, Query)],
}

/// One dashboard.
#[derive(Debug, Clone, Copy)]
pub struct Dashboard {
    /// File name and uid.
    pub name: &'static str,
    /// Persian and English title.
    pub title: (&'static str, &'static str),
    /// Variables, each a tag of the first measurement named here.
    pub variables: &'static [&'static str],
    /// The measurement variables are looked up in.
    pub variables_from: (&'static str, &'static str),
    /// Panels, laid out row by row.
    pub panels: &'static [Panel],
}

const PROVINCE: &[(&str, Filter)] = &[("province", Filter::Chosen)];
const COUNTY: &[(&str, Filter)] = &[("province", Filter::Chosen), ("county", Filter::Chosen)];
const SITE: &[(&str, Filter)] = &[("site", Filter::Chosen)];

const fn site_flag(field: &'static str, fold: Fold, by: &'static [&'static str], filters: &'static [(&'static str, Filter)]) -> Query {
    Query { measurement: "site_state", field, fold, by, filters }
}

const fn link_flag(field: &'static str, by: &'static [&'static str], filters: &'static [(&'static str, Filter)]) -> Query {
    Query { measurement: "link_state", field, fold: Fold::Mean, by, filters }
}

const fn probe(field: &'static str, fold: Fold, by: &'static [&'static str], filters: &'static [(&'static str, Filter)]) -> Query {
    Query { measurement: "probe", field, fold, by, filters }
}

const fn agent(field: &'static str, fold: Fold, by: &'static [&'static str], filters: &'static [(&'static str, Filter)]) -> Query {
    Query { measurement: "agent", field, fold, by, filters }
}

const fn kpi(field: &'static str, filters: &'static [(&'static str, Filter)]) -> Query {
    Query { measurement: "kpi", field, fold: Fold::Mean, by: &[], filters }
}

/// The share of connected villages at this moment, of the region a variable names.
const fn connected(variable: Filter) -> [(&'static str, Filter); 4] {
    [("kpi", Filter::Is("connected_share_now")), ("region", variable), ("period", Filter::Is("now")), ("weight", Filter::Is("village"))]
}

const CONNECTED_PROVINCE: &[(&str, Filter)] = &connected(Filter::ChosenAs("province"));
const CONNECTED_COUNTY: &[(&str, Filter)] = &connected(Filter::ChosenAs("county"));

const ONE_KPI: &[(&str, Filter)] =
    &[("kpi", Filter::Chosen), ("region", Filter::Chosen), ("period", Filter::Chosen), ("weight", Filter::Chosen)];

const PER_SITE: Fold = Fold::SumOfLast(&["site"]);
const PER_AGENT: Fold = Fold::SumOfLast(&["agent"]);

/// A rule for those who alert in Grafana.
#[derive(Debug, Clone, Copy)]
pub struct Alert {
    /// Part of its uid.
    pub name: &'static str,
    /// Persian and English title.
    pub title: (&'static str, &'static str),
    /// What it asks.
    pub query: Query,
    /// Fires above this.
    pub above: f64,
    /// For how long, as Grafana writes it.
    pub lasting: &'static str,
}

/// The alert rules of a pack. Each asks for something written every minute, so that silence fires too.
pub const ALERTS: &[Alert] = &[
    Alert {
        name: "sites-down",
        title: ("بیش از ۵٪ سایت‌ها قطع", "more than 5 % of sites down"),
        query: site_flag("down", Fold::Mean, &["province"], &[]),
        above: 0.05,
        lasting: "10m",
    },
    Alert {
        name: "sites-unknown",
        title: ("بیش از ۱۰٪ سایت‌ها نامشخص", "more than 10 % of sites unknown"),
        query: site_flag("unknown", Fold::Mean, &["province"], &[]),
        above: 0.10,
        lasting: "15m",
    },
    Alert {
        name: "agents-silent",
        title: ("بیش از ۱۰٪ عامل‌ها بدون گزارش", "more than 10 % of agents silent"),
        query: agent("silent", Fold::Mean, &["province"], &[]),
        above: 0.10,
        lasting: "15m",
    },
    Alert {
        name: "backlog",
        title: ("صف ارسال یک عامل بیش از ۱۰۰۰", "a spool above 1,000 frames"),
        query: agent("spool_frames", Fold::Max, &["province"], &[]),
        above: 1_000.0,
        lasting: "30m",
    },
];

/// Every dashboard of a pack.
pub const DASHBOARDS: &[Dashboard] = &[
    Dashboard {
        name: "province",
        title: ("استان", "Province"),
        variables: &["province"],
        variables_from: ("site_state", "up"),
        panels: &[
            Panel {
                title: ("برقرار", "Sites up"),
                draw: Draw::Number,
                unit: "short",
                width: 4,
                queries: &[("up", site_flag("up", PER_SITE, &[], PROVINCE))],
            },
            Panel {
                title: ("افت کیفیت", "Sites degraded"),
                draw: Draw::Number,
                unit: "short",
                width: 4,
                queries: &[("degraded", site_flag("degraded", PER_SITE, &[], PROVINCE))],
            },
            Panel {
                title: ("فقط پشتیبان", "On backup only"),
                draw: Draw::Number,
                unit: "short",
                width: 4,
                queries: &[("backup", site_flag("backup_only", PER_SITE, &[], PROVINCE))],
            },
            Panel {
                title: ("قطع", "Sites down"),
                draw: Draw::Number,
                unit: "short",
                width: 4,
                queries: &[("down", site_flag("down", PER_SITE, &[], PROVINCE))],
            },
            Panel {
                title: ("نامشخص", "Sites unknown"),
                draw: Draw::Number,
                unit: "short",
                width: 4,
                queries: &[("unknown", site_flag("unknown", PER_SITE, &[], PROVINCE))],
            },
            Panel {
                title: ("عامل‌های بدون گزارش", "Silent agents"),
                draw: Draw::Number,
                unit: "short",
                width: 4,
                queries: &[("silent", agent("silent", PER_AGENT, &[], PROVINCE))],
            },
            Panel {
                title: ("سهم روستاهای متصل با کران‌ها", "Connected villages with bounds"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 24,
                queries: &[
                    ("value", kpi("value", CONNECTED_PROVINCE)),
                    ("lo", kpi("lo", CONNECTED_PROVINCE)),
                    ("hi", kpi("hi", CONNECTED_PROVINCE)),
                ],
            },
            Panel {
                title: ("سهم سایت‌ها در هر حالت", "Share of sites by state"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[
                    ("up", site_flag("up", Fold::Mean, &[], PROVINCE)),
                    ("degraded", site_flag("degraded", Fold::Mean, &[], PROVINCE)),
                    ("down", site_flag("down", Fold::Mean, &[], PROVINCE)),
                    ("unknown", site_flag("unknown", Fold::Mean, &[], PROVINCE)),
                ],
            },
            Panel {
                title: ("سهم برقرار به تفکیک شهرستان", "Share up by county"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[("{{county}}", site_flag("up", Fold::Mean, &["county"], PROVINCE))],
            },
            Panel {
                title: ("قطع به تفکیک شهرستان", "Down by county"),
                draw: Draw::Table,
                unit: "short",
                width: 12,
                queries: &[("down", site_flag("down", PER_SITE, &["county"], PROVINCE))],
            },
            Panel {
                title: ("نقشهٔ قطعی‌ها", "Map of sites down"),
                draw: Draw::Map,
                unit: "short",
                width: 12,
                queries: &[
                    ("lat", site_flag("lat", Fold::Last, &["site"], PROVINCE)),
                    ("lon", site_flag("lon", Fold::Last, &["site"], PROVINCE)),
                    ("down", site_flag("down", Fold::Last, &["site"], PROVINCE)),
                ],
            },
        ],
    },
    Dashboard {
        name: "region",
        title: ("شهرستان", "County"),
        variables: &["province", "county"],
        variables_from: ("site_state", "up"),
        panels: &[
            Panel {
                title: ("قطع", "Sites down"),
                draw: Draw::Number,
                unit: "short",
                width: 6,
                queries: &[("down", site_flag("down", PER_SITE, &[], COUNTY))],
            },
            Panel {
                title: ("نامشخص", "Sites unknown"),
                draw: Draw::Number,
                unit: "short",
                width: 6,
                queries: &[("unknown", site_flag("unknown", PER_SITE, &[], COUNTY))],
            },
            Panel {
                title: ("سهم روستاهای متصل با کران‌ها", "Connected villages with bounds"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[
                    ("value", kpi("value", CONNECTED_COUNTY)),
                    ("lo", kpi("lo", CONNECTED_COUNTY)),
                    ("hi", kpi("hi", CONNECTED_COUNTY)),
                ],
            },
            Panel {
                title: ("سهم برقرار به تفکیک نوع سایت", "Share up by site kind"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[("{{kind}}", site_flag("up", Fold::Mean, &["kind"], COUNTY))],
            },
            Panel {
                title: ("سهم لینک‌های برقرار به تفکیک شبکه", "Share of links up by network"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[("{{network}}", link_flag("up", &["network"], COUNTY))],
            },
            Panel {
                title: ("سایت‌های قطع", "Sites down"),
                draw: Draw::Table,
                unit: "short",
                width: 12,
                queries: &[("down", site_flag("down", Fold::Last, &["site"], COUNTY))],
            },
        ],
    },
    Dashboard {
        name: "kpi",
        title: ("شاخص‌ها", "KPIs"),
        variables: &["kpi", "region", "period", "weight"],
        variables_from: ("kpi", "known_ratio"),
        panels: &[
            Panel {
                title: ("مقدار با کران‌ها", "Value with bounds"),
                draw: Draw::Lines,
                unit: "none",
                width: 24,
                queries: &[("value", kpi("value", ONE_KPI)), ("lo", kpi("lo", ONE_KPI)), ("hi", kpi("hi", ONE_KPI))],
            },
            Panel {
                title: ("نسبت دانسته", "Known ratio"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[("known", kpi("known_ratio", ONE_KPI))],
            },
            Panel {
                title: ("صورت و مخرج", "Numerator and denominator"),
                draw: Draw::Lines,
                unit: "short",
                width: 12,
                queries: &[("numerator", kpi("numerator", ONE_KPI)), ("denominator", kpi("denominator", ONE_KPI))],
            },
        ],
    },
    Dashboard {
        name: "site",
        title: ("سایت", "Site"),
        variables: &["site"],
        variables_from: ("site_state", "up"),
        panels: &[
            Panel {
                title: ("حالت لینک‌ها", "Link states"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 24,
                queries: &[
                    ("{{link}} up", link_flag("up", &["link"], SITE)),
                    ("{{link}} down", link_flag("down", &["link"], SITE)),
                    ("{{link}} unknown", link_flag("unknown", &["link"], SITE)),
                ],
            },
            Panel {
                title: ("تأخیر رفت‌وبرگشت", "Round-trip time"),
                draw: Draw::Lines,
                unit: "s",
                width: 12,
                queries: &[
                    ("{{target}} min", probe("rtt_seconds_min", Fold::Mean, &["target"], SITE)),
                    ("{{target}} max", probe("rtt_seconds_max", Fold::Max, &["target"], SITE)),
                ],
            },
            Panel {
                title: ("پاسخ هدف‌ها", "Targets answering"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[("{{target}}", probe("ok", Fold::Mean, &["target"], SITE))],
            },
            Panel {
                title: ("قدرت سیگنال", "Signal power"),
                draw: Draw::Lines,
                unit: "dBm",
                width: 12,
                queries: &[("{{target}}", probe("rsrp_dbm", Fold::Mean, &["target"], SITE))],
            },
            Panel {
                title: ("ترافیک", "Traffic"),
                draw: Draw::Lines,
                unit: "bps",
                width: 12,
                queries: &[
                    ("{{target}} rx", probe("receive_bps", Fold::Mean, &["target"], SITE)),
                    ("{{target}} tx", probe("transmit_bps", Fold::Mean, &["target"], SITE)),
                ],
            },
        ],
    },
    Dashboard {
        name: "operators",
        title: ("اپراتورها", "Operators"),
        variables: &["province"],
        variables_from: ("link_state", "up"),
        panels: &[
            Panel {
                title: ("سهم لینک‌های برقرار", "Share of links up"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[("{{operator}}", link_flag("up", &["operator"], PROVINCE))],
            },
            Panel {
                title: ("سهم لینک‌های قطع", "Share of links down"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[("{{operator}}", link_flag("down", &["operator"], PROVINCE))],
            },
            Panel {
                title: ("سهم برقرار به تفکیک فناوری", "Share up by technology"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 24,
                queries: &[("{{access}}", link_flag("up", &["access"], PROVINCE))],
            },
        ],
    },
    Dashboard {
        name: "services",
        title: ("خدمات", "Services"),
        variables: &["province"],
        variables_from: ("probe", "ok"),
        panels: &[
            Panel {
                title: ("دسترسی به خدمت", "Service reachability"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 12,
                queries: &[(
                    "{{target}}",
                    probe("ok", Fold::Mean, &["target"], &[("province", Filter::Chosen), ("rung", Filter::Is("service"))]),
                )],
            },
            Panel {
                title: ("زمان نخستین بایت", "Time to first byte"),
                draw: Draw::Lines,
                unit: "s",
                width: 12,
                queries: &[(
                    "{{target}}",
                    probe("first_byte_seconds", Fold::Mean, &["target"], &[("province", Filter::Chosen), ("rung", Filter::Is("service"))]),
                )],
            },
            Panel {
                title: ("زمان تا پایان گواهی", "Certificate time left"),
                draw: Draw::Table,
                unit: "s",
                width: 24,
                queries: &[("left", probe("certificate_seconds", Fold::Last, &["target"], PROVINCE))],
            },
        ],
    },
    Dashboard {
        name: "sim-plans",
        title: ("بسته‌های داده", "SIM plans"),
        variables: &["province"],
        variables_from: ("site_state", "up"),
        panels: &[
            Panel {
                title: ("مصرف بسته", "Plan used"),
                draw: Draw::Lines,
                unit: "decbytes",
                width: 12,
                queries: &[("{{site}}", probe("plan_used_bytes", Fold::Max, &["site"], PROVINCE))],
            },
            Panel {
                title: ("سهم خود پایش", "Monitoring's own bytes"),
                draw: Draw::Lines,
                unit: "decbytes",
                width: 12,
                queries: &[("{{site}}", probe("plan_own_bytes", Fold::Max, &["site"], PROVINCE))],
            },
            Panel {
                title: ("مرحلهٔ صرفه‌جویی", "Degradation stage"),
                draw: Draw::Table,
                unit: "short",
                width: 24,
                queries: &[("stage", probe("plan_stage", Fold::Last, &["site"], PROVINCE))],
            },
        ],
    },
    Dashboard {
        name: "agents",
        title: ("عامل‌ها", "Agents"),
        variables: &["province"],
        variables_from: ("agent", "reporting"),
        panels: &[
            Panel {
                title: ("عامل‌ها به تفکیک حالت", "Agents by state"),
                draw: Draw::Lines,
                unit: "percentunit",
                width: 24,
                queries: &[
                    ("reporting", agent("reporting", Fold::Mean, &[], PROVINCE)),
                    ("late", agent("late", Fold::Mean, &[], PROVINCE)),
                    ("silent", agent("silent", Fold::Mean, &[], PROVINCE)),
                    ("buffered", agent("buffered", Fold::Mean, &[], PROVINCE)),
                ],
            },
            Panel {
                title: ("صف ارسال", "Spooled frames"),
                draw: Draw::Lines,
                unit: "short",
                width: 12,
                queries: &[("{{site}}", agent("spool_frames", Fold::Max, &["site"], PROVINCE))],
            },
            Panel {
                title: ("اختلاف ساعت", "Clock skew"),
                draw: Draw::Lines,
                unit: "s",
                width: 12,
                queries: &[("{{site}}", agent("clock_skew_seconds", Fold::Max, &["site"], PROVINCE))],
            },
        ],
    },
    Dashboard {
        name: "collector",
        title: ("گردآورنده", "Collector"),
        variables: &["province"],
        variables_from: ("agent", "reporting"),
        panels: &[
            Panel {
                title: ("عامل‌های گزارش‌دهنده", "Agents reporting"),
                draw: Draw::Number,
                unit: "short",
                width: 8,
                queries: &[("reporting", agent("reporting", PER_AGENT, &[], PROVINCE))],
            },
            Panel {
                title: ("در صف عامل‌ها", "Frames still at agents"),
                draw: Draw::Number,
                unit: "short",
                width: 8,
                queries: &[("frames", agent("spool_frames", PER_AGENT, &[], PROVINCE))],
            },
            Panel {
                title: ("نمونه‌های ازدست‌رفته", "Samples lost at agents"),
                draw: Draw::Number,
                unit: "short",
                width: 8,
                queries: &[("lost", agent("lost_samples_total", PER_AGENT, &[], PROVINCE))],
            },
            Panel {
                title: ("نرخ ازدست‌رفتن", "Loss rate"),
                draw: Draw::Lines,
                unit: "short",
                width: 24,
                queries: &[("{{agent}}", agent("lost_samples_total", Fold::Rate, &["agent"], PROVINCE))],
            },
        ],
    },
];
