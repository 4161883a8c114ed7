//! `rusta-collector users`: people from the command line.

use std::io::BufRead;

use clap::{Args, Subcommand};
use rusta_wire::UnixMs;

use super::{Means, Network, NewToken, NewUser, People, PeopleError, Role};
use crate::cli::{Failure, Place};
use crate::clock;
use crate::config::Http;
use crate::inventory::Versions;
use crate::store::Store;
use crate::terminal::say;

/// Adds, lists and removes people.
#[derive(Debug, Args)]
pub struct UsersArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user; the password is read from standard input, one line.
    Add {
        /// Login name.
        name: String,
        /// What they may do: viewer (looks), operator (works on incidents), admin (everything).
        #[arg(long, value_parser = parse_role)]
        role: Role,
        /// Code of the region they are bound to; without it they see everything.
        #[arg(long, value_name = "CODE")]
        region: Option<String>,
    },
    /// List the users.
    List,
    /// Remove a user and end their sessions.
    Remove {
        /// Login name.
        name: String,
    },
    /// Change somebody's password; it is read from standard input, one line. Their sessions end.
    Passwd {
        /// Login name.
        name: String,
    },
    /// Print a password that holds for an hour and has to be changed at the next sign-in. Their sessions end.
    Reset {
        /// Login name.
        name: String,
        /// Also take their second factor off: their telephone and their recovery codes are lost.
        #[arg(long)]
        second_factor: bool,
    },
    /// List the open sessions.
    Sessions {
        /// Login name; without it everybody's.
        name: Option<String>,
    },
    /// End sessions.
    SignOut {
        /// Login name: all their sessions.
        #[arg(required_unless_present = "session", conflicts_with = "session")]
        name: Option<String>,
        /// One session, by its number.
        #[arg(long, value_name = "NUMBER")]
        session: Option<i64>,
    },
    /// Print a link that signs a user in, once and within ten minutes: whoever runs the server needs no password for it.
    Link {
        /// Login name.
        name: String,
    },
    /// Tokens for machines that read the API or /metrics.
    #[command(subcommand)]
    Token(TokenAction),
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    /// Create a token and print it; it is shown this once.
    Add {
        /// What it is for.
        label: String,
        /// What its bearer may do; machines that only read are viewers.
        #[arg(long, value_parser = parse_role, default_value = "viewer")]
        role: Role,
        /// Code of the region its bearer sees; without it everything.
        #[arg(long, value_name = "CODE")]
        region: Option<String>,
        /// When it ends, such as 2027-03-20T00:00:00+03:30; after 365 days if not given.
        #[arg(long, value_name = "TIME")]
        until: Option<jiff::Timestamp>,
        /// A network it may be used from, such as 10.20.0.0/16; may be given several times. Without one, from anywhere.
        #[arg(long = "from", value_name = "NETWORK")]
        networks: Vec<Network>,
    },
    /// List the tokens, without their secrets.
    List,
    /// Revoke a token at once.
    Revoke {
        /// Its number.
        id: i64,
    },
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Usage`] for what the person can mend, [`Failure::Failed`] for the database.
pub fn run(args: &UsersArgs, place: &Place) -> Result<(), Failure> {
    let store = place.store()?;
    let people = People::new(store.clone());
    let now = clock::now();
    match &args.action {
        Action::Add { name, role, region } => {
            check_region(&store, region.as_deref())?;
            let user = NewUser { name: name.clone(), password: read_password()?, role: *role, region: region.clone() };
            people.add_user(&user, "cli", now).map_err(explain)?;
            say!("added {name} as {role} of {}", region.as_deref().unwrap_or("everything"));
        }
        Action::List => {
            for user in people.users()? {
                let known = user.directory.map_or_else(String::new, |directory| format!("\t{directory}"));
                say!("{}\t{}\t{}{known}", user.name, user.role, user.region.as_deref().unwrap_or("everything"));
            }
        }
        Action::Remove { name } => {
            people.remove_user(name, "cli", now).map_err(explain)?;
            say!("removed {name}");
        }
        Action::Passwd { name } => {
            people.change_password(name, &read_password()?, &Means::Nobody, "cli", now).map_err(explain)?;
            say!("the password of {name} is changed");
        }
        Action::Reset { name, second_factor } => {
            if *second_factor {
                people.drop_second_factor(name, "cli", now).map_err(explain)?;
            }
            say!("{}", people.reset_password(name, "cli", now).map_err(explain)?);
        }
        Action::Sessions { name } => {
            for one in people.sessions(name.as_deref(), now)? {
                say!("{}\t{}\t{}\t{}\t{}", one.id, one.user, one.address, time(one.seen_at), one.browser);
            }
        }
        Action::SignOut { name, session } => match (name, session) {
            (_, Some(id)) => {
                people.end_session(*id, None, "cli", now).map_err(explain)?;
                say!("ended {id}");
            }
            (name, None) => say!("ended {}", people.end_sessions(name.as_deref().unwrap_or_default(), "cli", now)?),
        },
        Action::Link { name } => {
            let secret = people.make_link(name, "cli", now).map_err(explain)?;
            say!("{}/login/link?secret={secret}", address(&place.config()?.http));
        }
        Action::Token(TokenAction::Add { label, role, region, until, networks }) => {
            check_region(&store, region.as_deref())?;
            let expires_at = until.map(|until| UnixMs(until.as_millisecond()));
            let token = NewToken { label: label.clone(), role: *role, region: region.clone(), expires_at, networks: networks.clone() };
            say!("{}", people.add_token(&token, "cli", now).map_err(explain)?);
        }
        Action::Token(TokenAction::List) => {
            for token in people.tokens()? {
                let state = match (token.revoked_at, token.expires_at) {
                    (Some(_), _) => "revoked",
                    (None, Some(end)) if end <= now => "expired",
                    _ => "live",
                };
                let region = token.region.as_deref().unwrap_or("everything");
                let end = token.expires_at.map_or_else(|| "no end".to_owned(), |end| format!("until {}", time(end)));
                let used = match (token.used_at, &token.used_from) {
                    (Some(at), Some(from)) => format!("used {} from {from}", time(at)),
                    _ => "never used".to_owned(),
                };
                let networks = if token.networks.is_empty() { "anywhere" } else { &token.networks };
                say!("{}\t{}\t{}\t{region}\t{state}\t{end}\t{used}\t{networks}", token.id, token.label, token.role);
            }
        }
        Action::Token(TokenAction::Revoke { id }) => {
            people.revoke_token(*id, "cli", now).map_err(explain)?;
            say!("revoked {id}");
        }
    }
    Ok(())
}

/// Returns the beginning of the pages' addresses: the first name the operator gave, or where the collector listens.
fn address(http: &Http) -> String {
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    let port = http.listen.port();
    match http.hosts.iter().find(|host| !host.starts_with("*.")) {
        Some(host) if http.tls.is_some() || !http.trusted_proxies.is_empty() => format!("{scheme}://{host}:{port}"),
        _ if http.listen.ip().is_unspecified() => format!("{scheme}://localhost:{port}"),
        _ => format!("{scheme}://{}", http.listen),
    }
}

/// Checks that a scope names a region there is: a code that is nowhere shows nothing, which is no scope anybody means.
fn check_region(store: &Store, code: Option<&str>) -> Result<(), Failure> {
    let Some(code) = code else { return Ok(()) };
    let versions = Versions::load(store).map_err(anyhow::Error::from)?;
    match versions.last().region_by_code(code) {
        Some(_) => Ok(()),
        None => Err(Failure::Usage(format!("there is no region `{code}`"))),
    }
}

fn parse_role(word: &str) -> Result<Role, String> {
    word.parse()
}

fn read_password() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn time(at: UnixMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| format!("{at:.0}"))
}

fn explain(error: PeopleError) -> Failure {
    match error {
        PeopleError::Refused(reason) => Failure::Usage(reason),
        other => Failure::Failed(other.into()),
    }
}
