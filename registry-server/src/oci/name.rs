//! Repositories, tags, and what a path below `/v2/` asks for. Repository names have any number of parts,
//! so no router can tell where the name ends: it is read from the right. Refuses to know who may ask.

use super::digest::{OciDigest, OciDigestError};
use percent_encoding::percent_decode_str;
use skep_artifact::name::Namespace;
use std::fmt;
use std::str::FromStr;

/// Longest name of a repository in characters: many clients take 255 for host, port and name together, and
/// 54 are enough for host and port.
pub const REPOSITORY_CHARS_MAX: usize = 200;
/// Longest tag in characters, as the specification says.
pub const TAG_CHARS_MAX: usize = 128;

/// A repository: a claimed namespace, or anything below one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    name: String,
    namespace: Namespace,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    Tag(Tag),
    Digest(OciDigest),
}

/// Why a text names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error(
        "a repository is named by parts of lower-case letters and digits, separated by '/', at most {REPOSITORY_CHARS_MAX} characters"
    )]
    Repository,
    #[error("the first part of a repository's name is a namespace: letters, digits and hyphens")]
    Namespace,
    #[error(
        "a tag is one to {TAG_CHARS_MAX} letters, digits, '_', '.' and '-', and begins with none of the last two"
    )]
    Tag,
    #[error(transparent)]
    Digest(#[from] OciDigestError),
}

impl Repository {
    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The namespace that decides who may push.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Repository {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > REPOSITORY_CHARS_MAX || !text.split('/').all(is_part) {
            return Err(NameError::Repository);
        }
        let first = text.split('/').next().unwrap_or_default();
        let namespace = first.parse().map_err(|_| NameError::Namespace)?;
        Ok(Self { name: text.to_owned(), namespace })
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_part(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && separators.into_iter().all(|separator| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
    })
}

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let rest = |b: u8| first(b) || b == b'.' || b == b'-';
        let fits = text.len() <= TAG_CHARS_MAX
            && text.bytes().next().is_some_and(first)
            && text.bytes().all(rest);
        fits.then(|| Self(text.to_owned())).ok_or(NameError::Tag)
    }
}

impl FromStr for Reference {
    type Err = NameError;

    /// A colon cannot be in a tag, so whatever has one is meant to be a digest.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains(':') {
            return Ok(Self::Digest(text.parse()?));
        }
        text.parse().map(Self::Tag)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// What a path asks for. Texts are decoded and not yet parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub repository: String,
    pub what: What,
}

/// The kinds of things below a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Manifest { reference: String },
    Blob { digest: String },
    Uploads,
    Upload { id: String },
    Tags,
    Referrers { digest: String },
}

impl Address {
    /// Reads what follows `/v2/` in a path, still percent-encoded; `None` when it is none of the API's.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let last = |index: usize| parts.len().checked_sub(index).and_then(|at| parts.get(at));
        let text = |index: usize| {
            let part = last(index).copied().unwrap_or_default();
            percent_decode_str(part).decode_utf8().ok().map(|text| text.into_owned())
        };
        let (what, used) = match (last(3).copied(), last(2).copied(), last(1).copied()) {
            (Some("blobs"), Some("uploads"), Some("")) => (What::Uploads, 3),
            (Some("blobs"), Some("uploads"), Some(_)) => (What::Upload { id: text(1)? }, 3),
            (_, Some("blobs"), Some("uploads")) => (What::Uploads, 2),
            (_, Some("blobs"), Some(_)) => (What::Blob { digest: text(1)? }, 2),
            (_, Some("manifests"), Some(_)) => (What::Manifest { reference: text(1)? }, 2),
            (_, Some("tags"), Some("list")) => (What::Tags, 2),
            (_, Some("referrers"), Some(_)) => (What::Referrers { digest: text(1)? }, 2),
            _ => return None,
        };
        let name = parts.get(..parts.len() - used).filter(|name| !name.is_empty())?.join("/");
        let repository = percent_decode_str(&name).decode_utf8().ok()?.into_owned();
        Some(Self { repository, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(path: &str, repository: &str, what: What) {
        let expected = Address { repository: repository.to_owned(), what };
        assert_eq!(Address::parse(path), Some(expected), "{path}");
    }

    #[test]
    fn paths_are_read_from_the_right() {
        let manifest = |text: &str| What::Manifest { reference: text.to_owned() };
        let blob = |text: &str| What::Blob { digest: text.to_owned() };
        reads("acme/pass/manifests/latest", "acme/pass", manifest("latest"));
        reads("acme/a/b/c/manifests/sha256:00", "acme/a/b/c", manifest("sha256:00"));
        reads("acme/manifests/x/manifests/1", "acme/manifests/x", manifest("1"));
        reads("acme/pass/blobs/sha256%3A00", "acme/pass", blob("sha256:00"));
        reads("acme%2Fpass/blobs/sha256:00", "acme/pass", blob("sha256:00"));
        reads("acme/pass/blobs/uploads/", "acme/pass", What::Uploads);
        reads("acme/pass/blobs/uploads", "acme/pass", What::Uploads);
        reads("acme/pass/blobs/uploads/1-2", "acme/pass", What::Upload { id: "1-2".to_owned() });
        reads("acme/pass/tags/list", "acme/pass", What::Tags);
        reads("acme/p/referrers/d", "acme/p", What::Referrers { digest: "d".to_owned() });
        for path in [
            "",
            "acme",
            "manifests/latest",
            "acme/pass",
            "acme/tags",
            "acme/tags/other",
            "_catalog",
            "blobs/uploads/",
        ] {
            assert_eq!(Address::parse(path), None, "{path}");
        }
    }

    #[test]
    fn repositories_follow_the_grammar_of_the_specification() {
        let long = format!("acme/{}", "a".repeat(REPOSITORY_CHARS_MAX - 5));
        for good in ["acme", "acme/pass", "acme/a/b/c/d", "acme/a.b_c__d---e/0", "a-b/c", &long] {
            let parsed: Repository = good.parse().unwrap();
            assert_eq!(parsed.as_str(), good);
            assert_eq!(Some(parsed.namespace().as_str()), good.split('/').next());
        }
        let longer = format!("{long}a");
        for bad in [
            "",
            "/",
            "acme/",
            "/acme",
            "acme//b",
            "acme/-b",
            "acme/b-",
            "acme/a..b",
            "acme/a___b",
            "acme/A",
            "acme/a b",
            "acme/a._b",
            "acme/..",
            "acme/é",
            &longer,
        ] {
            assert_eq!(bad.parse::<Repository>(), Err(NameError::Repository), "{bad}");
        }
        assert_eq!("a.b/pass".parse::<Repository>(), Err(NameError::Namespace));
    }

    #[test]
    fn tags_follow_the_grammar_of_the_specification() {
        let long = "a".repeat(TAG_CHARS_MAX);
        for good in ["latest", "1.0.0", "_", "A-b.c_d", &long] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        for bad in ["", ".a", "-a", "a b", "a/b", "a+b", "é", &format!("{long}a")] {
            assert_eq!(bad.parse::<Tag>(), Err(NameError::Tag), "{bad}");
        }
    }
}
