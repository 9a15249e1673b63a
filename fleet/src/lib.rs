//! skep-fleet
