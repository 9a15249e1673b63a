//! Every English sentence the pages say, in one place. It refuses to know when each is said.

mod account;
mod fleet;
mod package;

pub use account::*;
pub use fleet::*;
pub use package::*;

pub const SITE: &str = "Skep";
pub const SKIP: &str = "Skip to the content";
pub const NAV_LABEL: &str = "Main";
pub const NAV_PACKAGES: &str = "Packages";
pub const NAV_NODES: &str = "Nodes";
pub const SIGN_OUT: &str = "Log out";
pub const FOOTER: &str = "Skep is the registry and fleet platform for eBPF: signed programs, chained on one hook, seen as they run.";

// Home and search.
pub const HOME_TITLE: &str = "Find a program for your packets";
pub const HOME_LEAD: &str = "Signed eBPF programs that share a hook. Search, read what a program may do, verify it here, put it into a chain.";
pub const SEARCH_LABEL: &str = "Search packages";
pub const SEARCH_PLACEHOLDER: &str = "rate limit, firewall, flow log";
pub const SEARCH_BUTTON: &str = "Search";
pub const HOOK_LABEL: &str = "Hook";
pub const HOOK_ANY: &str = "Any hook";
pub const NEW_HERE: &str = "New here";
pub const ALL_PACKAGES: &str = "All packages";
pub const NEXT_PAGE: &str = "Next page";
pub const FIRST_PAGE: &str = "First page";
pub const RESULTS: &str = "Results";
pub const PAGES_LABEL: &str = "Pages of results";
pub const EMPTY_REGISTRY_TITLE: &str = "This registry holds no packages yet";
pub const EMPTY_REGISTRY_TEXT: &str =
    "Build one from its folder, sign it with your key and publish it. It appears here at once.";
pub const EMPTY_REGISTRY_COMMAND: &str = "skep publish --key publisher.key";
pub const NOTHING_FOUND_TITLE: &str = "No package matches";
pub const NOTHING_FOUND_TEXT: &str =
    "Try fewer or other words, or any hook. The command line searches the same list.";

// Verification.
pub const VERIFY_TITLE: &str = "Verified in your browser";
pub const VERIFY_LEAD: &str = "Your browser fetched the signed role file and every blob and checked them itself. The keys come from this registry: a node trusts only the keys its own policy names.";
pub const VERIFY_AGAIN: &str = "Verify again";
pub const VERIFY_LARGE: &str = "Fetch and verify";
pub const VERIFIED_HERE: &str = "verified here just now";
pub const VERIFIED_NOT: &str = "verification failed here";
pub const VERIFYING: &str = "verifying";
pub const CHECK_SIGNATURES: &str = "Signatures of the role file";
pub const CHECK_NAMED: &str = "The signed role names this version";
pub const CHECK_DIGESTS: &str = "Every blob has its digest";
pub const CHECK_FACTS: &str = "The facts read here are the facts shown";
pub const CHECK_NAMED_PASSED: &str = "It names this version with the index digest shown here.";
pub const CHECK_WAITING: &str = "waiting";
pub const CHECK_RUNNING: &str = "checking";
pub const CHECK_PASSED: &str = "passed";
pub const CHECK_FAILED: &str = "failed";
pub const CHECK_NOT_LOADED: &str =
    "The program that verifies could not be loaded. Try again; nothing was verified.";
pub const BLOBS_TOO_LARGE: &str =
    "The package has more bytes than a package may have; the check was stopped.";

// Signing in.
pub const SIGN_IN_TITLE: &str = "With an API token";
pub const SIGN_IN_TEXT: &str =
    "Paste a token that may read the fleet. It stays in this tab and is gone when you close it.";
pub const NOT_PUBLIC: &str =
    "What runs on the nodes is not public. Log in, or use a token that may read the fleet.";
pub const SIGN_IN_LABEL: &str = "API token";
pub const SIGN_IN_BUTTON: &str = "Use token";
pub const SIGN_IN_HINT: &str = "An operator makes one with";
pub const SIGN_IN_COMMAND: &str = "skep token create --name me --scope read-fleet";
pub const TOKEN_EMPTY: &str = "Paste a token first.";
pub const TOKEN_SHAPE: &str =
    "That is not a token: it holds spaces or characters no token has. Copy the whole line again.";

// Nodes.
pub const NODES_TITLE: &str = "Nodes";
pub const NARROW_LABEL: &str = "Narrow by name, label, kernel or state";
pub const NO_NODES_TITLE: &str = "No node has enrolled yet";
pub const NO_NODES_TEXT: &str =
    "Make a node token, then run this on the host. The node appears here with its first report.";
