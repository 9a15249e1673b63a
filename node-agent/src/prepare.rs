//! From a wanted chain to one that may be loaded: every package verified against this node's own
//! policy, every setting encoded. Verifies again each time it is asked; keeps no bytes. Refuses to
//! know what runs and what happens next.

use crate::cache::Cache;
use crate::evidence::Kept;
use crate::facts;
use crate::ledger::Ledger;
use crate::reconcile::Obstacle;
use skep_api::v1::nodes::Refused;
use skep_artifact::config::{EncodedConfig, encode};
use skep_artifact::digest::Digest;
use skep_artifact::hook::Hook;
use skep_artifact::manifest::Migration;
use skep_artifact::name::Namespace;
use skep_chain_dispatcher::{
    BackendChoice, Chain, Foreign, Gap, HookPoint, Loadable, LostState, Member, XdpModeChoice,
    config_digest,
};
use skep_fleet::plan::{NeededPackage, WantedChain};
use skep_fleet::{AttachMode, Backend, DesiredChain, DesiredMember, ObservedMember};
use skep_trust::{
    Beside, Floors, LogMemory, NodePolicy, Refusal, VerifiedObject, VerifiedPackage, Wanted,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What fetching a package came to.
pub type FetchResult = Result<(), Refused>;

/// Everything a package is verified with.
pub struct Shelf<'a> {
    pub policy: &'a NodePolicy,
    pub cache: &'a Cache,
    pub ledger: &'a Ledger,
    /// Role files the server handed out since, in the cache, not yet verified.
    pub offered_roles: &'a BTreeMap<Namespace, Digest>,
    /// What came beside packages since, by their index, not yet verified with them.
    pub offered_evidence: &'a BTreeMap<Digest, Kept>,
    /// What this node saw of the transparency log.
    pub memory: LogMemory,
    /// What the last attempts to fetch came to.
    pub fetched: &'a BTreeMap<NeededPackage, FetchResult>,
    pub now: i64,
}

/// What was learned while packages were verified.
#[derive(Default)]
pub struct Learned {
    /// Packages that are not there or do not verify: to be fetched (again).
    pub missing: BTreeSet<NeededPackage>,
    /// Every blob that was read: what must stay in the cache.
    pub read: BTreeSet<Digest>,
    /// Role files with which packages verified.
    pub roles: BTreeMap<Namespace, Digest>,
    /// What came beside packages with which they verified, by their index.
    pub evidence: BTreeMap<Digest, Kept>,
    /// Floors after these packages.
    pub floors: Floors,
    /// Packages that verified, by index.
    pub verified: BTreeSet<Digest>,
    packages: BTreeMap<NeededPackage, Result<VerifiedPackage, Obstacle>>,
}

/// A chain that may be loaded, and how it will look once it runs.
pub struct Ready {
    pub wanted: WantedChain,
    pub chain: Chain,
}

impl Learned {
    /// Nothing learned yet.
    #[must_use]
    pub fn from_floors(floors: Floors) -> Self {
        Self { floors, ..Self::default() }
    }
}

