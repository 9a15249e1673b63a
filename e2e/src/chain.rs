//! Reading what `skep node chain --json` says of a chain. Refuses to ask; it only looks into an answer.

use anyhow::{Context, Result};
use serde_json::Value;

/// The names of the members, in the order packets meet them.
#[must_use]
pub fn names(chain: &Value) -> Vec<&str> {
    members(chain).filter_map(|member| member["name"].as_str()).collect()
}

/// The version of a member's package.
///
/// # Errors
/// When the chain has no such member.
pub fn version<'a>(chain: &'a Value, member: &str) -> Result<&'a str> {
    find(chain, member)?["version"].as_str().context("a member has a version")
}

/// Packets that met a member.
///
/// # Errors
/// When the chain has no such member.
pub fn packets(chain: &Value, member: &str) -> Result<u64> {
    find(chain, member)?
        .pointer("/counters/packets")
        .and_then(Value::as_u64)
        .context("a member counts packets")
}

/// Packets that a member should have met and could not, over the whole chain.
#[must_use]
pub fn missed(chain: &Value) -> u64 {
    members(chain)
        .filter_map(|member| member.pointer("/counters/missed").and_then(Value::as_u64))
        .sum()
}

/// How often a member gave a verdict.
///
/// # Errors
/// When the chain has no such member.
pub fn verdicts(chain: &Value, member: &str, verdict: &str) -> Result<u64> {
    let counts = find(chain, member)?.pointer("/counters/verdicts").and_then(Value::as_array);
    let counts = counts.context("a member counts verdicts")?;
    let count = counts.iter().find(|count| count["verdict"] == verdict);
    Ok(count.and_then(|count| count["packets"].as_u64()).unwrap_or(0))
}

fn members(chain: &Value) -> impl Iterator<Item = &Value> {
    chain["members"].as_array().into_iter().flatten()
}

fn find<'a>(chain: &'a Value, name: &str) -> Result<&'a Value> {
    members(chain)
        .find(|member| member["name"] == name)
        .with_context(|| format!("the chain has no member {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_counters_and_takes_a_verdict_never_given_for_none() {
        let chain = json!({"members": [
            {"name": "guard", "version": "1.4.2", "counters":
                {"packets": 7, "missed": 1, "verdicts": [{"verdict": "pass", "packets": 5}]}},
            {"name": "limiter", "version": "0.1.0", "counters": {"packets": 5, "missed": 2, "verdicts": []}},
        ]});
        assert_eq!(names(&chain), ["guard", "limiter"]);
        assert_eq!(version(&chain, "guard").unwrap(), "1.4.2");
        assert_eq!(packets(&chain, "guard").unwrap(), 7);
        assert_eq!(verdicts(&chain, "guard", "pass").unwrap(), 5);
        assert_eq!(verdicts(&chain, "guard", "drop").unwrap(), 0);
        assert_eq!(missed(&chain), 3);
        assert!(packets(&chain, "flows").is_err());
    }
}
