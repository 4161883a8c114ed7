//! What every page shares: language, theme, who looks, and how values are written.

use std::time::Duration;

use rusta_wire::UnixMs;

use super::html::{Html, escape, url_part};
use super::prefs::{Prefs, Theme};
use super::tone::Toned;
use crate::kpi::Standing;
use crate::people::{Role, Visitor};
use crate::persian::{self, Lang, Moment, Named, Words, words};
use crate::view::Time;

/// A whole number of any size; templates pass values and references alike.
pub trait Number {
    /// Returns the number; what is too large to show is shown as the largest.
    fn number(&self) -> i64;
}

macro_rules! numbers {
    ($($kind:ty),+) => { $(impl Number for $kind {
        fn number(&self) -> i64 {
            i64::try_from(*self).unwrap_or(i64::MAX)
        }
    })+ };
}

numbers!(u8, u16, u32, u64, usize, i64);

impl<N: Number> Number for &N {
    fn number(&self) -> i64 {
        (**self).number()
    }
}

/// An instant that may not be known; templates pass values and references alike.
pub trait Instant {
    /// Returns the instant.
    fn instant(&self) -> Option<UnixMs>;
}

impl Instant for Time {
    fn instant(&self) -> Option<UnixMs> {
        Some(self.0)
    }
}

impl Instant for UnixMs {
    fn instant(&self) -> Option<UnixMs> {
        Some(*self)
    }
}

impl<T: Instant> Instant for Option<T> {
    fn instant(&self) -> Option<UnixMs> {
        self.as_ref().and_then(Instant::instant)
    }
}

impl<T: Instant> Instant for &T {
    fn instant(&self) -> Option<UnixMs> {
        (**self).instant()
    }
}

/// The entry of the menu a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `/` and `/regions`.
    Overview,
    /// `/sites`.
    Sites,
    /// `/incidents`.
    Incidents,
    /// `/kpis`.
    Kpis,
    /// `/services`.
    Services,
    /// `/agents`.
    Agents,
    /// `/admin`.
    Admin,
    /// Login, errors, public status.
    Outside,
}

/// The frame of a page. Templates call its methods to print values.
#[derive(Debug, Clone)]
pub struct Page {
    /// The language.
    pub lang: Lang,
    /// The labels of that language.
    pub w: &'static Words,
    /// The theme.
    pub theme: Theme,
    /// The menu entry.
    pub section: Section,
    /// Title of the page, without the product's name.
    pub title: String,
    /// Name of the person who looks; `None` for a visitor without a login.
    pub person: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether the administration is open to them: to administrators of everything, not of one region.
    pub governs: bool,
    /// Guards their forms.
    pub csrf: String,
    /// Address of this page without `lang` and `theme`, ready for another parameter.
    pub here: String,
    /// The time the page tells.
    pub at: UnixMs,
    /// Seconds until the page renews itself; 0 for never.
    pub refresh: u32,
    /// Shown without menu, larger, for a wall screen.
    pub wall: bool,
}

impl Page {
    /// Builds the frame for a visitor.
    pub fn new(prefs: &Prefs, visitor: &Visitor, section: Section, title: impl Into<String>, here: &str, at: UnixMs) -> Self {
        Page {
            lang: prefs.lang,
            w: words(prefs.lang),
            theme: prefs.theme,
            section,
            title: title.into(),
            person: visitor.name.clone(),
            role: visitor.role,
            governs: visitor.role >= Role::Admin && visitor.region.is_none(),
            csrf: visitor.csrf.clone(),
            here: bare_address(here),
            at,
            refresh: 0,
            wall: false,
        }
    }

    /// Makes the page renew itself.
    #[must_use]
    pub fn refreshing(self, seconds: u32) -> Self {
        Page { refresh: seconds, ..self }
    }

    /// Writes a whole number.
    pub fn int(&self, number: impl Number) -> String {
        persian::integer(number.number(), self.lang)
    }

    /// Writes a ratio as a percentage, or a dash.
    pub fn pct(&self, ratio: &Option<f64>) -> String {
        ratio.map_or_else(|| "—".to_owned(), |ratio| persian::percent(ratio, self.lang))
    }

