//! The network interfaces of the namespace this process runs in, and the news that they changed.
//! Refuses to know what they are for.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The multicast group of link changes: `RTMGRP_LINK` of `linux/rtnetlink.h`.
const GROUP_LINK: u32 = 1;
/// Room for one netlink datagram; the kernel sends at most 16 KiB unless asked for more. What does not
/// fit is cut off, which does no harm: only the arrival counts.
const DATAGRAM_BYTES: usize = 16 << 10;

/// Why interfaces could not be listed or watched.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    #[error("The kernel did not list the network interfaces.")]
    List { source: io::Error },
    #[error("The kernel does not tell of interface changes.")]
    Watch { source: io::Error },
}

/// Names of the interfaces of this network namespace, sorted. Asks the kernel, not `/sys`, which may
/// show another namespace.
///
/// # Errors
/// [`InterfaceError::List`].
pub fn list() -> Result<Vec<String>, InterfaceError> {
    let failed = |errno: nix::errno::Errno| InterfaceError::List { source: errno.into() };
    let found = nix::net::if_::if_nameindex().map_err(failed)?;
    let mut names: Vec<String> =
        found.iter().map(|i| i.name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// A subscription to link changes of this network namespace.
pub struct Watch {
    socket: AsyncFd<OwnedFd>,
}

impl Watch {
    /// Subscribes. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`InterfaceError::Watch`].
    pub fn open() -> Result<Self, InterfaceError> {
        let failed = |source: io::Error| InterfaceError::Watch { source };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        // No protocol means NETLINK_ROUTE, which is number 0.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
            .map_err(|e| failed(e.into()))?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUP_LINK)).map_err(|e| failed(e.into()))?;
        #[expect(
            deprecated,
            reason = "its successor is an unsafe function for types that do not own their descriptor; an OwnedFd does"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE).map_err(failed)?;
        Ok(Self { socket })
    }

    /// Waits until a link appeared, vanished or changed, and swallows everything that has come in.
    /// The news means "look again" and nothing else, so an overrun of the socket is news as well.
    ///
    /// # Errors
    /// [`InterfaceError::Watch`] when the socket is broken.
    pub async fn changed(&self) -> Result<(), InterfaceError> {
        let failed = |source: io::Error| InterfaceError::Watch { source };
        loop {
            let mut ready = self.socket.readable().await.map_err(failed)?;
            let mut heard = false;
            while let Ok(arrived) = ready.try_io(|socket| drain_one(socket.get_ref())) {
                arrived.map_err(failed)?;
                heard = true;
            }
            if heard {
                return Ok(());
            }
        }
    }
}

fn drain_one(socket: &OwnedFd) -> io::Result<()> {
    let mut datagram = [0u8; DATAGRAM_BYTES];
    match recv(socket, datagram.as_mut_slice(), RecvFlags::empty()) {
        Ok(_) | Err(rustix::io::Errno::NOBUFS) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_has_a_loopback() {
        assert!(list().unwrap().contains(&"lo".to_owned()));
    }
}
