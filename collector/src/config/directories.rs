//! Directories that know people: an OpenID provider, an LDAP server, and what their groups may do here.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::mistakes::Wrong;
use super::typed::RoleName;

/// Where people are known beside the accounts of this collector.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SignIn {
    /// An OpenID provider.
    pub openid: Option<OpenId>,
    /// An LDAP server.
    pub ldap: Option<Ldap>,
    /// What members of a group may do: of several the first in this list holds.
    pub groups: Vec<Group>,
}

/// An OpenID provider (OpenID Connect Core 1.0).
#[derive(Debug, Clone, PartialEq)]
pub struct OpenId {
    /// Its issuer; the provider's description is below it.
    pub issuer: String,
    /// What it knows us by.
    pub client_id: String,
    /// File with the secret it knows us by; nothing for a public client.
    pub client_secret_file: Option<PathBuf>,
    /// Address of our own to which it sends people back, as registered there.
    pub callback: String,
    /// Scopes asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that lists groups.
    pub groups_claim: String,
    /// What stands on the button; nothing for words of our own.
    pub label: Option<String>,
    /// PEM file of the authority that signed its certificate; without it those of the system.
    pub ca: Option<PathBuf>,
}

/// An LDAP server (RFC 4511), always over TLS.
#[derive(Debug, Clone, PartialEq)]
pub struct Ldap {
    /// `ldaps://HOST[:PORT]`, or `ldap://` with [`Ldap::starttls`].
    pub url: String,
    /// Whether TLS begins on a plain connection (RFC 4511, 4.14).
    pub starttls: bool,
    /// PEM file of the authority that signed its certificate; without it those of the system.
    pub ca: Option<PathBuf>,
    /// Who searches; empty to search without a name.
    pub bind_dn: String,
    /// File with the password of who searches.
    pub password_file: Option<PathBuf>,
    /// Below what people are searched.
    pub base: String,
    /// The attribute that people type as their name.
    pub name_attribute: String,
    /// What else must hold of a person's entry (RFC 4515).
    pub filter: String,
    /// Below what groups are searched whose `member` or `memberUid` is the person; nothing where `memberOf` says it all.
    pub group_base: Option<String>,
}

/// What members of a group may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name, or its whole LDAP name.
    pub name: String,
    /// Their role.
    pub role: &'static str,
    /// Code of the region they are bound to; nothing for everything.
    pub region: Option<String>,
}

/// The section as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TypedSignIn {
    openid: Option<TypedOpenId>,
    ldap: Option<TypedLdap>,
    groups: Vec<TypedGroup>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedOpenId {
    issuer: String,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    public_url: String,
    scopes: Option<Vec<String>>,
    groups_claim: Option<String>,
    label: Option<String>,
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedLdap {
    url: String,
    #[serde(default)]
    starttls: bool,
    ca: Option<PathBuf>,
    #[serde(default)]
    bind_dn: String,
    password_file: Option<PathBuf>,
    base: String,
    name_attribute: Option<String>,
    filter: Option<String>,
    group_base: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedGroup {
    group: String,
    role: RoleName,
    region: Option<String>,
}

impl TypedSignIn {
    pub(super) fn mean(self, wrong: &mut Vec<Wrong>) -> SignIn {
        let has_directory = self.openid.is_some() || self.ldap.is_some();
        if has_directory && self.groups.is_empty() {
            wrong.push(Wrong::at(&["sign_in"], "a directory lets nobody in without `groups`: which of its groups have which role"));
        }
        let group = |typed: TypedGroup| Group { name: typed.group, role: typed.role.as_str(), region: typed.region };
        SignIn {
            openid: self.openid.map(|typed| typed.mean(wrong)),
            ldap: self.ldap.map(|typed| typed.mean(wrong)),
            groups: self.groups.into_iter().map(group).collect(),
        }
    }
}

impl TypedOpenId {
    fn mean(self, wrong: &mut Vec<Wrong>) -> OpenId {
        if !is_private(&self.issuer) {
            wrong.push(Wrong::at(&["sign_in", "openid", "issuer"], "an https address without a password: who reads along lets himself in"));
        }
        let own = self.public_url.trim_end_matches('/');
        if !is_private(own) || own.splitn(4, '/').nth(3).is_some() {
            wrong.push(Wrong::at(&["sign_in", "openid", "public_url"], "the https address people open, such as https://rusta.example"));
        }
        OpenId {
            callback: format!("{own}/login/openid/back"),
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret_file: self.client_secret_file,
            scopes: self.scopes.unwrap_or_else(|| vec!["profile".to_owned()]),
            groups_claim: self.groups_claim.unwrap_or_else(|| "groups".to_owned()),
            label: self.label,
            ca: self.ca,
        }
    }
}

impl TypedLdap {
    fn mean(self, wrong: &mut Vec<Wrong>) -> Ldap {
        let encrypted = self.url.starts_with("ldaps://") || self.starttls && self.url.starts_with("ldap://");
        if !encrypted || self.url.contains('@') {
            wrong.push(Wrong::at(
                &["sign_in", "ldap", "url"],
                "`ldaps://HOST`, or `ldap://HOST` with `starttls: true`: passwords go over TLS only",
            ));
        }
        let name_attribute = self.name_attribute.unwrap_or_else(|| "uid".to_owned());
        if name_attribute.is_empty() || !name_attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            wrong.push(Wrong::at(&["sign_in", "ldap", "name_attribute"], "an attribute's name, such as uid or sAMAccountName"));
        }
        let filter = self.filter.unwrap_or_default();
        if !(filter.is_empty() || filter.starts_with('(') && filter.ends_with(')')) {
            wrong.push(Wrong::at(&["sign_in", "ldap", "filter"], "a filter in brackets, such as (objectClass=person)"));
        }
        if self.bind_dn.is_empty() != self.password_file.is_none() {
            wrong.push(Wrong::at(&["sign_in", "ldap"], "`bind_dn` and `password_file` go together"));
        }
        Ldap {
            url: self.url,
            starttls: self.starttls,
            ca: self.ca,
            bind_dn: self.bind_dn,
            password_file: self.password_file,
            base: self.base,
            name_attribute,
            filter,
            group_base: self.group_base,
        }
    }
}

/// Tells whether nobody reads along: https, or plain HTTP that does not leave this machine. A password in it would be in logs.
fn is_private(url: &str) -> bool {
    let host =
        |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().rsplit_once(':').map_or(rest, |(host, _)| host).to_owned();
    let is_here = |host: String| host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let way =
        url.strip_prefix("https://").map(|rest| !rest.is_empty()).or_else(|| url.strip_prefix("http://").map(|rest| is_here(host(rest))));
    way.unwrap_or(false) && !url.contains('@')
}