    /// Writes a whole number of hundredths.
    pub fn percent(&self, hundredths: impl Number) -> String {
        format!("{}{}", self.int(hundredths), self.lang.pick("٪", "%"))
    }

    /// Writes a difference of ratios in points, with its sign.
    pub fn points(&self, difference: &f64) -> String {
        persian::points(*difference, self.lang)
    }

    /// Writes a number with decimals, or a dash.
    pub fn num(&self, number: &Option<f64>, places: usize) -> String {
        number.map_or_else(|| "—".to_owned(), |number| persian::decimal(number, places, self.lang))
    }

    /// Shows a text with the language's digits.
    pub fn dig(&self, text: &str) -> String {
        persian::digits(text, self.lang)
    }

    /// Picks a thing's name in the language.
    pub fn name(&self, fa: &str, en: &str) -> String {
        persian::digits(self.lang.name(fa, en), self.lang)
    }

    /// Names an operator as it calls itself.
    pub fn operator(&self, id: &str) -> String {
        let (fa, en) = persian::operator_names(id);
        self.name(fa, en)
    }

    /// Names a value of the domain.
    pub fn label(&self, value: impl Named) -> &'static str {
        value.label(self.lang)
    }

    /// Picks from a pair of texts, Persian first.
    pub fn pair(&self, texts: &(&'static str, &'static str)) -> &'static str {
        self.lang.pick(texts.0, texts.1)
    }

    /// Shows a machine's fact (address, code, version) left to right in ASCII.
    pub fn ltr(&self, text: &str) -> Html {
        Html(format!("<bdi dir=\"ltr\">{}</bdi>", escape(text)))
    }

    /// Shows a state as icon, word and colour.
    pub fn chip(&self, state: impl Named + Toned) -> Html {
        self.chip_of(state.tone(), state.label(self.lang))
    }

    /// Shows a word in a tone, with the tone's icon.
    pub fn chip_of(&self, tone: impl Toned, word: &str) -> Html {
        let tone = tone.tone().as_str();
        Html(format!("<span class=\"chip {tone}\">{}{}</span>", icon(tone), escape(word)))
    }

    /// Shows the icon of a state alone, where its word stands beside it anyway.
    pub fn icon(&self, state: impl Toned) -> Html {
        Html(icon(state.tone().as_str()))
    }

    /// Shows an instant: the time of day if it is today, else the date too.
    pub fn when(&self, time: impl Instant) -> Html {
        let Some(at) = time.instant() else { return Html("—".to_owned()) };
        let (moment, today) = (Moment::at(at), Moment::at(self.at).date);
        let text = if moment.date == today { moment.clock(self.lang) } else { moment.full(self.lang) };
        Html(format!("<time datetime=\"{}\" title=\"{}\">{text}</time>", moment.rfc3339(), moment.full(self.lang)))
    }

    /// Shows the day of an instant; hovering tells the time.
    pub fn day(&self, time: impl Instant) -> Html {
        let Some(at) = time.instant() else { return Html("—".to_owned()) };
        let moment = Moment::at(at);
        Html(format!(
            "<time datetime=\"{}\" title=\"{}\">{}</time>",
            moment.rfc3339(),
            moment.full(self.lang),
            moment.date.in_figures(self.lang)
        ))
    }

    /// Shows an instant given as Unix milliseconds.
    pub fn when_ms(&self, at: &i64) -> Html {
        self.when(UnixMs(*at))
    }

    /// Shows how long ago an instant was; hovering tells the instant.
    pub fn ago(&self, time: impl Instant) -> Html {
        let Some(at) = time.instant() else { return Html(self.w.never.to_owned()) };
        let moment = Moment::at(at);
        let text = self.lang.pick("{} پیش", "{} ago").replace("{}", &self.span(self.at.since(at)));
        Html(format!("<time datetime=\"{}\" title=\"{}\">{text}</time>", moment.rfc3339(), moment.full(self.lang)))
    }

    /// Writes a length of time in its two largest units.
    pub fn span(&self, length: Duration) -> String {
        let seconds = length.as_secs();
        let units = [(86_400, "روز", "d"), (3_600, "ساعت", "h"), (60, "دقیقه", "min"), (1, "ثانیه", "s")];
        let first = units.iter().position(|(size, ..)| seconds >= *size).unwrap_or(units.len() - 1);
        let mut rest = seconds;
        let mut parts = Vec::new();
        for (size, fa, en) in units.iter().skip(first).take(2) {
            let count = rest / size;
            rest %= size;
            if count > 0 || parts.is_empty() {
                let number = persian::integer(i64::try_from(count).unwrap_or(i64::MAX), self.lang);
                parts.push(format!("{number} {}", self.lang.pick(fa, en)));
            }
            // Below an hour the second unit is noise.
            if seconds < 3_600 {
                break;
            }
        }
        parts.join(self.lang.pick(" و ", " "))
    }

    /// Writes the length between two instants.
    pub fn between(&self, from: &Time, until: &Time) -> String {
        self.span(until.0.since(from.0))
    }

    /// Writes microseconds as milliseconds, or a dash.
    pub fn ms(&self, us: &Option<i64>) -> Html {
        let Some(us) = us else { return Html("—".to_owned()) };
        #[allow(clippy::cast_precision_loss)] // A round trip is far below 2^52 microseconds.
        let ms = *us as f64 / 1000.0;
        let places = if ms < 10.0 { 1 } else { 0 };
        Html(format!("<bdi>{}</bdi> {}", persian::decimal(ms, places, self.lang), self.lang.pick("م‌ث", "ms")))
    }

    /// Writes bytes in binary units.
    pub fn bytes(&self, bytes: impl Number) -> String {
        let bytes = u64::try_from(bytes.number()).unwrap_or(0);
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let (unit, shift) = units.into_iter().find(|(_, shift)| bytes >> shift > 0).unwrap_or(("B", 0));
        #[allow(clippy::cast_precision_loss)] // Shown with one decimal.
        let size = bytes as f64 / f64::from(1_u32 << shift);
        let places = usize::from(size < 10.0 && shift > 0);
        persian::isolate(&format!("{} {unit}", persian::decimal(size, places, self.lang)))
    }

    /// Shows the page's own time.
    pub fn now(&self) -> Html {
        let moment = Moment::at(self.at);
        let day = format!("{} {}", moment.date.weekday_name(self.lang), moment.date.in_words(self.lang));
        let gregorian = match self.lang {
            Lang::Fa => String::new(),
            Lang::En => format!(" ({})", moment.date.gregorian()),
        };
        Html(
            format!("<time datetime=\"{}\">{day}{gregorian}، {}</time>", moment.rfc3339(), moment.clock(self.lang))
                .replace('،', self.lang.pick("،", ",")),
        )
    }

    /// Returns this page's address with one more parameter.
    pub fn with(&self, parameter: &str, value: &str) -> String {
        let join = if self.here.contains('?') { '&' } else { '?' };
        format!("{}{join}{parameter}={}", self.here, url_part(value))
    }

    /// Returns this page's address with a parameter replaced, from the first page on.
    pub fn with_instead(&self, parameter: &str, value: &str) -> String {
        let (path, query) = self.here.split_once('?').unwrap_or((&self.here, ""));
        let drop = [format!("{parameter}="), "cursor=".to_owned(), "page=".to_owned()];
        let mut kept: Vec<_> = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !drop.iter().any(|name| pair.starts_with(name)))
            .map(str::to_owned)
            .collect();
        kept.push(format!("{parameter}={}", url_part(value)));
        format!("{path}?{}", kept.join("&"))
    }

    /// Returns the code of the other language.
    pub fn other_language_code(&self) -> &'static str {
        if self.lang == Lang::Fa { "en" } else { "fa" }
    }

    /// Returns the address of this page in the other language.
    pub fn other_language(&self) -> String {
        self.with("lang", self.other_language_code())
    }

    /// Returns the address of a static file; it changes with the file.
    pub fn asset(&self, name: &str) -> String {
        format!("/static/{name}?v={:x}", super::assets::VERSION)
    }

    /// Returns for which devices the dark palette holds; `None` for no device.
    pub fn dark_media(&self) -> Option<&'static str> {
        match self.theme {
            Theme::Auto => Some("screen and (prefers-color-scheme: dark)"),
            Theme::Light => None,
            Theme::Dark => Some("screen"),
        }
    }

    /// Names the theme in use.
    pub fn theme_name(&self) -> &'static str {
        match self.theme {
            Theme::Auto => self.w.automatic,
            Theme::Light => self.w.light,
            Theme::Dark => self.w.dark,
        }
    }

    /// Says why a figure has no number.
    pub fn standing(&self, standing: &Standing) -> &'static str {
        match standing {
            Standing::Known => "",
            Standing::Insufficient | Standing::Unmeasured => self.w.insufficient_data,
            Standing::NotCollected => self.w.not_collected,
            Standing::TooShort => self.w.window_too_short,
            Standing::Empty | Standing::NoEvent => "—",
        }
    }

    /// Says how final a figure is: `live`, `provisional` or `revision N`.
    pub fn status(&self, status: &str) -> String {
        match status.split_once(' ') {
            Some((_, number)) => format!("{} {}", self.w.revision, self.dig(number)),
            None if status == "live" => self.w.live.to_owned(),
            None => self.w.provisional.to_owned(),
        }
    }

    /// Writes a count that a figure carries as a floating-point number.
    pub fn count(&self, number: &f64) -> String {
        persian::decimal(*number, usize::from(number.fract() != 0.0), self.lang)
    }

    /// Writes a difference of clocks.
    pub fn skew(&self, ms: &i64) -> Html {
        let seconds = persian::decimal(*ms as f64 / 1000.0, usize::from(ms.abs() < 10_000), self.lang);
        Html(format!("<bdi>{seconds}</bdi> {}", self.lang.pick("ثانیه", "s")))
    }

    /// Writes a place in degrees.
    pub fn coordinates(&self, lat: &f64, lon: &f64) -> Html {
        self.ltr(&format!("{lat:.4}, {lon:.4}"))
    }

    /// Tells whether the page belongs to the menu, so that the menu is shown.
    pub fn is_inside(&self) -> bool {
        self.section != Section::Outside
    }

    /// Tells whether the menu entry is this page's.
    pub fn is(&self, section: Section) -> bool {
        self.section == section
    }

    /// Tells whether the person may acknowledge, note and silence.
    pub fn may_operate(&self) -> bool {
        self.role >= Role::Operator
    }

    /// Tells whether the person may administer.
    pub fn may_administer(&self) -> bool {
        self.governs
    }
}

