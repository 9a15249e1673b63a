//! The settings about people: who may sign up, which issuers are believed, which proxies speak for
//! others. Refuses to know what follows from them.

use super::Fault;
use std::net::IpAddr;
use std::path::PathBuf;

/// Who may make an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignUps {
    /// Anybody.
    Open,
    /// Who holds an invite by an admin.
    #[default]
    Invited,
    /// Nobody.
    Closed,
}

/// Whether webhooks may call addresses that are not public.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PrivateTargets {
    #[default]
    Refused,
    Allowed,
}

/// What `serve` needs to know about people.
///
/// | variable | default | meaning |
/// | --- | --- | --- |
/// | `SKEP_REGISTRY_SIGN_UP` | `invited` | who may make an account: `open`, `invited` or `closed` |
/// | `SKEP_REGISTRY_URL` | the listening address | how people's browsers reach the server |
/// | `SKEP_REGISTRY_OIDC` | none | TOML file of issuers, for logins and trusted publishing |
/// | `SKEP_REGISTRY_PROXIES` | none | addresses whose `X-Forwarded-For` is believed, by commas |
/// | `SKEP_REGISTRY_WEBHOOKS` | `public` | `private` lets webhooks call private addresses, too |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleSettings {
    pub sign_ups: SignUps,
    /// Without a slash at its end.
    pub url: Option<String>,
    pub oidc: Option<PathBuf>,
    pub proxies: Vec<IpAddr>,
    pub webhooks: PrivateTargets,
}

impl PeopleSettings {
    /// Reads the variables; faults go to the others.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>, faults: &mut Vec<Fault>) -> Self {
        let given = |name: &str| lookup(name).map(|text| text.trim().to_owned());
        let choice = |name: &'static str, words: &'static str| {
            move |text: &str| Fault::Choice { setting: name, text: text.to_owned(), words }
        };
        let sign_ups = choice("SKEP_REGISTRY_SIGN_UP", "open, invited or closed");
        let sign_ups = match given("SKEP_REGISTRY_SIGN_UP").as_deref() {
            None | Some("invited") => SignUps::Invited,
            Some("open") => SignUps::Open,
            Some("closed") => SignUps::Closed,
            Some(other) => {
                faults.push(sign_ups(other));
                SignUps::Closed
            }
        };
        let webhooks = choice("SKEP_REGISTRY_WEBHOOKS", "public or private");
        let webhooks = match given("SKEP_REGISTRY_WEBHOOKS").as_deref() {
            None | Some("public") => PrivateTargets::Refused,
            Some("private") => PrivateTargets::Allowed,
            Some(other) => {
                faults.push(webhooks(other));
                PrivateTargets::Refused
            }
        };
        let mut proxies = Vec::new();
        let listed = given("SKEP_REGISTRY_PROXIES").unwrap_or_default();
        for text in listed.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match text.parse() {
                Ok(address) => proxies.push(address),
                Err(_) => faults.push(Fault::Proxy { text: text.to_owned() }),
            }
        }
        let url = given("SKEP_REGISTRY_URL").map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = url.as_ref().filter(|url| !is_origin(url)) {
            faults.push(Fault::Url { text: url.clone() });
        }
        let oidc = given("SKEP_REGISTRY_OIDC").filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { sign_ups, url, oidc, proxies, webhooks }
    }
}

/// Scheme and host, and nothing behind them.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']) && rest.is_ascii()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (PeopleSettings, Vec<Fault>) {
        let mut faults = Vec::new();
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        (PeopleSettings::read(&lookup, &mut faults), faults)
    }

    #[test]
    fn nothing_given_means_invited_people_and_public_webhooks() {
        let (settings, faults) = read(&[]);
        assert_eq!((settings, faults), (PeopleSettings::default(), Vec::new()));
    }

    #[test]
    fn what_is_misspelt_closes_and_is_named() {
        let (settings, faults) = read(&[
            ("SKEP_REGISTRY_SIGN_UP", "opened"),
            ("SKEP_REGISTRY_WEBHOOKS", "all"),
            ("SKEP_REGISTRY_PROXIES", "127.0.0.1, proxy"),
            ("SKEP_REGISTRY_URL", "https://registry.example/path"),
        ]);
        assert_eq!(settings.sign_ups, SignUps::Closed);
        assert_eq!(settings.webhooks, PrivateTargets::Refused);
        assert_eq!(settings.proxies, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(faults.len(), 4);
    }
}
