//! The network interfaces of the namespace this process runs in, by name and number, and which name
//! was meant. Refuses to know what they are for.

use crate::exit::Ends;
use anyhow::Context as _;
use std::os::unix::fs::MetadataExt as _;

/// How much alike two names must be for one to be suggested: `eht0` and `eth0` are 0.92.
const LIKENESS_MIN: f64 = 0.75;
/// Names that are listed when none is alike; a host with many is better asked with `ip link`.
const LISTED_MAX: usize = 8;

/// An interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub name: String,
    /// The kernel's number, which stays when it is renamed.
    pub index: u32,
}

/// All of them. The kernel is asked, not `/sys`, which may show another namespace.
///
/// # Errors
/// When the kernel does not answer.
pub(crate) fn all() -> anyhow::Result<Vec<Interface>> {
    let found = nix::net::if_::if_nameindex().context("The kernel did not list the interfaces.")?;
    let interface = |i: &nix::net::if_::Interface| Interface {
        name: i.name().to_string_lossy().into_owned(),
        index: i.index(),
    };
    Ok(found.iter().map(interface).collect())
}

/// The interface of that name.
///
/// # Errors
/// Says which one may have been meant.
pub(crate) fn named(name: &str) -> anyhow::Result<Interface> {
    let all = all()?;
    match all.iter().find(|interface| interface.name == name) {
        Some(found) => Ok(found.clone()),
        None => {
            let names: Vec<&str> = all.iter().map(|i| i.name.as_str()).collect();
            Err(Ends::not_found(no_such(name, &names)).into())
        }
    }
}

/// The number of the network namespace this process is in.
///
/// # Errors
/// When `/proc` is not mounted.
pub(crate) fn netns() -> anyhow::Result<u64> {
    let metadata = std::fs::metadata("/proc/thread-self/ns/net")
        .context("This network namespace has no number: is /proc mounted?")?;
    Ok(metadata.ino())
}

fn no_such(name: &str, names: &[&str]) -> String {
    let here = "in this network namespace";
    let alike = names
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match alike {
        Some((_, meant)) => {
            format!("There is no interface {name} {here}. Did you mean {meant}?")
        }
        None if names.len() <= LISTED_MAX => {
            format!("There is no interface {name} {here}. There are: {}.", names.join(", "))
        }
        None => {
            format!("There is no interface {name} {here}. `ip -br link` lists those that are.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::no_such;

    #[test]
    fn a_slip_of_the_finger_is_answered_with_the_name_that_was_meant() {
        let names = ["lo", "eth0", "wlan0"];
        assert!(no_such("eht0", &names).ends_with("Did you mean eth0?"));
        assert!(no_such("eth1", &names).ends_with("Did you mean eth0?"));
        assert!(no_such("bridge", &names).ends_with("There are: lo, eth0, wlan0."));
        assert!(no_such("bridge", &[""; 9]).ends_with("`ip -br link` lists those that are."));
    }

    #[test]
    fn loopback_is_everywhere() {
        assert_eq!(super::named("lo").unwrap().name, "lo");
        assert!(super::netns().unwrap() > 0);
    }
}
