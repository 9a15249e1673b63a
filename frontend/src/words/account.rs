//! What the pages say about accounts, namespaces and tokens. It refuses to know when each is said.

pub const ACCOUNT: &str = "Account";
pub const LOG_IN: &str = "Log in";
pub const LOG_IN_TITLE: &str = "With an account";
pub const SIGN_UP: &str = "Sign up";
pub const SIGN_UP_TEXT: &str = "An account holds namespaces, tokens and memberships. Reading and verifying packages needs none.";
pub const NO_ACCOUNT: &str = "No account yet?";
pub const HAVE_ACCOUNT: &str = "Signed up already?";
pub const SESSION_ENDED: &str =
    "Your session ended. Log in again; the page you were on comes back.";
pub const ACCOUNT_NAME: &str = "Account name";
pub const ACCOUNT_NAME_HINT: &str = "2 to 39 small letters, digits and hyphens.";
pub const PASSWORD: &str = "Password";
pub const PASSWORD_HINT: &str = "10 to 256 characters; a sentence is easy to remember.";
pub const OLD_PASSWORD: &str = "Password until now";
pub const NEW_PASSWORD: &str = "New password";
pub const CHANGE_PASSWORD: &str = "Change password";
pub const PASSWORD_CHANGED: &str = "The password is changed. Every other session has ended.";
pub const EMAIL: &str = "E-mail";
pub const EMAIL_HINT: &str = "May be left empty. Nobody sees it but you.";
pub const INVITE: &str = "Invite";
pub const INVITE_HINT: &str = "Needed where this registry takes only who is invited.";
pub const ACCOUNT_ROLE: &str = "May";
pub const ACCOUNT_SINCE: &str = "Since";
pub const ACCOUNT_BY_TOKEN: &str = "You are here by an API token. Log in with an account to change namespaces, members and passwords.";
pub const ROLE_MEMBER: &str = "its own namespaces";
pub const ROLE_OPERATOR: &str = "its own namespaces, and the fleet";
pub const ROLE_ADMIN: &str = "everything";
pub const SENDING: &str = "One moment";
pub const WAYS_IN: &str = "Ways to log in";
pub const IDENTITIES: &str = "Identities elsewhere";
pub const IDENTITIES_TEXT: &str =
    "Link an identity to log in by it. You are led to its issuer and back.";
pub const NO_ISSUERS: &str = "This registry believes no issuer for logging in.";

pub const NAMESPACES: &str = "Namespaces";
pub const NO_NAMESPACES: &str = "You are in no namespace yet. Claim one, or answer an invite.";
pub const CLAIM_TITLE: &str = "Claim a namespace";
pub const CLAIM_TEXT: &str = "Packages below it are signed with your key. Its secret half stays with you; the registry gets the public half.";
pub const CLAIM: &str = "Claim";
pub const PUBLIC_KEY: &str = "Public key";
pub const PUBLIC_KEY_HINT: &str = "The line that begins with skep-ed25519:";
pub const KEY_HINT: &str = "Make a key with";
pub const KEY_COMMAND: &str = "skep key new --out publisher.key";
pub const ANSWER_TITLE: &str = "Answer an invite";
pub const ANSWER_TEXT: &str = "Paste what an owner of the namespace sent you.";
pub const ANSWER: &str = "Answer";
pub const ANSWER_SEND: &str = "Send answer";
pub const ACCEPT: &str = "Accept";
pub const DECLINE: &str = "Decline";
pub const KEYS: &str = "Keys";
pub const ATOM_FEED: &str = "Atom feed";
pub const MEMBERS: &str = "Members";
pub const INVITES: &str = "Invites";
pub const NO_INVITES: &str = "Nobody was invited yet.";
pub const MAKE_INVITE: &str = "Make an invite";
pub const INVITE_MADE: &str = "Invite made";
pub const INVITE_ONCE: &str =
    "Send it to the person on a way you trust. It is shown once, and whoever holds it may answer.";
