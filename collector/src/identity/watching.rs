//! What an agent says of its assignments: which one is in force, which is on trial, which it refused and why. Pure.

/// The header of an upload that says it.
pub const ASSIGNMENT_HEADER: &str = "rusta-assignment";

/// Longer words are no such words: two versions more than the agent's own bound of a reason.
const LONGEST: usize = 300;

/// The versions an agent has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watching {
    /// In force; `None`: what its own file says.
    pub in_force: Option<u64>,
    /// On trial: the agent goes back to the one in force unless all its links show that they work.
    pub on_trial: Option<u64>,
    /// Refused.
    pub refused: Option<u64>,
    /// Why; empty if nothing was refused.
    pub reason: String,
}

impl Watching {
    /// Reads what an agent said: `in=16 hexadecimal digits; trial=..; refused=..; reason=text to the end`, each part optional.
    /// `None` for anything else.
    pub fn read(said: &str) -> Option<Watching> {
        let is_printed = said.len() <= LONGEST && said.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let mut watching = Watching::default();
        let mut rest = Some(said).filter(|_| is_printed)?;
        while !rest.is_empty() {
            if let Some(reason) = rest.strip_prefix("reason=") {
                reason.clone_into(&mut watching.reason);
                break;
            }
            let (part, after) = rest.split_once("; ").unwrap_or((rest, ""));
            let (name, version) = part.split_once('=')?;
            let version = (version.len() == 16).then(|| u64::from_str_radix(version, 16).ok()).flatten()?;
            match name {
                "in" => watching.in_force = Some(version),
                "trial" => watching.on_trial = Some(version),
                "refused" => watching.refused = Some(version),
                _ => return None,
            }
            rest = after;
        }
        Some(watching)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_say_is_read_and_nothing_else() {
        let all = "in=0000000000000001; trial=00000000000000ff; refused=0000000000000002; reason=links[0].interface: eth9; is not there";
        let read = Watching::read(all).unwrap();
        assert_eq!((read.in_force, read.on_trial, read.refused), (Some(1), Some(255), Some(2)));
        assert_eq!(read.reason, "links[0].interface: eth9; is not there");
        assert_eq!(Watching::read(""), Some(Watching::default()));
        let long = format!("reason={}", "x".repeat(LONGEST));
        for nonsense in ["in=1", "in=000000000000000g", "else=0000000000000001", "hello", "reason=\u{1b}[2J", "reason=é", &long] {
            assert_eq!(Watching::read(nonsense), None, "{nonsense}");
        }
    }
}
