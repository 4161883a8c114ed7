use std::time::Duration;

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    parse("c.yaml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_valid_and_an_empty_file_means_them() {
    assert_eq!(parse("c.yaml", "").unwrap(), Config::default());
    assert_eq!(parse("c.yaml", "# nothing yet\n").unwrap(), Config::default());
    assert_eq!(Config::default().thresholds, Thresholds::default());
}

#[test]
fn every_mistake_is_listed_with_its_place_and_the_nearest_key() {
    let text = "\
data_dir: /tmp/x
agents:
  lisen: 127.0.0.1:1
  patience: soon
http: { listen: \"127.0.0.1:8080\", anonymus: viewer, tls: { certificate: a, kee: b } }
thresholds:
  confirm_rounds: many
colour: red
";
    let found = mistakes(text);
    assert_eq!(found.len(), 6, "{found:#?}");
    assert_eq!(found[0], "c.yaml:3:3: unknown key `lisen`; did you mean `listen`?");
    assert!(found[1].starts_with("c.yaml:4:") && found[1].contains("is not a duration such as"), "{}", found[1]);
    assert!(found[2].starts_with("c.yaml:5:35: ") && found[2].ends_with("did you mean `anonymous`?"), "{}", found[2]);
}

#[test]
fn meaning_is_checked_with_a_place_too() {
    let found = mistakes("http:\n  listen: 0.0.0.0:80\n  anonymous: viewer\nlog: { group_commit: 1s, retention_days: 0 }\n");
    assert_eq!(
        found,
        [
            "c.yaml:2:3: http.listen: an address other than loopback needs `tls: { certificate, key }`",
            "c.yaml:3:3: http.anonymous: visitors without a login are allowed on a loopback address only",
            "c.yaml:4:8: log.group_commit: an acknowledgement may wait 20ms at most",
            "c.yaml:4:26: log.retention_days: raw frames must be kept for at least one day",
        ]
    );
}

#[test]
fn thresholds_are_read() {
    let config = parse("c.yaml", "thresholds: { confirm_time: 3s, slot: 10s, degraded_rtt: { lte: 250ms } }").unwrap();
    assert_eq!(config.thresholds.confirm_time, Duration::from_secs(3));
    assert_eq!(config.thresholds.degraded_rtt.lte, Duration::from_millis(250));
    assert_eq!(config.thresholds.degraded_rtt.vsat, Duration::from_millis(900));
}

#[test]
fn the_example_file_says_the_defaults() {
    let example = parse("collector.yaml", include_str!("../../../configs/collector.yaml")).unwrap();
    let mut defaults = Config::default();
    defaults.agents.names.clone_from(&example.agents.names);
    assert_eq!(example, defaults);
}

/// The default was `viewer`: a reverse proxy on the same machine, or a name of an attacker's that resolves to 127.0.0.1, showed
/// the whole province.
#[test]
fn nobody_looks_without_a_login_unless_it_is_said() {
    assert!(!Config::default().http.anonymous_viewer);
    assert!(!parse("c.yaml", "http: { listen: \"127.0.0.1:80\" }").unwrap().http.anonymous_viewer);
    assert!(parse("c.yaml", "http: { anonymous: viewer }").unwrap().http.anonymous_viewer);
}

#[test]
fn hosts_and_proxies_are_read_and_checked() {
    let config = parse("c.yaml", "http: { hosts: [Rusta.example, \"*.example\"], trusted_proxies: [10.1.2.3, \"fd00::/8\"] }").unwrap();
    assert_eq!(config.http.hosts, ["rusta.example", "*.example"]);
    assert!(config.http.trusted_proxies[1].holds("fd00::7".parse().unwrap()));
    let found = mistakes("http:\n  hosts: [\"https://rusta.example/\"]\n  trusted_proxies: [proxy.example]\n");
    assert!(found[0].starts_with("c.yaml:2:3: http.hosts: `https://rusta.example/` is no name"), "{found:?}");
    assert!(found[1].starts_with("c.yaml:3:3: http.trusted_proxies: `proxy.example` is no network"), "{found:?}");
}

#[test]
fn directories_are_read_and_passwords_go_over_tls_only() {
    let text = "\
sign_in:
  openid: { issuer: \"https://id.example/realms/x\", client_id: rusta, public_url: \"https://rusta.example/\" }
  ldap: { url: \"ldaps://dc.example\", base: \"dc=example\" }
  groups: [{ group: noc, role: operator, region: \"1503\" }]
";
    let sign_in = parse("c.yaml", text).unwrap().sign_in;
    let (openid, ldap) = (sign_in.openid.unwrap(), sign_in.ldap.unwrap());
    assert_eq!((openid.callback.as_str(), openid.groups_claim.as_str()), ("https://rusta.example/login/openid/back", "groups"));
    assert_eq!((ldap.name_attribute.as_str(), ldap.starttls), ("uid", false));
    assert_eq!(sign_in.groups, [Group { name: "noc".to_owned(), role: "operator", region: Some("1503".to_owned()) }]);
    let found = |changed: &str, into: &str| mistakes(&text.replace(changed, into)).join("\n");
    assert!(found("https://id", "http://id").contains("sign_in.openid.issuer: an https address"));
    assert!(parse("c.yaml", &text.replace("https://id.example", "http://127.0.0.1:9400")).is_ok(), "a provider on this machine");
    assert!(found("https://rusta.example/", "https://rusta.example/x").contains("sign_in.openid.public_url"));
    assert!(found("ldaps://", "ldap://").contains("passwords go over TLS only"));
    assert!(parse("c.yaml", &text.replace("ldaps://dc.example\"", "ldap://dc.example\", starttls: true")).is_ok());
    assert!(found("base:", "name_attribute: \"uid)(x\", base:").contains("sign_in.ldap.name_attribute"));
    assert!(found("base:", "bind_dn: \"cn=x\", base:").contains("`bind_dn` and `password_file` go together"));
    assert!(found("[{ group: noc, role: operator, region: \"1503\" }]", "[]").contains("lets nobody in without `groups`"));
    assert!(found("operator", "root").contains("unknown variant"));
}

#[test]
fn recipients_of_backups_are_public_keys() {
    let key = age::x25519::Identity::generate().to_public().to_string();
    assert_eq!(parse("c.yaml", &format!("backup: {{ recipients: [{key}] }}")).unwrap().backup_recipients, std::slice::from_ref(&key));
    let found = mistakes(&format!("backup:\n  recipients: [{key}x]\n"));
    assert!(found[0].starts_with("c.yaml:2:3: backup.recipients: `age1") && found[0].ends_with("prints: age1..."), "{found:?}");
}
