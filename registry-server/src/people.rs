//! What the server knows about people besides the database: how passwords are hashed, who may sign
//! up, which issuers are believed, how often one may ask. Refuses to know HTTP and SQL.

pub mod limits;
pub mod names;
pub mod password;
pub mod refusal;

use crate::config::people::PeopleSettings;
use crate::oidc::Issuers;
use crate::oidc::issuers::IssuersError;
use limits::Limits;
use password::Passwords;
use tokio::sync::Notify;

/// Everything about people that lives as long as the server.
#[derive(Default)]
pub struct People {
    pub settings: PeopleSettings,
    pub passwords: Passwords,
    pub limits: Limits,
    pub issuers: Issuers,
    /// Told when something was queued for webhooks.
    pub deliveries: Notify,
}

impl People {
    /// Prepares what the settings ask for.
    ///
    /// # Errors
    /// [`IssuersError`] when the file of issuers cannot be used.
    pub fn new(settings: PeopleSettings) -> Result<Self, IssuersError> {
        let issuers = match &settings.oidc {
            Some(path) => Issuers::read(path)?,
            None => Issuers::default(),
        };
        Ok(Self { settings, issuers, ..Self::default() })
    }
}
