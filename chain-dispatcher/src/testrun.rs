//! One program over packets, without any interface: `BPF_PROG_TEST_RUN`. For programs' own tests,
//! for `check`, and for measurements. Knows objects and packets; refuses to know chains.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Hook, Verdict};

use crate::chain::Loadable;
use crate::error::ObserveError;
use crate::kernel::sys;
use crate::load::{self, Frags, LoadError, Loaded, Request};

/// Bytes that a program may add to a packet, all together.
const GROWTH_BYTES_MAX: usize = 512;
/// The kernel's test run needs a whole Ethernet header.
pub const PACKET_BYTES_MIN: usize = 14;

/// A program in the kernel, attached to nothing. Its maps keep their content from packet to packet.
#[derive(Debug)]
pub struct TestProgram {
    loaded: Loaded,
    hook: Hook,
}

/// What a program made of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it answered; none for a code that is no verdict of the hook.
    pub verdict: Option<Verdict>,
    /// The code itself.
    pub code: i32,
    /// The packet as it left it.
    pub packet: Vec<u8>,
    /// Time of one run in nanoseconds, the mean over the repetitions, measured by the kernel.
    pub duration_ns: u32,
}

/// A program could not be run over a packet.
#[derive(Debug, thiserror::Error)]
pub enum TestRunError {
    /// It could not be loaded.
    #[error("the program cannot be loaded")]
    Load(#[from] LoadError),
    /// The hook could not be looked at.
    #[error("the hook cannot be looked at")]
    Observe(#[from] ObserveError),
    /// Too short for the kernel.
    #[error(
        "the packet has {bytes} bytes; the kernel runs programs over {PACKET_BYTES_MIN} or more"
    )]
    PacketTooShort {
        /// Its length.
        bytes: usize,
    },
    /// The kernel refused the run.
    #[error("the kernel refused to run the program over the packet")]
    Run(#[source] io::Error),
    /// No map of that name.
    #[error("the object has no map named {map}")]
    NoSuchMap {
        /// The name.
        map: String,
    },
    /// A map could not be read or written.
    #[error("the map {map} cannot be read or written")]
    Map {
        /// The name.
        map: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl TestProgram {
    /// Loads a program with its config written.
    pub fn load(
        object: &Loadable,
        program: &str,
        hook: Hook,
        config: &EncodedConfig,
    ) -> Result<Self, TestRunError> {
        let request = Request {
            bytes: object.bytes(),
            program,
            hook,
            config,
            carried: BTreeMap::new(),
            frags: Frags::Without,
        };
        Ok(Self { loaded: load::load(request)?, hook })
    }

    /// Runs it once over a packet, which begins with its Ethernet header.
    pub fn run(&self, packet: &[u8]) -> Result<Outcome, TestRunError> {
        self.repeat(packet, 1)
    }

    /// Runs it `times` over the same packet; the bytes are those after the last run. A program that
    /// changes the packet meets its own changes.
    pub fn repeat(&self, packet: &[u8], times: u32) -> Result<Outcome, TestRunError> {
        run(&self.loaded.program, self.hook, packet, times)
    }

    /// Reads one value; for a per-CPU map those of all CPUs, one after the other, each padded to a
    /// multiple of 8 bytes. None where there is no such key.
    pub fn read(&self, map: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TestRunError> {
        let fd = self.map(map)?;
        sys::map_lookup(fd.as_fd(), key)
            .map_err(|source| TestRunError::Map { map: map.to_owned(), source })
    }

    /// Writes one value.
    pub fn write(&self, map: &str, key: &[u8], value: &[u8]) -> Result<(), TestRunError> {
        let fd = self.map(map)?;
        sys::map_update(fd.as_fd(), key, value)
            .map_err(|source| TestRunError::Map { map: map.to_owned(), source })
    }

    /// A map, for readers that need more than single values: all entries, or the events of a ring buffer.
    pub fn map_fd(&self, map: &str) -> Result<BorrowedFd<'_>, TestRunError> {
        self.map(map).map(AsFd::as_fd)
    }

    fn map(&self, map: &str) -> Result<&OwnedFd, TestRunError> {
        self.loaded.maps.get(map).ok_or_else(|| TestRunError::NoSuchMap { map: map.to_owned() })
    }
}

/// Runs a loaded program over a packet.
pub(crate) fn run(
    program: &OwnedFd,
    hook: Hook,
    packet: &[u8],
    times: u32,
) -> Result<Outcome, TestRunError> {
    if packet.len() < PACKET_BYTES_MIN {
        return Err(TestRunError::PacketTooShort { bytes: packet.len() });
    }
    let run = sys::prog_test_run(program.as_fd(), packet, times, GROWTH_BYTES_MAX)
        .map_err(TestRunError::Run)?;
    let code = run.retval.cast_signed();
    Ok(Outcome {
        verdict: Verdict::from_code(hook, code),
        code,
        packet: run.output,
        duration_ns: run.duration_ns,
    })
}

/// Loads a program and runs it over packets in turn; its maps keep their content between them.
pub fn run_object<'a>(
    object: &Loadable,
    program: &str,
    hook: Hook,
    config: &EncodedConfig,
    packets: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Outcome>, TestRunError> {
    let program = TestProgram::load(object, program, hook, config)?;
    packets.into_iter().map(|packet| program.run(packet)).collect()
}
