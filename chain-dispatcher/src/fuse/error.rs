//! Why programs could not become one. Knows nothing else.

use super::{FRAMES_MAX, FUNCTIONS_MAX, INSTRUCTIONS_MAX, MAPS_MAX, STACK_BYTES_MAX};

/// Why programs could not become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FuseError {
    /// Together they use more maps than one program may.
    #[error(
        "the members use {maps} maps together and one program may use {}; the slots backend has no such limit",
        MAPS_MAX
    )]
    TooManyMaps {
        /// How many different maps.
        maps: usize,
    },
    /// Together they have more functions than one program may.
    #[error(
        "the members have {functions} functions together and one program may have {}; the slots backend has no such limit",
        FUNCTIONS_MAX
    )]
    TooManyFunctions {
        /// How many, the generated one included.
        functions: usize,
    },
    /// Together they are too long.
    #[error(
        "the members have {instructions} instructions together and one program may have {}; the slots backend has no such limit",
        INSTRUCTIONS_MAX
    )]
    TooLong {
        /// How many, the generated ones included.
        instructions: usize,
    },
    /// Some may use the kernel's GPL-only functions and some may not.
    #[error(
        "{gpl} has a licence compatible with the GPL and {other} has not ({license}), and one program has one licence; use the slots backend"
    )]
    MixedLicenses {
        /// A member whose licence is compatible with the GPL.
        gpl: String,
        /// One whose licence is not.
        other: String,
        /// What that one says.
        license: String,
    },
    /// A member calls too deep to be called itself.
    #[error(
        "{member} calls {frames} functions deep and one program may go {} deep, the chain's own call included; use the slots backend",
        FRAMES_MAX
    )]
    TooDeep {
        /// Whose code.
        member: String,
        /// Frames on its longest path, the chain's own included.
        frames: usize,
    },
    /// A member needs the whole stack and more.
    #[error(
        "{member} needs {bytes} bytes of stack along one path and {} is the most; use the slots backend",
        STACK_BYTES_MAX
    )]
    Stack {
        /// Whose code.
        member: String,
        /// Bytes on its deepest path, as far as they can be read from its instructions.
        bytes: usize,
    },
    /// A member calls functions that the kernel exports.
    #[error(
        "{member} calls functions that the kernel exports (kfuncs), which Skep does not load; the kernel's helper functions work"
    )]
    KernelFunctions {
        /// Whose code.
        member: String,
    },
    /// The code of a member makes no sense.
    #[error("the code of {member} is damaged: {what}")]
    DamagedCode {
        /// Whose code.
        member: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The type information of a member makes no sense.
    #[error("the type information of {member} is damaged: {what}")]
    DamagedTypes {
        /// Whose.
        member: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Together they have more type information than the kernel takes.
    #[error(
        "the members have more type information together than the kernel takes; use the slots backend"
    )]
    TooManyTypes,
    /// The generated code calls a part that was not given.
    #[error("the chain calls part {part}, which it does not have")]
    NoSuchPart {
        /// Its number.
        part: usize,
    },
    /// The generated code jumps further than an instruction can.
    #[error("the chain is too long for one program; use the slots backend")]
    JumpTooFar,
}
