//! Issuers outside of the registry that are believed: about people who log in, and about the jobs
//! of a CI that publish. Refuses to know HTTP routes and SQL.

pub mod exchange;
pub mod http;
pub mod issuer;
pub mod issuers;
pub mod job;
pub mod login;
pub mod provider;

use issuer::Issuer;

/// Every believed issuer, in the order of the file.
#[derive(Default)]
pub struct Issuers(Vec<Issuer>);

impl Issuers {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.0.iter()
    }

    /// The one of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Issuer> {
        self.0.iter().find(|issuer| issuer.settings.name == name)
    }
}
