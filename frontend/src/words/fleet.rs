//! What the pages say about policies and the audit log. It refuses to know when each is said.

pub const POLICIES_TITLE: &str = "Policies";
pub const NO_POLICIES_TITLE: &str = "No policy was applied yet";
pub const NO_POLICIES_TEXT: &str = "A policy says which programs run in which order on which hooks of which nodes. Write one, look at what it would change, sign and apply it.";
pub const NO_POLICIES_COMMAND: &str =
    "skep plan -f policy.yaml && skep apply -f policy.yaml --key operator.key";
pub const COL_NODES: &str = "Nodes";
pub const COL_SELECTS: &str = "Selects";
pub const COMPOSED: &str = "Chains it has a part in";
pub const COMPOSED_LEAD: &str = "What all policies together ask of the nodes this one selects, in the order in which a packet meets it.";
pub const NO_CONFLICTS: &str =
    "Nothing to look at: priorities differ, and nobody hides packets from a member behind.";
pub const NO_SUCH_POLICY: &str = "There is no policy of this name.";
pub const NARROW_POLICIES: &str = "Narrow by name, hook, interface or program";
pub const EVERY_NODE: &str = "every node";
pub const SELECTED: &str = "Nodes it selects";
pub const SELECTED_NONE: &str = "No node has labels that fit. It waits for one that has.";
pub const REMOVED: &str = "removed";
pub const TO_POLICIES: &str = "All policies";

pub const AUDIT: &str = "Audit";
pub const AUDIT_LEAD: &str =
    "Who did what, newest first. Admins see everything, others what they did themselves.";
pub const AUDIT_NONE_TITLE: &str = "Nothing was noted";
pub const AUDIT_NONE_TEXT: &str = "No entry fits. Clear the fields to see all of them.";
pub const AUDIT_ACTION: &str = "What was done";
pub const AUDIT_NAMESPACE: &str = "In namespace";
pub const AUDIT_OLDER: &str = "Older entries";
pub const AUDIT_NEWEST: &str = "Newest entries";
pub const COL_ACTOR: &str = "Who";
pub const COL_SUBJECT: &str = "To what";
pub const COL_DETAIL: &str = "Detail";
pub const COL_ADDRESS: &str = "From";
pub const SHOW: &str = "Show";

#[must_use]
pub fn wanted_by(policy: &str) -> String {
    format!("wanted by {policy}")
}
