//! Who may import whom: the table of the architecture, checked against what the Cargo.toml files say,
//! dev-dependencies and build-dependencies included. Pure but for reading cargo's own description.

use cargo_metadata::Metadata;

/// A direct dependency of one of our crates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    /// Only there when a feature asks for it.
    pub(super) optional: bool,
}

/// Our crates and what each may import of ours. A new line here is a change of the architecture.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("skep-artifact", &[]),
    ("skep-trust", &["skep-artifact"]),
    ("skep-fleet", &["skep-artifact"]),
    ("skep-api", &["skep-artifact", "skep-fleet"]),
    ("skep-chain-dispatcher", &["skep-artifact", "skep-trust"]),
    (
        "skep-node-agent",
        &["skep-artifact", "skep-trust", "skep-fleet", "skep-api", "skep-chain-dispatcher"],
    ),
    ("skep-registry-server", &["skep-artifact", "skep-trust", "skep-fleet", "skep-api"]),
    ("skep-cli", &["skep-artifact", "skep-trust", "skep-fleet", "skep-api"]),
    ("skep-frontend", &["skep-artifact", "skep-fleet", "skep-api"]),
    ("skep-e2e", &["skep-api"]),
    ("skep-fuzz", &["skep-artifact", "skep-trust", "skep-fleet", "skep-chain-dispatcher"]),
    ("skep-xtask", &[]),
];

/// Imports that are allowed only behind a feature.
const MAY_IMPORT_BEHIND_A_FEATURE: &[(&str, &str)] = &[("skep-cli", "skep-chain-dispatcher")];

/// Heavy crates and who owns them. `deny.toml` says the same about the whole tree.
const OWNERS: &[(&str, &[&str])] = &[
    ("aya", &["skep-chain-dispatcher"]),
    ("aya-obj", &["skep-chain-dispatcher"]),
    ("sqlx", &["skep-registry-server"]),
    ("axum", &["skep-registry-server"]),
    ("leptos", &["skep-frontend"]),
    ("thirtyfour", &["skep-e2e"]),
];

/// What no PURE crate may depend on: a runtime, a database, a source of chance.
const BANNED_IN_PURE: &[&str] =
    &["tokio", "sqlx", "axum", "aya", "leptos", "openssl", "getrandom", "rand", "rustix"];
/// The crates that do no I/O. `skep-api` has a client behind a feature, so only optional ones are allowed there.
const PURE: &[&str] = &["skep-artifact", "skep-trust", "skep-fleet", "skep-api"];

/// Every direct dependency of every crate of the workspace.
pub(super) fn edges(metadata: &Metadata) -> Vec<Edge> {
    let mut edges = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            edges.push(Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                optional: dependency.optional,
            });
        }
    }
    edges
}

pub(super) fn findings(edges: &[Edge]) -> Vec<String> {
    edges
        .iter()
        .filter_map(|edge| {
            refused(edge).map(|why| format!("{} depends on {}: {why}", edge.from, edge.to))
        })
        .collect()
}

fn refused(edge: &Edge) -> Option<&'static str> {
    let (from, to) = (edge.from.as_str(), edge.to.as_str());
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == from) else {
        return Some("the crate is not in the table of who may import whom; add it there first");
    };
    if to.starts_with("skep-") && !allowed.contains(&to) {
        if !MAY_IMPORT_BEHIND_A_FEATURE.contains(&(from, to)) {
            return Some("the table of who may import whom does not allow it");
        }
        if !edge.optional {
            return Some("it is allowed only behind a feature");
        }
    }
    if let Some((_, owners)) = OWNERS.iter().find(|(name, _)| *name == to)
        && !owners.contains(&from)
    {
        return Some("that crate has another owner");
    }
    if PURE.contains(&from) && BANNED_IN_PURE.contains(&to) && !edge.optional {
        return Some("the crate is PURE");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, optional: bool, expected: bool) {
        let edge = Edge { from: from.to_owned(), to: to.to_owned(), optional };
        assert_eq!(findings(std::slice::from_ref(&edge)).is_empty(), expected, "{edge:?}");
    }

    #[test]
    fn allows_what_the_table_allows_and_refuses_the_rest() {
        check("skep-trust", "skep-artifact", false, true);
        check("skep-trust", "skep-fleet", false, false);
        check("skep-registry-server", "skep-chain-dispatcher", false, false);
        check("skep-e2e", "skep-node-agent", false, false);
        check("skep-newcomer", "serde", false, false);
    }

    #[test]
    fn the_command_line_may_import_the_dispatcher_only_behind_a_feature() {
        check("skep-cli", "skep-chain-dispatcher", true, true);
        check("skep-cli", "skep-chain-dispatcher", false, false);
    }

    #[test]
    fn heavy_crates_stay_with_their_owner_and_runtimes_out_of_pure_crates() {
        check("skep-chain-dispatcher", "aya", false, true);
        check("skep-node-agent", "aya", false, false);
        check("skep-fleet", "tokio", false, false);
        check("skep-node-agent", "tokio", false, true);
    }
}
