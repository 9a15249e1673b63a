//! skep-e2e
