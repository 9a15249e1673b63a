//! Joining programs, without a kernel: the walk against a plain reading of the design, merged types
//! and code read back, limits named, damaged input answered.

mod inline;
mod join;
mod machine;
mod walks;