pub const NO_NODES_COMMAND: &str = "skep-agent enrol --server URL --token TOKEN --name NODE --label role=edge --state /var/lib/skep";
pub const NO_NODE_MATCHES: &str = "No node matches. Clear the field to see all of them.";
pub const STATE_NEW: &str = "new";
pub const STATE_HEALTHY: &str = "healthy";
pub const STATE_CONVERGING: &str = "converging";
pub const STATE_REFUSED: &str = "refused";
pub const STATE_UNREACHABLE: &str = "unreachable";
pub const COL_NODE: &str = "Node";
pub const COL_STATE: &str = "State";
pub const COL_LABELS: &str = "Labels";
pub const COL_KERNEL: &str = "Kernel";
pub const COL_CHAINS: &str = "Chains";
pub const COL_GENERATION: &str = "Generation";
pub const COL_SYNCED: &str = "Last heard";
pub const NEVER: &str = "never";

// One node.
pub const CHAINS: &str = "Chains";
pub const NO_CHAINS_TITLE: &str = "No chain runs on this node";
pub const NO_CHAINS_TEXT: &str = "No policy selects it, or none of its interfaces matches. Write a policy whose labels fit, then apply it.";
pub const NO_CHAINS_COMMAND: &str = "skep apply -f policy.yaml --key operator.key";
pub const POLICIES: &str = "Policies that select this node";
pub const NO_POLICIES: &str = "No policy selects this node.";
pub const POLICIES_UNREADABLE: &str = "The policies could not be read with this token.";
pub const FACTS: &str = "Facts";
pub const FEATURES: &str = "Kernel features";
pub const NOTES: &str = "Notes";
pub const SYNCED: &str = "synced";
pub const LIVE: &str = "live";
pub const REFUSAL_TITLE: &str =
    "This node refused the newest generation; what ran before still runs";
pub const QUIET_SINCE: &str =
    "The node is connected and has reported no change since then; its counters stand still.";
pub const NODE_SILENT_SINCE: &str = "The registry has not heard from this node since then. What is shown ran at that moment; whether it still does is unknown.";
pub const PAGE_SILENT_SINCE: &str =
    "This page has not reached the registry since then. It keeps trying every few seconds.";
pub const NEVER_REPORTED: &str =
    "The node has enrolled and never reported. Start the agent on it with skep-agent run.";
pub const LABEL_HOST: &str = "Host name";
pub const LABEL_KERNEL_RELEASE: &str = "Kernel";
pub const LABEL_ARCH: &str = "Architecture";
pub const LABEL_AGENT: &str = "Agent";
pub const LABEL_INTERFACES: &str = "Interfaces";
pub const LABEL_LABELS: &str = "Labels";
pub const YES: &str = "yes";
pub const STACK: &str = "to the stack";
pub const OBSERVES: &str = "observe: counted only";
pub const NO_PACKETS: &str = "no packets now";
pub const PICTURE_RATES: &str = "Widths and numbers are packets per second over the last seconds.";
pub const PICTURE_TOTALS: &str =
    "Widths and numbers are packets since the chain went live; rates follow with the next report.";
pub const APPLIED: &str = "applied";
pub const COL_ORDER: &str = "Priority";
pub const COL_MEMBER: &str = "Member";
pub const COL_PACKAGE: &str = "Package";
pub const COL_MODE: &str = "Mode";
pub const COL_PROCEED: &str = "Next runs on";
pub const COL_RATE: &str = "Now";
pub const COL_PACKETS: &str = "Packets";
pub const COL_BYTES: &str = "Bytes";
pub const COL_VERDICTS: &str = "Verdicts";
pub const COL_MISSED: &str = "Missed";
pub const COL_TIME: &str = "Time a packet";
pub const COL_WANTED: &str = "Wanted by";
pub const COL_POLICY: &str = "Policy";
pub const COL_REVISION: &str = "Revision";
pub const COL_ATTACH: &str = "Attaches";
pub const COL_APPLIED_BY: &str = "Applied by";
pub const COL_WHEN: &str = "When";
pub const COL_DIGEST: &str = "Envelope";

// On every page.
pub const COPY: &str = "Copy";
pub const COPIED: &str = "Copied";
pub const COPY_REFUSED: &str = "Select and copy by hand";
pub const UNKNOWN: &str = "unknown";
pub const LOADING: &str = "Loading";
pub const TRY_AGAIN: &str = "Try again";
pub const UNREACHABLE_TITLE: &str = "The registry did not answer";
pub const UNREACHABLE_TEXT: &str = "The connection failed or broke. Check that the registry runs and that this machine can reach it, then try again.";
pub const UNREADABLE_TITLE: &str = "The answer cannot be read";
pub const UNREADABLE_TEXT: &str = "The registry answered with something this page does not understand. Page and registry may be of different versions; reload the page.";
pub const TOO_LARGE_TITLE: &str = "The answer is too large";
pub const REFUSED_TITLE: &str = "Refused";
pub const NOT_THERE_TITLE: &str = "There is nothing by that name";
pub const BAD_REQUEST_TITLE: &str = "The registry did not accept this request";
pub const SERVER_FAILED_TITLE: &str = "The registry failed to answer";
pub const NOT_FOUND_TITLE: &str = "This page does not exist";
pub const NOT_FOUND_TEXT: &str =
    "The address may be misspelt, or what it named was removed. Packages are found by searching.";
