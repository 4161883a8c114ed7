//! Getting a certificate: at first with a one-time token, later with the certificate itself.
//!
//! ```text
//! invitation --fingerprint--> GET /v1/authority from whoever answers: kept if its SHA-256 is the invitation's
//!            --token--------> POST /v1/enroll, over TLS that this authority vouches for --> certificate
//! ```
//!
//! The key is made here. Until the certificate is there it waits in its own file, so that an enrolment whose answer was lost
//! asks again with the same key. Neither key nor token is ever printed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rusta_wire::Invitation;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use serde::Serialize;

use crate::clock::Clock;
use crate::config::Url;
use crate::crypto::random_u64;
use crate::files;
use crate::grant;
use crate::identity::{self, Identity};
use crate::key::DeviceKey;
use crate::packet::http2::{Response, Status};
use crate::privilege;
use crate::probe::Prober;
use crate::socket::Way;
use crate::terminal::say;
use crate::tls;
use crate::uplink::connection::Connection;
use crate::uplink::pace::Backoff;
use crate::usage::{EnrollArgs, Failure};

#[derive(Serialize)]
struct FirstRequest<'a> {
    token: &'a str,
    csr_pem: &'a str,
}

/// A device that asks to be enrolled.
#[derive(Clone)]
pub struct Applicant {
    urls: Vec<Url>,
    token: String,
    trust: Trust,
    dir: PathBuf,
}

/// How the collector proves itself.
#[derive(Clone)]
enum Trust {
    /// By one of these authorities; by a public one if there are none.
    Authorities(Vec<CertificateDer<'static>>),
    /// By the authority with this SHA-256, which it is asked for first.
    Fingerprint([u8; 32]),
}

/// Why an attempt brought no identity.
enum Attempt {
    /// The line or the collector is not there: it is tried again.
    Later(String),
    /// The collector said no, or this machine cannot: to try again changes nothing.
    Never(String),
}

impl Attempt {
    fn text(self) -> String {
        match self {
            Attempt::Later(text) | Attempt::Never(text) => text,
        }
    }
}

/// Enrols this device.
///
/// # Errors
/// A sentence that says which step failed and what to do.
pub async fn enroll(args: &EnrollArgs) -> Result<(), Failure> {
    privilege::become_owner(&args.dir).map_err(|error| Failure::Failed(format!("{}: {error}", args.dir.display())))?;
    if let (Some(collector), Some(token)) = (&args.collector, &args.token) {
        let urls = vec![collector.parse().map_err(Failure::Usage)?];
        let authorities = args.ca.as_deref().map(identity::certificates).transpose();
        let authorities = authorities.map_err(|error| Failure::Failed(format!("authority: {error}")))?.unwrap_or_default();
        let hint = if args.ca.is_none() { "; if the collector has its own authority, give its certificate with --ca" } else { "" };
        let applicant = Applicant { urls, token: read_word(token)?, trust: Trust::Authorities(authorities), dir: args.dir.clone() };
        return say(&applicant.once().await.map_err(|fault| Failure::Failed(format!("{}{hint}", fault.text())))?);
    }
    let invitation = read_word(args.invitation.as_deref().unwrap_or("-"))?.parse().map_err(Failure::Usage)?;
    let applicant = Applicant::new(&invitation, &args.dir).map_err(Failure::Usage)?;
    if !args.again
        && let Ok(identity) = Identity::load(&args.dir)
    {
        return say(&format!("enrolled already, as agent {}; --again enrols anew\n", identity.agent));
    }
    let told = applicant.until_done(|fault| drop(writeln!(std::io::stderr(), "{fault}; it is tried again until the line is up"))).await;
    say(&told.map_err(Failure::Failed)?)
}

impl Applicant {
    /// Reads what an invitation asks.
    ///
    /// # Errors
    /// A place in it that no collector has.
    pub fn new(invitation: &Invitation, dir: &Path) -> Result<Applicant, String> {
        let urls = invitation.places.iter().map(|place| format!("https://{place}").parse()).collect::<Result<_, _>>()?;
        let trust = invitation.fingerprint.map_or(Trust::Authorities(Vec::new()), Trust::Fingerprint);
        Ok(Applicant { urls, token: invitation.token.clone(), trust, dir: dir.to_owned() })
    }

    /// Tries until there is an identity, and returns the sentence that says so; `tell` hears why it is not there yet, each reason
    /// once.
    ///
    /// # Errors
    /// Why there will be none.
    pub async fn until_done(&self, tell: impl Fn(&str)) -> Result<String, String> {
        let (mut backoff, mut last) = (Backoff::default(), String::new());
        loop {
            match self.once().await {
                Ok(told) => return Ok(told),
                Err(Attempt::Never(fault)) => return Err(fault),
                Err(Attempt::Later(fault)) if fault == last => {}
                Err(Attempt::Later(fault)) => {
                    tell(&fault);
                    last = fault;
                }
            }
            tokio::time::sleep(backoff.failed(random_u64())).await;
        }
    }

