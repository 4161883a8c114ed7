//! Passwords: which are good enough, and argon2id with the parameters OWASP names for interactive logins.
//!
//! A password is judged by its length and by what everybody would try first (NIST SP 800-63B section 5.1.1.2); nobody is made
//! to mix kinds of characters.

use std::collections::HashSet;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::{PeopleError, secret};
use crate::persian::fold;

/// The hash of a password nobody has; checked for unknown names so that they take as long as known ones.
pub(super) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$3v8a1yVnqz0xA2D0Jd6b0WQm1mJm0Jr0o3f1m1mJm0I";

/// Shorter ones are found by guessing within hours of a stolen database.
const SHORTEST: usize = 10;

/// Longer ones only make the server work.
const LONGEST: usize = 256;

/// A password with fewer different characters is a pattern.
const FEWEST_DIFFERENT: usize = 5;

/// A password with fewer letters is a telephone number, a national code or a date.
const FEWEST_LETTERS: usize = 3;

/// What everybody tries first, one a line.
const COMMON: &str = include_str!("common.txt");

/// Rows of keys and of the alphabet, along which a finger runs.
const RUNS: [&str; 6] =
    ["01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p"];

/// Checks that a password is long enough and not among the first anybody would try. `own` are words of this place: the
/// person's name, its regions.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(password: &str, own: &[String]) -> Result<(), PeopleError> {
    let length = password.chars().count();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Err(PeopleError::Refused(format!("a password has {SHORTEST} to {LONGEST} characters; this one has {length}")));
    }
    if is_common(password, own) {
        return Err(PeopleError::Refused("this password is among the first that anybody would try".to_owned()));
    }
    Ok(())
}

/// Hashes a password.
pub(super) fn hash(password: &str) -> Result<String, PeopleError> {
    let random = secret::draw()?;
    let salt = SaltString::encode_b64(&random.as_bytes()[..16]).map_err(|error| PeopleError::Password(error.to_string()))?;
    let hash = hasher()?.hash_password(password.as_bytes(), &salt).map_err(|error| PeopleError::Password(error.to_string()))?;
    Ok(hash.to_string())
}

/// Tells whether a password is the one behind a hash.
pub(super) fn matches(password: &str, hash: &str) -> bool {
    let (Ok(parsed), Ok(hasher)) = (PasswordHash::new(hash), hasher()) else { return false };
    password.len() <= LONGEST * 4 && hasher.verify_password(password.as_bytes(), &parsed).is_ok()
}

/// Whether a password is a word of a list with something around it, such a word twice, a run of keys, or a number.
fn is_common(password: &str, own: &[String]) -> bool {
    let folded = fold(password);
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let different: HashSet<char> = folded.chars().collect();
    if different.len() < FEWEST_DIFFERENT || letters(&folded).chars().count() < FEWEST_LETTERS || is_run(&folded) {
        return true;
    }
    // `Pa$$w0rd` is read as a person reads it.
    let plain = password.trim_end_matches(|c: char| !c.is_alphabetic()).to_lowercase().chars().map(letter_meant).collect::<String>();
    let tried = [folded.trim_matches(char::is_numeric).to_owned(), letters(&folded), fold(&plain)];
    tried.iter().any(|word| is_listed(word, own) || half(word).is_some_and(|half| is_listed(&half, own)))
}

fn is_listed(word: &str, own: &[String]) -> bool {
    let listed = COMMON.lines().filter(|line| !line.starts_with('#'));
    !word.is_empty() && listed.chain(own.iter().map(String::as_str)).any(|one| fold(one).trim_end_matches(char::is_numeric) == word)
}

/// Returns the half of a text that is the same thing twice.
fn half(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let (first, second) = chars.split_at(chars.len() / 2);
    (first == second).then(|| first.iter().collect())
}

fn letter_meant(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        c => c,
    }
}

/// Whether most of it runs along a row, forwards or backwards, once or several times: where it turns or begins again there is
/// one step that does not follow.
fn is_run(folded: &str) -> bool {
    let chars: Vec<char> = folded.chars().collect();
    let rows: Vec<Vec<char>> = RUNS.iter().map(|run| run.chars().collect()).collect();
    let follows =
        |pair: &[char]| rows.iter().flat_map(|row| row.windows(2)).any(|two| two == pair || two[0] == pair[1] && two[1] == pair[0]);
    let steps = chars.windows(2).filter(|pair| follows(pair)).count();
    steps * 4 >= chars.len().saturating_sub(1) * 3
}

/// 19 MiB, two passes, one lane.
fn hasher() -> Result<Argon2<'static>, PeopleError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| PeopleError::Password(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_only_its_own_hash() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(matches("correct horse battery", &stored));
        assert!(!matches("correct horse batteri", &stored));
        assert!(!matches("anything at all", NOBODY));
        assert!(PasswordHash::new(NOBODY).is_ok());
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        let own = ["zahra.karimi", "خرم‌آباد", "Khorramabad", "دلفان"].map(str::to_owned);
        let bad = [
            "short",
            "password123",
            "Password1234",
            "P@ssw0rd2024",
            "1234567890",
            "0987654321",
            "qwertyuiop",
            "1qaz2wsx3edc",
            "aaaaaaaaaaaa",
            "abababababab",
            "Rusta@1405!!",
            "rusta-collector",
            "iran123456",
            "Esteghlal1404",
            "perspolis1234",
            "09123456789",
            "1370/05/12 ab",
            "zahra.karimi1",
            "خرم آباد ۱۴۰۵",
            "Delfan@delfan",
            "دلفان۱۲۳۴۵۶",
            "admin123456admin",
            "administrator",
            "yaali110110",
            "سلام۱۲۳۴۵۶۷",
            "یاحسین ۱۴۰۴",
            "iloveyou2025",
            "mohammad1370",
            "asdfghjkl123",
            "changeme2026",
            "salamsalam12",
        ];
        let taken: Vec<_> = bad.iter().filter(|word| check(word, &own).is_ok()).collect();
        assert_eq!(taken, [&"Delfan@delfan"], "whose Latin name is not among the words given here");
        let good = [
            "ten letters!",
            "a long enough password",
            "correct horse battery",
            "باران روی سقف کاهگلی",
            "gT7#kw2-Lq9x",
            "river7stone4cloud",
        ];
        let refused: Vec<_> = good.iter().filter(|word| check(word, &own).is_err()).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert!(check(&"long ".repeat(60), &own).is_err());
    }
}
