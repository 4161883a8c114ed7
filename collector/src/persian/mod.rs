//! Persian, and the one other language: spelling, digits, direction, calendar and vocabulary.
//!
//! Owns how text from files and people is stored ([`normalise`]) and compared ([`fold()`]), how numbers, dates and
//! left-to-right facts are shown, and every word a page prints ([`words`], [`Named`]). Pure: no clock, no I/O.
//!
//! Storage is UTC and ASCII digits; the calendar and the digits of a reader exist only in what is shown.

mod digits;
mod fold;
mod forms;
mod glossary;
mod jalali;
mod names;
mod period;

pub use digits::{decimal, digits, integer, isolate, percent, points};
pub use fold::{fold, normalise};
pub use forms::{Form, reworded};
pub use glossary::{Words, words};
pub use jalali::{JalaliDate, Moment, WEEKDAYS};
pub(crate) use names::named;
pub use names::{Named, operator_names};
pub use period::{Period, Season, Window};

/// The language of a page, a message or a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// فارسی, right to left, Jalali.
    #[default]
    Fa,
    /// English, left to right; dates stay Jalali with the Gregorian date beside them.
    En,
}

impl Lang {
    /// Lists both languages.
    pub const ALL: [Lang; 2] = [Lang::Fa, Lang::En];

    /// Returns the code used in URLs, cookies and the `lang` attribute.
    pub const fn code(self) -> &'static str {
        match self {
            Lang::Fa => "fa",
            Lang::En => "en",
        }
    }

    /// Returns the writing direction as HTML spells it.
    pub const fn direction(self) -> &'static str {
        match self {
            Lang::Fa => "rtl",
            Lang::En => "ltr",
        }
    }

    /// Reads a code; `None` for any other language.
    pub fn from_code(code: &str) -> Option<Lang> {
        Lang::ALL.into_iter().find(|lang| lang.code() == code)
    }

    /// Picks the text of this language.
    pub const fn pick<'a>(self, fa: &'a str, en: &'a str) -> &'a str {
        match self {
            Lang::Fa => fa,
            Lang::En => en,
        }
    }

    /// Picks a thing's name: the Latin one for English readers if there is one, else the Persian one.
    pub fn name<'a>(self, fa: &'a str, en: &'a str) -> &'a str {
        match self {
            Lang::En if !en.is_empty() => en,
            _ => fa,
        }
    }
}