    /// Tries each place once.
    async fn once(&self) -> Result<String, Attempt> {
        let mut last = Attempt::Never("nobody said where the collector is".into());
        for url in &self.urls {
            match self.at(url).await {
                Err(fault @ Attempt::Later(_)) => last = fault,
                answered => return answered,
            }
        }
        Err(last)
    }

    async fn at(&self, url: &Url) -> Result<String, Attempt> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Attempt::Never(format!("{what}: {error}"));
        // The key is on disk before the token is shown to anybody.
        let (key_pem, csr_pem) = pending_request(&self.dir).map_err(|error| failed("key", &error))?;
        let clock = Arc::new(Clock::without_memory());
        let authorities = match &self.trust {
            Trust::Authorities(authorities) => authorities.clone(),
            Trust::Fingerprint(fingerprint) => vec![authority_of(url, fingerprint, &clock).await?],
        };
        let config = tls::enrolment_config(authorities, clock.clone()).map_err(|error| failed("authority", &error))?;
        let body =
            serde_json::to_vec(&FirstRequest { token: &self.token, csr_pem: &csr_pem }).map_err(|error| failed("request", &error))?;
        let response = ask(url, config, &clock, "/v1/enroll", Some(("application/json", body))).await?;
        let granted = grant::granted(response.status, &response.body).map_err(|fault| match response.status {
            Status::TOO_MANY_REQUESTS => Attempt::Later(fault),
            status if status.is_client_error() => Attempt::Never(fault),
            _ => Attempt::Later(fault),
        })?;
        let urls: Vec<String> = self.urls.iter().map(ToString::to_string).collect();
        let stored = identity::store_places(&self.dir, &urls)
            .and_then(|()| identity::store(&self.dir, Some(&key_pem), &granted.certificate_pem, &granted.ca_pem));
        stored.map_err(|error| failed("identity", &error))?;
        let _ = std::fs::remove_file(identity::pending_key(&self.dir));
        let identity = Identity::load(&self.dir).map_err(|error| failed("the certificate received cannot be used", &error))?;
        Ok(format!("enrolled as agent {} for site {}; identity is in {}\n", identity.agent, granted.site, self.dir.display()))
    }
}

/// Asks a collector for its authorities, and returns the one that was meant.
async fn authority_of(url: &Url, fingerprint: &[u8; 32], clock: &Arc<Clock>) -> Result<CertificateDer<'static>, Attempt> {
    let config = tls::unproved_config().map_err(|error| Attempt::Never(format!("authority: {error}")))?;
    let response = ask(url, config, clock, "/v1/authority", None).await?;
    let shown = identity::parse_certificates(&response.body).unwrap_or_default();
    let is_meant = |shown: &CertificateDer<'_>| digest(&SHA256, shown).as_ref() == fingerprint;
    // A portal on the way answers like this too, so it is no last word.
    shown.into_iter().find(is_meant).ok_or_else(|| Attempt::Later(format!("{url}: who answers is not the collector of the invitation")))
}

async fn ask(url: &Url, config: ClientConfig, clock: &Arc<Clock>, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Response, Attempt> {
    let later = |error: &dyn std::fmt::Display| Attempt::Later(format!("{url}: {error}"));
    let prober = Rc::new(Prober::new(clock.settings(Vec::new())));
    let payer = |_| Some(Arc::default());
    let connection = Connection::open(url, &Way::default(), Arc::new(config), &prober, &payer).await;
    connection.map_err(|error| later(&error))?.request(path, body).await.map_err(|error| later(&error))
}

/// Returns an argument, or the line on standard input that it stands for.
fn read_word(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_string());
    }
    let mut word = String::new();
    // A word is a line; what is longer is something else.
    std::io::stdin().take(1024).read_to_string(&mut word).map_err(|error| Failure::Failed(format!("stdin: {error}")))?;
    Ok(word.trim().to_string())
}

/// Makes or finds the waiting key and a request signed with it.
fn pending_request(dir: &Path) -> Result<(String, String), String> {
    let file = identity::pending_key(dir);
    let kept = std::fs::read_to_string(&file).ok().and_then(|pem| DeviceKey::from_pem(&pem).ok());
    let key = match kept {
        Some(key) => key,
        None => {
            let key = DeviceKey::generate()?;
            std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            files::replace(&file, key.pem().as_bytes(), 0o600).map_err(|error| format!("{}: {error}", file.display()))?;
            key
        }
    };
    Ok((key.pem(), key.request_pem()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_request_asks_with_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let (first, csr) = pending_request(dir.path()).unwrap();
        let (second, _) = pending_request(dir.path()).unwrap();
        assert_eq!(first, second);
        assert!(csr.contains("CERTIFICATE REQUEST") && !csr.contains("PRIVATE"));
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(identity::pending_key(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
