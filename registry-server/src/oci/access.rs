//! The short-lived tokens that OCI clients get for a password, and the scopes they ask for. A token says who
//! its bearer is and what it was asked for; whether that person may do it is asked again when it is used.
//! Refuses to know passwords and the database.

use super::name::Repository;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// How long a token is good for, in seconds: a push of many layers takes minutes, and clients get a new one
/// when it is over.
pub const VALID_SECS: i64 = 300;
/// Scopes in one request: a client that mounts from several repositories names each.
pub const SCOPES_MAX: usize = 32;
const ISSUER: &str = "skep-registry";

/// What may be done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Pull,
    Push,
    Delete,
}

/// What a client asks a token for, or a token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    #[serde(rename = "type")]
    kind: String,
    pub name: String,
    pub actions: Vec<Action>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// The server this was issued for, as the client calls it.
    aud: String,
    /// The API token of the bearer; `None` is anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    pub iat: i64,
    exp: i64,
    pub access: Vec<Access>,
}

/// The key that signs and checks tokens; the same on every replica.
pub struct AccessKey {
    signing: EncodingKey,
    checking: DecodingKey,
}

/// Why a token is no good. The caller learns no difference.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("the token was not signed by this registry, or says nothing we understand")]
    Forged { source: jsonwebtoken::errors::Error },
    #[error("the token was good until {until}")]
    Expired { until: i64 },
    #[error("no token can be signed")]
    Sign { source: jsonwebtoken::errors::Error },
}

impl Access {
    /// Reads `repository:acme/pass:pull,push`. What this registry does not know is left out, as the clients
    /// expect: they look at what they got.
    #[must_use]
    pub fn parse(scope: &str) -> Option<Self> {
        let (kind, rest) = scope.split_once(':')?;
        let (name, wanted) = rest.rsplit_once(':')?;
        let known = name.parse::<Repository>().is_ok();
        if !known || !(kind == "repository" || kind.starts_with("repository(")) {
            return None;
        }
        let action = |text: &str| match text {
            "pull" => vec![Action::Pull],
            "push" => vec![Action::Push],
            "delete" => vec![Action::Delete],
            "*" => vec![Action::Pull, Action::Push, Action::Delete],
            _ => Vec::new(),
        };
        let mut actions: Vec<Action> = wanted.split(',').flat_map(action).collect();
        actions.sort();
        actions.dedup();
        Some(Self { kind: "repository".to_owned(), name: name.to_owned(), actions })
    }

    /// The scope of one action, as a challenge names it.
    #[must_use]
    pub fn scope(repository: &Repository, action: Action) -> String {
        let actions = match action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
            Action::Delete => "delete",
        };
        format!("repository:{repository}:{actions}")
    }
}

impl Claims {
    /// Whether the token was issued for this.
    #[must_use]
    pub fn covers(&self, repository: &Repository, action: Action) -> bool {
        let fits = |access: &Access| {
            access.name == repository.as_str() && access.actions.contains(&action)
        };
        self.access.iter().any(fits)
    }
}

impl AccessKey {
    /// From the secret that the database keeps.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let (signing, checking) =
            (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
        Self { signing, checking }
    }

    /// Signs a token for the bearer of an API token, or for anybody.
    ///
    /// # Errors
    /// [`AccessError::Sign`].
    pub fn issue(
        &self,
        service: &str,
        sub: Option<String>,
        access: Vec<Access>,
        now: i64,
    ) -> Result<String, AccessError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: service.to_owned(),
            sub,
            iat: now,
            exp: now + VALID_SECS,
            access,
        };
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(|source| AccessError::Sign { source })
    }

    /// Reads a token that this registry signed and that is still good.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn read(&self, token: &str, now: i64) -> Result<Claims, AccessError> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        // One registry may have several names; which one a client used says nothing about its rights.
        rules.validate_aud = false;
        // Compared with our own clock below, so that a test can say what time it is.
        rules.validate_exp = false;
        let read = jsonwebtoken::decode::<Claims>(token, &self.checking, &rules)
            .map_err(|source| AccessError::Forged { source })?;
        let claims = read.claims;
        if claims.exp <= now {
            return Err(AccessError::Expired { until: claims.exp });
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(name: &str, actions: &[Action]) -> Access {
        Access { kind: "repository".into(), name: name.into(), actions: actions.to_vec() }
    }

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        use Action::{Delete, Pull, Push};
        for (text, expected) in [
            ("repository:acme/a:pull", Some(access("acme/a", &[Pull]))),
            ("repository:acme/a/b:push,pull", Some(access("acme/a/b", &[Pull, Push]))),
            ("repository(plugin):acme/a:pull", Some(access("acme/a", &[Pull]))),
            ("repository:acme/a:*", Some(access("acme/a", &[Pull, Push, Delete]))),
            ("repository:acme/a:fly", Some(access("acme/a", &[]))),
            ("registry:catalog:*", None),
            ("repository:acme/A:pull", None),
            ("repository:host:5000/a:pull", None),
            ("repository:acme", None),
            ("", None),
        ] {
            assert_eq!(Access::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_time_and_its_repositories_only() {
        let key = AccessKey::new(&[1; 32]);
        let granted = vec![access("acme/a", &[Action::Pull, Action::Push])];
        let token = key.issue("host", Some("id".into()), granted, 1000).unwrap();
        let claims = key.read(&token, 1000 + VALID_SECS - 1).unwrap();
        assert_eq!(claims.sub.as_deref(), Some("id"));
        let (a, b): (Repository, Repository) =
            ("acme/a".parse().unwrap(), "acme/b".parse().unwrap());
        assert!(claims.covers(&a, Action::Push) && !claims.covers(&a, Action::Delete));
        assert!(!claims.covers(&b, Action::Push));
        let late = key.read(&token, 1000 + VALID_SECS);
        assert!(matches!(late, Err(AccessError::Expired { until: 1300 })));
        let other = AccessKey::new(&[2; 32]).read(&token, 1000);
        assert!(matches!(other, Err(AccessError::Forged { .. })));
    }

    #[test]
    fn tokens_without_a_signature_or_with_another_algorithm_are_refused() {
        use base64::Engine as _;
        let key = AccessKey::new(&[1; 32]);
        let base64 = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let claims =
            r#"{"iss":"skep-registry","aud":"h","sub":"id","iat":0,"exp":99999,"access":[]}"#;
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"RS256"}"#] {
            let token = format!("{}.{}.", base64(header), base64(claims));
            assert!(key.read(&token, 1).is_err(), "{header}");
        }
        for text in ["", "a.b.c", "skep_0000", &"x".repeat(100_000)] {
            assert!(key.read(text, 1).is_err());
        }
    }
}
