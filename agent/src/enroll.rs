//! Getting a certificate: at first with a one-time token, later with the certificate itself.
//!
//! The key is made here. Until the certificate is there it waits in its own file, so that an enrolment whose answer was lost
//! asks again with the same key. Neither key nor token is ever printed.

use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Clock;
use crate::config::Url;
use crate::files;
use crate::grant;
use crate::identity::{self, Identity};
use crate::key::DeviceKey;
use crate::privilege;
use crate::probe::Prober;
use crate::socket::Way;
use crate::terminal::say;
use crate::tls;
use crate::uplink::connection::Connection;
use crate::usage::{EnrollArgs, Failure};

#[derive(Serialize)]
struct FirstRequest<'a> {
    token: &'a str,
    csr_pem: &'a str,
}

/// Enrols this device.
///
/// # Errors
/// A sentence that says which step failed and what to do.
pub async fn enroll(args: &EnrollArgs) -> Result<(), Failure> {
    let url: Url = args.collector.parse().map_err(Failure::Usage)?;
    let token = read_token(&args.token)?;
    let failed = |what: &str, error: &dyn std::fmt::Display| Failure::Failed(format!("{what}: {error}"));
    let authorities = match &args.ca {
        Some(file) => identity::certificates(file).map_err(|error| failed("authority", &error))?,
        None => Vec::new(),
    };
    privilege::become_owner(&args.dir).map_err(|error| failed(&args.dir.display().to_string(), &error))?;
    // The key is on disk before the token is shown to anybody.
    let (key_pem, csr_pem) = pending_request(&args.dir).map_err(|error| failed("key", &error))?;
    let clock = Arc::new(Clock::without_memory());
    let config = tls::enrolment_config(authorities, clock.clone()).map_err(|error| failed("authority", &error))?;
    let prober = Rc::new(Prober::new(clock.settings(Vec::new())));
    let payer = |_| Some(Arc::default());
    let mut connection = Connection::open(&url, &Way::default(), Arc::new(config), &prober, &payer).await.map_err(|error| {
        let hint = if args.ca.is_none() { "; if the collector has its own authority, give its certificate with --ca" } else { "" };
        Failure::Failed(format!("{url}: {error}{hint}"))
    })?;
    let body = serde_json::to_vec(&FirstRequest { token: &token, csr_pem: &csr_pem }).map_err(|error| failed("request", &error))?;
    let response = connection.request("/v1/enroll", Some(("application/json", body))).await;
    let response = response.map_err(|error| failed(&url.to_string(), &error))?;
    let granted = grant::granted(response.status, &response.body).map_err(Failure::Failed)?;
    identity::store(&args.dir, Some(&key_pem), &granted.certificate_pem, &granted.ca_pem).map_err(|error| failed("identity", &error))?;
    let _ = std::fs::remove_file(identity::pending_key(&args.dir));
    let identity = Identity::load(&args.dir).map_err(|error| failed("the certificate received cannot be used", &error))?;
    say(&format!("enrolled as agent {} for site {}; identity is in {}\n", identity.agent, granted.site, args.dir.display()))
}

fn read_token(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_string());
    }
    let mut token = String::new();
    // A token is a line; what is longer is something else.
    std::io::stdin().take(1024).read_to_string(&mut token).map_err(|error| Failure::Failed(format!("stdin: {error}")))?;
    Ok(token.trim().to_string())
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
