//! On how many nodes packages run. Refuses to know what nodes are told.

use super::{Fleet, write};
use crate::live::PackageChange;
use skep_artifact::name::{PackageName, Version};
use std::collections::BTreeMap;
use std::sync::PoisonError;

impl Fleet {
    pub(super) fn count_installs(&self, PackageChange { before, after }: &PackageChange) {
        let mut installs = write(&self.installs);
        for gone in before.difference(after) {
            let left = installs.get(gone).copied().unwrap_or(0).saturating_sub(1);
            installs.insert(gone.clone(), left);
        }
        for new in after.difference(before) {
            *installs.entry(new.clone()).or_default() += 1;
        }
    }

    /// Nodes that run a package by their last report.
    #[must_use]
    pub fn installs(&self, package: &PackageName) -> u64 {
        let installs = self.installs.read().unwrap_or_else(PoisonError::into_inner);
        installs.get(package).copied().unwrap_or(0)
    }

    /// Nodes that run each version of a package by their last report.
    #[must_use]
    pub fn installs_by_version(&self, package: &PackageName) -> BTreeMap<Version, u64> {
        let mut installs = BTreeMap::new();
        if self.installs(package) == 0 {
            return installs;
        }
        for version in self.roster().by_name.values().flat_map(|node| node.versions_of(package)) {
            *installs.entry(version).or_default() += 1;
        }
        installs
    }
}