pub const INVITE_OPEN: &str = "open";
pub const INVITE_EXPIRED: &str = "expired";
pub const INVITE_ACCEPTED: &str = "accepted";
pub const INVITE_DECLINED: &str = "declined";
pub const INVITE_REVOKED: &str = "revoked";
pub const MAY_OWNER: &str = "also invites and removes";
pub const MAY_MAINTAINER: &str = "publishes";
pub const MAY_READER: &str = "reads what is private";
pub const PUBLISHERS: &str = "Trusted publishers";
pub const PUBLISHERS_LEAD: &str = "A job of a CI that fits may publish without a stored token: its issuer vouches for it. Jobs of pull requests are refused.";
pub const NO_PUBLISHERS: &str = "No job is trusted yet.";
pub const NO_PUBLISHING_ISSUER: &str =
    "This registry believes no issuer of CI jobs; its operator names them in the file of issuers.";
pub const ADD_PUBLISHER: &str = "Trust a job";
pub const CLAIMS_HINT: &str = "One a line, for instance repository=acme/ratelimit. The issuer must say each of them, exactly.";
pub const PUBLISHER_PACKAGE_HINT: &str = "Empty for every package of the namespace.";
pub const EVERY_PACKAGE: &str = "every package";

pub const TOKENS: &str = "API tokens";
pub const TOKENS_LEAD: &str = "For programs that act for you. Each allows one thing, for a time.";
pub const NO_TOKENS: &str = "There is no token.";
pub const MAKE_TOKEN: &str = "Make a token";
pub const TOKEN_NAME_HINT: &str = "Who or what will use it.";
pub const TOKEN_FOR: &str = "For";
pub const TOKEN_FOR_HINT: &str =
    "What it may publish: a namespace like acme, or one package like acme/ratelimit.";
pub const TOKEN_SECRET: &str = "Token";
pub const SECRET_ONCE: &str =
    "Copy it now. It is shown this once; the registry keeps only its hash.";
pub const MAY_PUBLISH: &str = "publish packages";
pub const MAY_ACCOUNT: &str = "what this account may";
pub const MAY_READ_FLEET: &str = "read the fleet";
pub const MAY_OPERATE: &str = "operate the fleet";
pub const MAY_ADMIN: &str = "everything";
pub const A_DAY: &str = "in a day";
pub const A_WEEK: &str = "in a week";
pub const THIRTY_DAYS: &str = "in 30 days";
pub const NINETY_DAYS: &str = "in 90 days";
pub const A_YEAR: &str = "in a year";
pub const REVOKE: &str = "Revoke";
pub const REMOVE: &str = "Remove";
pub const DONE: &str = "Done";

pub const COL_NAMESPACE: &str = "Namespace";
pub const COL_ROLE: &str = "Role";
pub const COL_ACCOUNT: &str = "Account";
pub const COL_MEMBER_SINCE: &str = "Member since";
pub const COL_CHANGE: &str = "Change";
pub const COL_NAME: &str = "Name";
pub const COL_ALLOWS: &str = "Allows";
pub const COL_USED: &str = "Last used";
pub const COL_EXPIRES: &str = "Expires";
pub const COL_ISSUER: &str = "Issuer";
pub const COL_CLAIMS: &str = "What it must say";

#[must_use]
pub fn log_in_with(issuer: &str) -> String {
    format!("Log in with {issuer}")
}

#[must_use]
pub fn link_with(issuer: &str) -> String {
    format!("Link {issuer}")
}

#[must_use]
pub fn answered(namespace: &str, role: &str) -> String {
    format!("Answered: {namespace}, as {role}.")
}

#[must_use]
pub fn role_version_of(version: u64) -> String {
    match version {
        0 => "nothing published yet".to_owned(),
        version => format!("role file version {version}"),
    }
}

#[must_use]
pub fn keys_lead(keys: usize, threshold: u32) -> String {
    let noun = if keys == 1 { "key" } else { "keys" };
    format!(
        "{threshold} of {keys} {noun} must sign what is published here. A node trusts only the keys that its own policy names: compare."
    )
}

#[must_use]
pub fn token_made(name: &str) -> String {
    format!("Token {name} made")
}

#[must_use]
pub fn revoke_label(name: &str) -> String {
    format!("{REVOKE} {name}")
}

#[must_use]
pub fn remove_label(name: &str) -> String {
    format!("{REMOVE} {name}")
}

#[must_use]
pub fn role_label(name: &str) -> String {
    format!("{COL_ROLE} of {name}")
}

#[must_use]
pub fn no_claim(line: &str) -> String {
    format!("“{line}” is no claim. Write name=value, one a line.")
}
