//! `rusta-collector users`: people from the command line.

use std::io::BufRead;

use clap::{Args, Subcommand};

use super::{NewUser, People, PeopleError, Role};
use crate::cli::{Failure, Place};
use crate::clock;

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
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Usage`] for what the person can mend, [`Failure::Failed`] for the database.
pub fn run(args: &UsersArgs, place: &Place) -> Result<(), Failure> {
    let people = People::new(place.store()?);
    let now = clock::now();
    match &args.action {
        Action::Add { name, role, region } => {
            let user = NewUser { name: name.clone(), password: read_password()?, role: *role, region: region.clone() };
            people.add_user(&user, "cli", now).map_err(explain)?;
            println!("added {name} as {role} of {}", region.as_deref().unwrap_or("everything"));
        }
        Action::List => {
            for user in people.users()? {
                println!("{}\t{}\t{}", user.name, user.role, user.region.as_deref().unwrap_or("everything"));
            }
        }
        Action::Remove { name } => {
            people.remove_user(name, "cli", now).map_err(explain)?;
            println!("removed {name}");
        }
    }
    Ok(())
}

fn parse_role(word: &str) -> Result<Role, String> {
    word.parse()
}

fn read_password() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn explain(error: PeopleError) -> Failure {
    match error {
        PeopleError::Refused(reason) => Failure::Usage(reason),
        other => Failure::Failed(other.into()),
    }
}