/// A list a form offers.
pub struct Choice {
    /// Name of the parameter.
    pub name: &'static str,
    /// What is chosen.
    pub title: &'static str,
    /// What there is.
    pub options: Vec<Entry>,
}

/// One entry of a list a form offers.
pub struct Entry {
    /// What the form sends.
    pub value: String,
    /// What people read.
    pub text: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

impl Entry {
    /// Builds an entry of a list of which `chosen` is chosen.
    pub fn new(value: impl Into<String>, text: impl Into<String>, chosen: &str) -> Self {
        let value = value.into();
        Entry { chosen: value == chosen, text: text.into(), value }
    }
}

/// A column by which a table can be sorted.
pub struct SortedColumn {
    /// Its title.
    pub title: &'static str,
    /// The table sorted by it.
    pub href: String,
    /// Whether it is.
    pub chosen: bool,
    /// In which direction, as ARIA names it.
    pub direction: &'static str,
}

impl SortedColumn {
    /// Builds a column of the page's table; `word` is its name in addresses.
    pub fn new(p: &Page, title: &'static str, word: &str, chosen: bool, ascending: bool) -> Self {
        SortedColumn { title, href: p.with_instead("sort", word), chosen, direction: if ascending { "ascending" } else { "descending" } }
    }
}

fn icon(name: &str) -> String {
    format!("<svg class=\"i\" aria-hidden=\"true\"><use href=\"#{name}\"/></svg>")
}

/// Drops `lang` and `theme` from an address, which the page's own links choose again.
fn bare_address(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let kept: Vec<_> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("lang=") && !pair.starts_with("theme=")).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}
