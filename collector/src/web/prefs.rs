//! What a reader prefers: language and theme, from the address, then from what their account knows, then the cookie. Without
//! any of them the page is Persian: an office's browser that says English was installed that way, its reader was not.

use axum::http::header::COOKIE;
use axum::http::request::Parts;

use crate::persian::Lang;

/// The look of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the device says.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Returns the word used in addresses, cookies and the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// Reads a word; `None` for any other.
    pub fn from_word(word: &str) -> Option<Theme> {
        [Theme::Auto, Theme::Light, Theme::Dark].into_iter().find(|theme| theme.as_str() == word)
    }

    /// Returns what the theme button offers next.
    pub const fn next(self) -> Theme {
        match self {
            Theme::Auto => Theme::Dark,
            Theme::Dark => Theme::Light,
            Theme::Light => Theme::Auto,
        }
    }
}

/// A reader's preferences, and the cookies that keep what the address just chose.
#[derive(Debug, Clone, Default)]
pub struct Prefs {
    /// Language of the page.
    pub lang: Lang,
    /// Theme of the page.
    pub theme: Theme,
    /// The language this very request chose.
    pub chosen_lang: Option<Lang>,
    /// `Set-Cookie` values for choices made by this very request.
    pub chosen: Vec<String>,
}

impl Prefs {
    /// Reads a request.
    pub fn of(parts: &Parts) -> Self {
        let asked = |name| query_value(parts.uri.query().unwrap_or(""), name);
        let (asked_lang, asked_theme) = (asked("lang").and_then(Lang::from_code), asked("theme").and_then(Theme::from_word));
        let mut chosen = Vec::new();
        if let Some(lang) = asked_lang {
            chosen.push(preference_cookie("lang", lang.code()));
        }
        if let Some(theme) = asked_theme {
            chosen.push(preference_cookie("theme", theme.as_str()));
        }
        Prefs {
            lang: asked_lang.or_else(|| cookie(parts, "lang").and_then(Lang::from_code)).unwrap_or_default(),
            theme: asked_theme.or_else(|| cookie(parts, "theme").and_then(Theme::from_word)).unwrap_or_default(),
            chosen_lang: asked_lang,
            chosen,
        }
    }

    /// Takes the language somebody's account knows, unless this request chose another.
    pub fn known_to_speak(&mut self, lang: Option<Lang>) {
        self.lang = self.chosen_lang.or(lang).unwrap_or(self.lang);
    }
}

/// Returns one cookie's value.
pub fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Returns the raw value of a query parameter.
pub fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A preference lives for a year and is readable by nobody else; it is no secret.
fn preference_cookie(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Lax")
}
