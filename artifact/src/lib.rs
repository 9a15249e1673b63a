//! skep-artifact
