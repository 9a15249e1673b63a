//! What works on the kernel of this machine: programs that a person runs here, and looking at what
//! runs. Refuses to know registries; the agent's chains are looked at and never changed.

mod beside;
pub(crate) mod capability;
pub(crate) mod content;
pub(crate) mod host;
pub(crate) mod interface;
pub(crate) mod on_disk;
pub(crate) mod reading;
pub(crate) mod seat;
pub(crate) mod settings;

use skep_chain_dispatcher::{Observer, libxdp_root};
use std::path::{Path, PathBuf};

/// Where things lie on this host.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Places {
    /// Folder of the pins of `skep run`, on a BPF file system or where one may be mounted
    #[arg(
        long,
        env = "SKEP_RUN_PIN_ROOT",
        value_name = "DIR",
        default_value = "/sys/fs/bpf/skep-run",
        help_heading = "Places"
    )]
    pub run_pin_root: PathBuf,
    /// Folder in which `skep run` remembers what it runs; it needs not outlive a reboot
    #[arg(
        long,
        env = "SKEP_RUN_STATE",
        value_name = "DIR",
        default_value = "/run/skep/run",
        help_heading = "Places"
    )]
    pub run_state: PathBuf,
    /// Folder of the agent's pins, which are only looked at
    #[arg(
        long,
        env = "SKEP_AGENT_PIN_ROOT",
        value_name = "DIR",
        default_value = "/sys/fs/bpf/skep",
        help_heading = "Places"
    )]
    pub agent_pin_root: PathBuf,
    /// BPF file system in which libxdp's own tools keep their pins; they read the same variable
    #[arg(
        long,
        env = "LIBXDP_BPFFS",
        value_name = "DIR",
        default_value = "/sys/fs/bpf",
        help_heading = "Places"
    )]
    pub libxdp_bpffs: PathBuf,
}

impl Places {
    /// Looks at one of the pin roots.
    pub(crate) fn observe(&self, pin_root: &Path) -> Observer {
        Observer::of(pin_root).with_libxdp_root(libxdp_root(&self.libxdp_bpffs))
    }
}