pub const NOT_FOUND_LINK: &str = "Search packages";

/// The title of the browser's tab.
#[must_use]
pub fn title(page: &str) -> String {
    if page.is_empty() { SITE.to_owned() } else { format!("{page} · {SITE}") }
}

#[must_use]
pub fn found_all(packages: &str) -> String {
    format!("{packages} in this registry.")
}

#[must_use]
pub fn found_for_hook(packages: &str, hook: &str) -> String {
    format!("{packages} for {hook}.")
}

#[must_use]
pub fn found_for_text(packages: &str, text: &str) -> String {
    format!("{packages} {} “{text}”.", matches_verb(packages))
}

#[must_use]
pub fn found_for_both(packages: &str, text: &str, hook: &str) -> String {
    format!("{packages} for {hook} {} “{text}”.", matches_verb(packages))
}

fn matches_verb(packages: &str) -> &'static str {
    if packages.starts_with("1 ") { "matches" } else { "match" }
}

#[must_use]
pub fn search_command(text: &str) -> String {
    format!("skep search '{}'", text.replace('\'', ""))
}

#[must_use]
pub fn check_signatures_passed(
    namespace: &str,
    version: u64,
    signers: &str,
    keys: usize,
    threshold: u32,
) -> String {
    format!(
        "Version {version} of the role file of {namespace} is signed by {signers}; {threshold} of {keys} keys are required."
    )
}

#[must_use]
pub fn check_digests_passed(blobs: &str, bytes: &str) -> String {
    format!("{blobs}, {bytes}, each hashed to the digest it was asked for by.")
}

#[must_use]
pub fn check_facts_passed(objects: &str) -> String {
    format!("{objects} unpacked and read here: same programs, maps and helpers.")
}

#[must_use]
pub fn too_large(limit: &str) -> String {
    format!("It has more than {limit}, the most this page reads.")
}

#[must_use]
pub fn code_and_request(code: &str, request: &str) -> String {
    format!("{code} · request {request}")
}

#[must_use]
pub fn kernel(release: &str) -> String {
    if release.is_empty() { String::new() } else { format!("Linux {release}") }
}

#[must_use]
pub fn generation(text: &str) -> String {
    format!("generation {text}")
}

#[must_use]
pub fn generations(wanted: u64, applied: u64) -> String {
    if wanted == applied { applied.to_string() } else { format!("{applied}, wanted {wanted}") }
}

#[must_use]
pub fn no_because(reason: &str) -> String {
    if reason.is_empty() { "no".to_owned() } else { format!("no: {reason}") }
}

#[must_use]
pub fn backend(name: &str) -> String {
    format!("backend {name}")
}

#[must_use]
pub fn dropped(share: &str, amount: &str) -> String {
    format!("drop {share} · {amount}")
}

#[must_use]
pub fn aside(early: f64, diverted: f64, amount: &str) -> String {
    match (early > 0.0, diverted > 0.0) {
        (true, true) => format!("leave {amount}"),
        (false, true) => format!("sent on {amount}"),
        _ => format!("accepted {amount}"),
    }
}

#[must_use]
pub fn time_a_packet(time: &str) -> String {
    format!("{time} a packet")
}

#[must_use]
pub fn missed(amount: &str) -> String {
    format!("missed {amount}")
}

#[must_use]
pub fn would_drop(share: &str) -> String {
    format!("observe: would drop {share}")
}

#[must_use]
pub fn passes(share: &str, amount: &str) -> String {
    format!("pass {share} · {amount}")
}

#[must_use]
pub fn label_observer(name: &str) -> String {
    format!("{name} observes")
}

#[must_use]
pub fn label_member(name: &str, passes: &str, drops: &str) -> String {
    format!("{name} passes {passes} and drops {drops}")
}

#[must_use]
pub fn label_chain(interface: &str, hook: &str, entering: &str, members: &str) -> String {
    format!("Chain on {interface}, {hook}: {entering} packets come in; {members}.")
}

#[must_use]
pub fn wanted_same(policy: &str, revision: u64) -> String {
    format!("{policy} r{revision}")
}

#[must_use]
pub fn wanted_other(policy: &str, revision: u64, what: &str) -> String {
    format!("{policy} r{revision} wants {what}")
}

#[must_use]
pub fn wanted_nobody(policy: &str) -> String {
    format!("{policy} no longer wants it")
}

#[must_use]
pub fn picture_label(chain: &str) -> String {
    scroll_label(&format!("{chain}, as a picture"))
}

#[must_use]
pub fn scroll_label(what: &str) -> String {
    format!("{what}, scrolls sideways")
}

#[must_use]
pub fn bare_status(status: u16) -> String {
    format!("The registry answered {status} without saying why.")
}

#[must_use]
pub fn copy_label(what: &str) -> String {
    format!("{COPY}: {what}")
}