impl Shelf<'_> {
    /// Verifies every package of a chain and encodes its settings.
    ///
    /// # Errors
    /// The first [`Obstacle`], naming the member.
    pub fn chain(
        &self,
        desired: &DesiredChain,
        generation: u64,
        learned: &mut Learned,
    ) -> Result<Ready, Obstacle> {
        let mut seen = Vec::new();
        let mut members = Vec::new();
        let mut obstacle = None;
        // Every member is looked at, so that all missing packages are fetched together.
        for wanted in &desired.members {
            match self.member(wanted, desired.hook, learned) {
                Ok((observed, member)) => {
                    seen.push(observed);
                    members.push(member);
                }
                Err(found) => obstacle = Some(worse(obstacle, found)),
            }
        }
        if let Some(obstacle) = obstacle {
            return Err(obstacle);
        }
        let (interface, hook) = (desired.interface.clone(), desired.hook);
        let at = HookPoint { interface: interface.clone(), hook };
        let how = desired.how();
        let chain = Chain {
            backend: backend(how.backend),
            xdp_mode: match how.mode {
                AttachMode::Auto => XdpModeChoice::Auto,
                AttachMode::Native => XdpModeChoice::Native,
                AttachMode::Generic => XdpModeChoice::Generic,
            },
            foreign: if how.takeover { Foreign::TakeOver } else { Foreign::Refuse },
            gap: if how.allow_gap { Gap::Allow } else { Gap::Refuse },
            lost_state: if how.lose_state { LostState::Allow } else { LostState::Refuse },
            ..Chain::new(at, generation, members)
        };
        Ok(Ready { wanted: WantedChain { interface, hook, members: seen, how }, chain })
    }

    fn member(
        &self,
        wanted: &DesiredMember,
        hook: Hook,
        learned: &mut Learned,
    ) -> Result<(ObservedMember, Member), Obstacle> {
        let package = self.package(wanted, learned)?;
        package.permit(hook).map_err(|refusal| Obstacle::Refused(said(&refusal)))?;
        let refuse = |code: &str, message: String| {
            let message = format!("{}/{}: {message}", wanted.policy, wanted.name);
            Obstacle::Refused(Refused { code: code.to_owned(), message })
        };
        let object = package.object(facts::arch()).ok_or_else(|| {
            let (name, version) = (package.name(), package.version());
            let arch = facts::arch();
            refuse(
                "package.no_object_for_arch",
                format!("{name} {version} holds no object for {arch}. Publish a version that does, or leave this node out of the policy."),
            )
        })?;
        let config = encode(package.manifest(), object.facts(), &wanted.config).map_err(|e| {
            refuse("package.config_refused", format!("{e}. Correct the policy and apply it again."))
        })?;
        let migrations = package.manifest().migrate.clone();
        Ok((observed(wanted, &config), loadable(wanted, object, config, migrations)))
    }

    /// Verifies a package, once for all chains that name it.
    fn package(
        &self,
        member: &DesiredMember,
        learned: &mut Learned,
    ) -> Result<VerifiedPackage, Obstacle> {
        let needed = NeededPackage {
            package: member.package.clone(),
            version: member.version.clone(),
            index: member.index,
        };
        if let Some(known) = learned.packages.get(&needed) {
            return known.clone();
        }
        let (name, version) = (needed.package.clone(), needed.version.clone());
        let wanted = Wanted { name, version, index: needed.index };
        // What is known to be bad is not even fetched.
        if let Err(refusal) = skep_trust::check_revoked(&wanted, &self.ledger.floors) {
            return Err(Obstacle::Refused(said(&refusal)));
        }
        let result = self.verify(&needed, learned);
        if result.is_err() {
            learned.missing.insert(needed.clone());
        }
        learned.packages.insert(needed, result.clone());
        result
    }

    fn verify(
        &self,
        needed: &NeededPackage,
        learned: &mut Learned,
    ) -> Result<VerifiedPackage, Obstacle> {
        let namespace = needed.package.namespace();
        let roles = [self.offered_roles.get(namespace), self.ledger.roles.get(namespace)];
        let mut refused = None;
        let offered = roles[0];
        for digest in roles.into_iter().flatten() {
            let Some(role) = self.cache.get(digest) else { continue };
            match self.verify_with(needed, &role, learned) {
                Ok(package) => {
                    learned.read.insert(*digest);
                    if offered == Some(digest) || !learned.roles.contains_key(namespace) {
                        learned.roles.insert(namespace.clone(), *digest);
                    }
                    learned.floors = learned.floors.raise(&package);
                    learned.verified.insert(needed.index);
                    return Ok(package);
                }
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        Err(match (self.fetched.get(needed), refused) {
            // Not fetched since it was asked for: whatever is wrong may be healed by what comes.
            (None, _) => Obstacle::Pending,
            (Some(Err(problem)), _) => Obstacle::Refused(problem.clone()),
            (Some(Ok(())), Some(refusal)) => Obstacle::Refused(said(&refusal)),
            (Some(Ok(())), None) => Obstacle::Pending,
        })
    }

    fn verify_with(
        &self,
        needed: &NeededPackage,
        role: &[u8],
        learned: &mut Learned,
    ) -> Result<VerifiedPackage, Refusal> {
        let read = RefCell::new(BTreeSet::new());
        let fetched = |digest: &Digest| {
            read.borrow_mut().insert(*digest);
            self.cache.get(digest)
        };
        let wanted = Wanted {
            name: needed.package.clone(),
            version: needed.version.clone(),
            index: needed.index,
        };
        // Expiry limits first acceptance only: what was accepted once may run again after a reboot.
        let now = self.ledger.accepted_at.get(&needed.index).copied().unwrap_or(self.now);
        let floors = &self.ledger.floors;
        let offered = self.offered_evidence.get(&needed.index).cloned();
        let before = self.ledger.evidence.get(&needed.index).cloned();
        let verify = |kept: &Kept| {
            let beside = self.beside(kept);
            skep_trust::verify_package(self.policy, role, &fetched, &wanted, floors, now, &beside)
        };
        // What was accepted with the package goes on to hold, whatever the registry offers instead now.
        let (kept, package) = match before.map(|kept| (verify(&kept), kept)) {
            Some((Ok(package), kept)) => (kept, package),
            Some((Err(refusal), _)) if offered.is_none() => return Err(refusal),
            _ => {
                let kept = offered.unwrap_or_default();
                let package = verify(&kept)?;
                (kept, package)
            }
        };
        learned.read.extend(kept.blobs());
        learned.read.extend(read.into_inner());
        learned.evidence.insert(needed.index, kept);
        Ok(package)
    }

    fn beside(&self, kept: &Kept) -> Beside {
        Beside {
            log: kept.proof(self.cache),
            memory: self.memory.clone(),
            attestations: kept.envelopes(self.cache),
            kernel: facts::kernel(),
        }
    }
}

/// A policy's word for a backend, as the engine knows it.
fn backend(wish: Backend) -> BackendChoice {
    match wish {
        Backend::Auto => BackendChoice::Auto,
        Backend::Libxdp => BackendChoice::Libxdp,
        Backend::Slots => BackendChoice::Slots,
        Backend::Fused => BackendChoice::Fused,
        Backend::Tcx => BackendChoice::Tcx,
        Backend::TcxFused => BackendChoice::TcxFused,
        Backend::Tc => BackendChoice::Tc,
        Backend::TcFused => BackendChoice::TcFused,
    }
}

/// A refusal says more than a wait.
fn worse(before: Option<Obstacle>, found: Obstacle) -> Obstacle {
    match before {
        Some(Obstacle::Refused(refused)) => Obstacle::Refused(refused),
        _ => found,
    }
}

/// A refusal of a package names it.
fn said(refusal: &Refusal) -> Refused {
    Refused { code: refusal.code().to_owned(), message: refusal.to_string() }
}

fn observed(wanted: &DesiredMember, config: &EncodedConfig) -> ObservedMember {
    ObservedMember {
        policy: wanted.policy.clone(),
        name: wanted.name.clone(),
        package: wanted.package.clone(),
        version: wanted.version.clone(),
        index: wanted.index,
        program: wanted.program.clone(),
        priority: wanted.priority,
        proceed_on: wanted.proceed_on,
        mode: wanted.mode,
        failure: wanted.failure,
        config: config_digest(config),
    }
}

fn loadable(
    wanted: &DesiredMember,
    object: VerifiedObject,
    config: EncodedConfig,
    migrations: BTreeMap<String, Migration>,
) -> Member {
    Member {
        policy: wanted.policy.to_string(),
        name: wanted.name.to_string(),
        program: wanted.program.clone(),
        object: Loadable::Verified(object),
        priority: wanted.priority,
        proceed_on: wanted.proceed_on,
        mode: wanted.mode,
        failure: wanted.failure,
        config,
        migrations,
    }
}
