//! skep-chain-dispatcher
