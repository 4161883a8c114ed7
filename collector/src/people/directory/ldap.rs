//! An LDAP server over TLS (RFC 4511, RFC 4513): the person's entry is searched, then bound as with what they typed.
//!
//! ```text
//! bind as who searches --> search (name = typed) --one entry--> bind as the entry, with the password --> groups
//! ```
//! An empty password is never sent: a server takes it for no name at all and says yes (RFC 4513, 5.1.2). What was typed is
//! escaped (RFC 4515, 3).

use std::sync::Arc;
use std::time::Duration;

use ldap3::{LdapConnAsync, LdapConnSettings, Scope, SearchEntry, SearchOptions, ldap_escape};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Person;
use crate::config;

/// How long the whole conversation may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `invalidCredentials` (RFC 4511, appendix A).
const WRONG: u32 = 49;

/// Groups read of one person.
const MOST_GROUPS: usize = 1_000;

/// Why the directory said nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the LDAP server does not answer: {0}")]
pub struct LdapError(String);

/// The server; clones share it.
#[derive(Debug, Clone)]
pub struct Server {
    settings: Arc<config::Ldap>,
    tls: Arc<rustls::ClientConfig>,
}

impl Server {
    /// Makes ready to ask a server; nothing is asked yet.
    ///
    /// # Errors
    /// A file of the configuration that cannot be read.
    pub fn new(settings: &config::Ldap) -> Result<Server, String> {
        let mut roots = rustls::RootCertStore::empty();
        match &settings.ca {
            Some(path) => {
                let read = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| read(&error))? {
                    roots.add(certificate.map_err(|error| read(&error))?).map_err(|error| read(&error))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = versions.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        password_of(settings)?;
        Ok(Server { settings: Arc::new(settings.clone()), tls: Arc::new(tls) })
    }

    /// Asks whether a name and a password belong together, and to which groups the person belongs; `None` if they do not.
    ///
    /// # Errors
    /// A server that does not answer, or does not let us search.
    pub async fn check(&self, name: &str, password: &str) -> Result<Option<Person>, LdapError> {
        if name.is_empty() || password.is_empty() {
            return Ok(None);
        }
        let (server, name, password) = (self.clone(), name.to_owned(), password.to_owned());
        // In a task of its own: the client panics on an entry that does not parse, and nothing a network says ends more than that.
        let asked = tokio::spawn(async move { tokio::time::timeout(TIMEOUT, server.ask(&name, &password)).await });
        match asked.await {
            Ok(Ok(answer)) => answer.map_err(|error| LdapError(error.to_string())),
            Ok(Err(_)) => Err(LdapError(format!("nothing within {} s", TIMEOUT.as_secs()))),
            Err(_) => Err(LdapError("an entry that cannot be read".to_owned())),
        }
    }

    async fn ask(&self, name: &str, password: &str) -> Result<Option<Person>, ldap3::LdapError> {
        let settings = &*self.settings;
        let how = LdapConnSettings::new().set_conn_timeout(TIMEOUT).set_starttls(settings.starttls).set_config(self.tls.clone());
        let (connection, mut ldap) = LdapConnAsync::with_settings(how, &settings.url).await?;
        let driven = tokio::spawn(async move { connection.drive().await });
        let answer = self.ask_over(&mut ldap, name, password).await;
        let _gone = ldap.unbind().await;
        driven.abort();
        answer
    }

    async fn ask_over(&self, ldap: &mut ldap3::Ldap, name: &str, password: &str) -> Result<Option<Person>, ldap3::LdapError> {
        let settings = &*self.settings;
        if !settings.bind_dn.is_empty() {
            let secret = password_of(settings).map_err(std::io::Error::other)?;
            ldap.simple_bind(&settings.bind_dn, &secret).await?.success()?;
        }
        let attribute = settings.name_attribute.as_str();
        let filter = format!("(&{}({attribute}={}))", settings.filter, ldap_escape(name));
        // Two are as good as none: which of them would it be?
        ldap.with_search_options(SearchOptions::new().sizelimit(2));
        let ldap3::SearchResult(found, result) = ldap.search(&settings.base, Scope::Subtree, &filter, vec![attribute, "memberOf"]).await?;
        if found.len() != 1 {
            return if result.rc == 0 || result.rc == 4 { Ok(None) } else { result.success().map(|_| None) };
        }
        let Some(entry) = found.into_iter().next().map(SearchEntry::construct) else { return Ok(None) };
        let of = |wanted: &str| entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, values)| values.clone());
        let Some(known_as) = of(attribute).and_then(|values| values.into_iter().next()) else { return Ok(None) };
        let mut groups = of("memberOf").unwrap_or_default();
        if let Some(base) = &settings.group_base {
            let filter = format!(
                "(|(member={})(uniqueMember={})(memberUid={}))",
                ldap_escape(entry.dn.as_str()),
                ldap_escape(entry.dn.as_str()),
                ldap_escape(known_as.as_str())
            );
            let ldap3::SearchResult(found, result) = ldap.search(base, Scope::Subtree, &filter, vec!["1.1"]).await?;
            result.success()?;
            groups.extend(found.into_iter().take(MOST_GROUPS).map(|entry| SearchEntry::construct(entry).dn));
        }
        let bound = ldap.simple_bind(&entry.dn, password).await?;
        if bound.rc == WRONG {
            return Ok(None);
        }
        bound.success()?;
        Ok(Some(Person { subject: known_as.to_lowercase(), name: known_as, groups }))
    }
}

fn password_of(settings: &config::Ldap) -> Result<String, String> {
    let Some(path) = &settings.password_file else { return Ok(String::new()) };
    let secret = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(secret.trim_end_matches(['\r', '\n']).to_owned())
}
