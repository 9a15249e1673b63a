//! Codes of refusals whose reason lies in `artifact`.
//! It refuses to know sentences.

use skep_artifact::dsse::DsseError;
use skep_artifact::layout::LayoutError;
use skep_artifact::role::RoleError;

pub(super) fn role_code(error: &RoleError) -> &'static str {
    match error {
        RoleError::BadSignature { .. } => "package.signature_invalid",
        RoleError::DuplicateKey { .. } => "package.signature_duplicated",
        RoleError::Path { .. } => "package.target_outside_namespace",
        RoleError::Type { .. } => "package.role_of_other_type",
        RoleError::Delegates => "package.role_delegates",
        RoleError::ReleaseTwice { .. } => "package.release_repeated",
        RoleError::VersionMismatch { .. } => "package.mix_and_match",
        RoleError::TooManyTargets { .. } | RoleError::TooManySignatures { .. } => {
            "package.role_too_large"
        }
        RoleError::Threshold { .. } | RoleError::Unverifiable { .. } => {
            "package.signature_untrusted"
        }
        RoleError::Json(_)
        | RoleError::SpecVersion { .. }
        | RoleError::VersionZero
        | RoleError::Expires { .. }
        | RoleError::Hash { .. } => "package.role_malformed",
    }
}

pub(super) fn content_code(error: &LayoutError) -> &'static str {
    match error {
        LayoutError::Missing { .. } => "package.blob_missing",
        LayoutError::TooLarge { .. } | LayoutError::PackageTooLarge { .. } => "package.too_large",
        LayoutError::SizeMismatch { .. } | LayoutError::DigestMismatch { .. } => {
            "package.digest_mismatch"
        }
        LayoutError::Bomb { .. } => "package.bomb",
        LayoutError::Layers { .. } => "package.layers",
        LayoutError::Gzip
        | LayoutError::Tar
        | LayoutError::TarEntry { .. }
        | LayoutError::TarEntries
        | LayoutError::TarPath { .. }
        | LayoutError::TarHeader => "package.archive_refused",
        LayoutError::AnnotationMismatch { .. }
        | LayoutError::DiffId
        | LayoutError::Labels { .. }
        | LayoutError::ObjectName { .. }
        | LayoutError::ObjectDiffers { .. } => "package.mix_and_match",
        LayoutError::Platform { .. } | LayoutError::Archs { .. } | LayoutError::ArchSwap { .. } => {
            "package.arch_mismatch"
        }
        LayoutError::Manifest(_) => "package.manifest_refused",
        LayoutError::Object { .. } => "package.object_refused",
        LayoutError::Endianness { .. } => "package.wrong_endianness",
        LayoutError::Claim { .. } => "package.claim_contradicted",
        LayoutError::Json { .. }
        | LayoutError::MediaType { .. }
        | LayoutError::Annotation { .. }
        | LayoutError::ObjectMissing { .. }
        | LayoutError::ObjectUnnamed { .. }
        | LayoutError::Readme { .. }
        | LayoutError::ReadmeText => "package.malformed",
    }
}

pub(super) fn envelope_code(error: &DsseError) -> &'static str {
    match error {
        DsseError::BadSignature { .. } => "policy.signature_invalid",
        DsseError::DuplicateKey { .. } => "policy.signature_duplicated",
        DsseError::PayloadType { .. } => "policy.payload_of_other_type",
        DsseError::Threshold { .. } | DsseError::Unverifiable { .. } => {
            "policy.signature_untrusted"
        }
        DsseError::Json(_) | DsseError::Base64 { .. } | DsseError::TooManySignatures { .. } => {
            "policy.malformed"
        }
    }
}
