//! Named points of the publish road and of OCI pushes at which a test can have the process killed. Compiled to
//! nothing in release builds without the feature `fault-points`.

/// Where the process may be told to die, in the order a publish, and then a push, passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// A piece of an upload is in its file; the caller has not been told.
    PieceAdded,
    /// A blob's bytes are in the temporary file, not yet flushed.
    BlobWritten,
    /// The file has its final name; the database does not know it.
    BlobRenamed,
    /// The blob is stored and known; the caller has not been told.
    BlobStored,
    /// The package was opened and verified; nothing of it is written.
    PublishVerified,
    /// Everything is written inside the transaction, which is not committed.
    PublishWritten,
    /// The transaction is committed; no checkpoint that covers it was signed.
    PublishCommitted,
    /// A checkpoint that covers it was signed; the caller has not been told.
    PublishProved,
    /// An upload's part has its name on the disk; the database does not count it.
    PartStaged,
    /// The part is counted; the caller has not been told.
    PartCounted,
    /// A pushed blob's bytes are stored; no repository knows them.
    PushKept,
    /// The repository knows the blob; its upload is not ended, and the caller has not been told.
    PushNamed,
    /// A manifest's bytes are stored; the repository does not know them.
    ManifestKept,
    /// Manifest and tags are written inside the transaction, which is not committed.
    ManifestWritten,
    /// The transaction is committed; the caller has not been told.
    ManifestCommitted,
}

impl FaultPoint {
    /// Every point of a publish, for the test that walks them.
    pub const ALL: [Self; 8] = [
        Self::PieceAdded,
        Self::BlobWritten,
        Self::BlobRenamed,
        Self::BlobStored,
        Self::PublishVerified,
        Self::PublishWritten,
        Self::PublishCommitted,
        Self::PublishProved,
    ];

    /// Every point of a push, for the test that walks those.
    pub const PUSH: [Self; 7] = [
        Self::PartStaged,
        Self::PartCounted,
        Self::PushKept,
        Self::PushNamed,
        Self::ManifestKept,
        Self::ManifestWritten,
        Self::ManifestCommitted,
    ];

    /// The name `SKEP_FAULT_POINT` is set to.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PieceAdded => "piece-added",
            Self::BlobWritten => "blob-written",
            Self::BlobRenamed => "blob-renamed",
            Self::BlobStored => "blob-stored",
            Self::PublishVerified => "publish-verified",
            Self::PublishWritten => "publish-written",
            Self::PublishCommitted => "publish-committed",
            Self::PublishProved => "publish-proved",
            Self::PartStaged => "part-staged",
            Self::PartCounted => "part-counted",
            Self::PushKept => "push-kept",
            Self::PushNamed => "push-named",
            Self::ManifestKept => "manifest-kept",
            Self::ManifestWritten => "manifest-written",
            Self::ManifestCommitted => "manifest-committed",
        }
    }
}

/// The one armed point, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    armed: Option<FaultPoint>,
}

impl Faults {
    /// Arms the point with this name; an unknown name arms nothing.
    #[must_use]
    pub fn named(name: Option<&str>) -> Self {
        let mut points = FaultPoint::ALL.into_iter().chain(FaultPoint::PUSH);
        let armed = points.find(|point| Some(point.name()) == name);
        Self { armed }
    }

    /// Kills the process as `kill -9` would when this point is armed.
    pub fn pass(self, point: FaultPoint) {
        #[cfg(any(debug_assertions, feature = "fault-points"))]
        if self.armed == Some(point) {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
        #[cfg(not(any(debug_assertions, feature = "fault-points")))]
        let _ = (self.armed, point);
    }
}
