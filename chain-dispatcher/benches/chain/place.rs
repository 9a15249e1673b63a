//! A namespace of its own with a pin root; both go when it is dropped.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) struct Place {
    namespace: String,
    pub(crate) root: PathBuf,
    next: Cell<u32>,
    cleared: Cell<u32>,
    _folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let namespace = format!("skepb{}", std::process::id());
        ip(&["netns", "add", &namespace]);
        let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
        let netns = std::os::fd::AsFd::as_fd(&file);
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("pins");
        Self { namespace, root, next: Cell::new(0), cleared: Cell::new(0), _folder: folder }
    }

    /// A new interface: each chain keeps its own while all are measured.
    pub(crate) fn interface(&self) -> String {
        let name = format!("skepb{}", self.next.replace(self.next.get() + 1));
        ip(&["link", "add", &name, "type", "veth", "peer", "name", &format!("{name}p")]);
        name
    }

    /// Removes the interfaces and with them every chain.
    pub(crate) fn clear(&self) {
        for number in self.cleared.replace(self.next.get())..self.next.get() {
            ip(&["link", "del", &format!("skepb{number}")]);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.root).output();
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).output();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
