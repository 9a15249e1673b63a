//! What is to be run: a package that verifies, or an object that a person vouches for; its programs
//! and its settings. Refuses to know interfaces and chains.

use crate::bundle::Bundle;
use crate::exit::Ends;
use crate::local::settings;
use crate::trusting::Trust;
use anyhow::Context as _;
use skep_artifact::config::{ConfigValues, EncodedConfig, encode};
use skep_artifact::hook::{Hook, VerdictSet};
use skep_artifact::manifest::Migration;
use skep_artifact::object::ObjectFacts;
use skep_chain_dispatcher::Loadable;
use skep_trust::{LocallyTrusted, Refusal, VerifiedObject, VerifiedPackage};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a program stands in its chain when neither its author nor its user says so.
pub(crate) const PRIORITY_DEFAULT: u32 = 50;

/// Bytes and what vouches for them, not yet checked.
pub(crate) enum Content {
    /// A package, and the policy that judges it.
    Package { bundle: Box<Bundle>, trust: Trust },
    /// An object that the person at the keyboard named, and said to trust.
    Object { path: PathBuf, bytes: Vec<u8> },
}

/// Content that may be loaded: there is no way to get one past the checks.
pub(crate) enum Proven {
    Package { package: VerifiedPackage, object: VerifiedObject },
    Object { name: String, object: LocallyTrusted },
}

/// A program that could be run, and what its author says about its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    pub program: String,
    /// Where it may be attached; empty when its section does not tell.
    pub hooks: Vec<Hook>,
    pub priority: u32,
    /// As the author wrote it; the hook's default otherwise.
    pub proceed_on: Option<VerdictSet>,
}

impl Content {
    /// Checks signatures, digests and policy; for an object, that it is one.
    ///
    /// # Errors
    /// The check that refused.
    pub(crate) fn prove(&self, now: i64) -> anyhow::Result<Proven> {
        match self {
            Self::Package { bundle, trust } => {
                let package = bundle
                    .verify(&trust.policy, now)
                    .map_err(|refusal| refused(bundle, refusal))?;
                let arch = std::env::consts::ARCH;
                let object = package.object(arch).ok_or_else(|| {
                    let (name, version) = (package.name(), package.version());
                    Ends::not_found(format!("{name} {version} holds no object for {arch}, the architecture of this machine."))
                })?;
                Ok(Proven::Package { package, object })
            }
            Self::Object { path, bytes } => {
                let object =
                    LocallyTrusted::by_explicit_consent(bytes.clone()).with_context(|| {
                        format!("{} is not a BPF object that can be used.", path.display())
                    })?;
                let name = path.file_name().unwrap_or(path.as_os_str());
                Ok(Proven::Object { name: name.to_string_lossy().into_owned(), object })
            }
        }
    }
}

/// A refusal, with what helps whoever changed the package themselves.
fn refused(bundle: &Bundle, refusal: Refusal) -> anyhow::Error {
    let changed = matches!(refusal, Refusal::DigestNotSigned { .. } | Refusal::NotListed { .. });
    let context = if changed {
        let name = &bundle.wanted.name;
        format!(
            "Nothing was run: this {name} is not what was signed. If you changed it yourself, sign it again: `skep sign DIR --key FILE`."
        )
    } else {
        "Nothing was run.".to_owned()
    };
    anyhow::Error::new(refusal).context(context)
}

impl Proven {
    /// As people call it: `acme/ratelimit 1.4.2`, or the file's name.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Package { package, .. } => format!("{} {}", package.name(), package.version()),
            Self::Object { name, .. } => name.clone(),
        }
    }

    /// A name for its seat, unless another is given: the package's, or the program's.
    pub(crate) fn seat_name(&self, program: &str) -> String {
        match self {
            Self::Package { package, .. } => package.name().short().to_owned(),
            Self::Object { .. } => program.to_owned(),
        }
    }

    /// Who vouches for it, in words.
    pub(crate) fn vouched_by(&self) -> String {
        match self {
            Self::Package { package, .. } => {
                let keys: Vec<String> = package.signed_by().iter().map(|id| id.short()).collect();
                format!("signed by {}", keys.join(", "))
            }
            Self::Object { .. } => "trusted because you said so".to_owned(),
        }
    }

    fn facts(&self) -> &ObjectFacts {
        match self {
            Self::Package { object, .. } => object.facts(),
            Self::Object { object, .. } => object.facts(),
        }
    }

    /// The programs that could be run.
    pub(crate) fn offers(&self) -> Vec<Offered> {
        match self {
            Self::Package { package, .. } => package
                .manifest()
                .programs
                .iter()
                .map(|claim| Offered {
                    program: claim.name.clone(),
                    hooks: claim.hooks(),
                    priority: claim.priority,
                    proceed_on: Some(claim.proceed_on()),
                })
                .collect(),
            Self::Object { object, .. } => object
                .facts()
                .programs
                .iter()
                .map(|facts| Offered {
                    program: facts.name.clone(),
                    hooks: facts.kind.hooks().to_vec(),
                    priority: PRIORITY_DEFAULT,
                    proceed_on: None,
                })
                .collect(),
        }
    }

    /// Checks that it may run on a hook: the package offers it, and the policy allows it.
    ///
    /// # Errors
    /// The policy's refusal.
    pub(crate) fn permit(&self, hook: Hook) -> anyhow::Result<()> {
        match self {
            Self::Package { package, .. } => package.permit(hook).context("Nothing was run."),
            Self::Object { .. } => Ok(()),
        }
    }

    /// Settings as bytes, checked against what the package declares and the object has.
    ///
    /// # Errors
    /// Names the setting.
    pub(crate) fn encode(&self, values: &ConfigValues) -> anyhow::Result<EncodedConfig> {
        match self {
            Self::Package { package, object } => {
                let values = settings::as_written_for(package.manifest(), values);
                encode(package.manifest(), object.facts(), &values).map_err(|why| {
                    let title = self.title();
                    Ends::usage(format!("The settings do not fit {title}: {why}. Nothing was run."))
                        .into()
                })
            }
            Self::Object { .. } => settings::of_object(self.facts(), values),
        }
    }

    /// What the engine loads.
    /// How state of older versions becomes this one's; a bare object says nothing about it.
    pub(crate) fn migrations(&self) -> BTreeMap<String, Migration> {
        match self {
            Self::Package { package, .. } => package.manifest().migrate.clone(),
            Self::Object { .. } => BTreeMap::new(),
        }
    }

    pub(crate) fn loadable(&self) -> Loadable {
        match self {
            Self::Package { object, .. } => Loadable::Verified(object.clone()),
            Self::Object { object, .. } => Loadable::Local(object.clone()),
        }
    }
}

/// The one program and hook that were meant.
///
/// # Errors
/// Lists what there is when it is none or several.
pub(crate) fn choose(
    title: &str,
    offers: &[Offered],
    program: Option<&str>,
    hook: Option<Hook>,
) -> Result<(Offered, Hook), Ends> {
    let named: Vec<&Offered> =
        offers.iter().filter(|o| program.is_none_or(|name| o.program == name)).collect();
    if let (true, Some(name)) = (named.is_empty(), program) {
        let all: Vec<&str> = offers.iter().map(|o| o.program.as_str()).collect();
        return Err(Ends::not_found(format!(
            "{title} has no program {name}. It has: {}.",
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        )));
    }
    // A section of another name says nothing about the hook; a person who names both knows.
    if let ([only], Some(_), Some(hook)) = (named.as_slice(), program, hook)
        && only.hooks.is_empty()
    {
        return Ok(((*only).clone(), hook));
    }
    let fits = |o: &Offered| -> Option<Hook> {
        match hook {
            Some(hook) => o.hooks.contains(&hook).then_some(hook),
            None => o.hooks.first().copied(),
        }
    };
    let found: Vec<(&Offered, Hook)> = named.iter().filter_map(|o| Some((*o, fits(o)?))).collect();
    match found.as_slice() {
        [(offered, hook)] => Ok(((*offered).clone(), *hook)),
        several => {
            let what = match (several.len(), hook) {
                (0, Some(hook)) => format!("{title} has no program for {hook}."),
                (0, None) => format!(
                    "{title} has no program whose section names a hook. Say which with --program and --hook."
                ),
                _ => format!("{title} has several programs. Say which with --program."),
            };
            Err(Ends::usage(format!("{what} It has: {}.", listed(offers))))
        }
    }
}

fn listed(offers: &[Offered]) -> String {
    if offers.is_empty() {
        return "none".to_owned();
    }
    let one = |o: &Offered| {
        let hooks: Vec<&str> = o.hooks.iter().map(|hook| hook.as_str()).collect();
        let hooks = if hooks.is_empty() { "any hook".to_owned() } else { hooks.join(", ") };
        format!("{} ({hooks})", o.program)
    };
    offers.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(program: &str, hooks: &[Hook]) -> Offered {
        let hooks = hooks.to_vec();
        Offered { program: program.into(), hooks, priority: 50, proceed_on: None }
    }

    #[track_caller]
    fn check(words: (Option<&str>, Option<Hook>), expected: &str) {
        let offers = [
            offered("a", &[Hook::Xdp]),
            offered("b", &[Hook::TcIngress, Hook::TcEgress]),
            offered("c", &[]),
        ];
        let said = match choose("x", &offers, words.0, words.1) {
            Ok((offered, hook)) => format!("{} on {hook}", offered.program),
            Err(error) => error.to_string(),
        };
        assert!(said.starts_with(expected), "{said}");
    }

    #[test]
    fn the_program_is_the_only_one_that_fits_or_the_one_that_was_named() {
        check((None, Some(Hook::Xdp)), "a on xdp");
        check((Some("b"), None), "b on tc-ingress");
        check((None, Some(Hook::TcEgress)), "b on tc-egress");
        check((Some("c"), Some(Hook::Xdp)), "c on xdp");
        check((None, None), "x has several programs. Say which with --program. It has: a (xdp), b");
        check((Some("a"), Some(Hook::TcIngress)), "x has no program for tc-ingress");
        check((Some("c"), None), "x has no program whose section names a hook");
        check((Some("z"), None), "x has no program z. It has: a, b, c.");
    }
}
