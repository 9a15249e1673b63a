//! Packets with sequence numbers: sent at a pace, received, and every missing one named.
//! Refuses to know what should happen to them on the way.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::namespace::Namespace;
use crate::{interrupt, wait};

/// Tells our packets from stray ones.
const MAGIC: [u8; 8] = *b"skep-seq";
/// A small but not minimal datagram: magic, number, padding.
const PAYLOAD_BYTES: usize = 64;
/// A receive buffer of 8 MiB holds some 10,000 of our packets, two seconds at the fastest pace used here, so that a
/// receiver that waits for a core loses nothing and every loss is a loss on the way.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Packets leave in small groups, one group a millisecond.
const TICK: Duration = Duration::from_millis(1);
/// How often a reader that hears nothing looks whether it should end.
const LISTEN_TICK: Duration = Duration::from_millis(50);
/// Packets on a veth pair arrive in microseconds; this is for a machine that is busy elsewhere.
const LATECOMERS: Duration = Duration::from_secs(3);

/// A stream of numbered packets that goes on until it is stopped.
pub struct Stream {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Stream {
    /// Starts to send from an address of this namespace.
    ///
    /// # Errors
    /// When the socket cannot be opened there.
    pub fn start(
        from: &Namespace,
        source: Ipv4Addr,
        to: SocketAddrV4,
        packets_per_second: u32,
    ) -> Result<Self> {
        let socket = open(from, SocketAddrV4::new(source, 0))?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop_there, sent_there) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let wanted = |since: Instant| {
                let elapsed_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
                elapsed_us.saturating_mul(u64::from(packets_per_second)) / 1_000_000
            };
            let start = Instant::now();
            while !stop_there.load(Ordering::SeqCst) && !interrupt::happened() {
                let number = sent_there.load(Ordering::SeqCst);
                // A sender that was held up goes on at its pace; it does not make up for it in one burst.
                let burst_max = u64::from(packets_per_second).div_ceil(200).max(1);
                for number in number..wanted(start).min(number + burst_max) {
                    socket.send_to(&payload(number), to).context("a packet could not be sent")?;
                    sent_there.store(number + 1, Ordering::SeqCst);
                }
                std::thread::sleep(TICK);
            }
            Ok(())
        });
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    /// How many packets have left so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Waits until this many have left in all.
    ///
    /// # Errors
    /// When they do not leave in time.
    pub fn wait_for(&self, packets: u64) -> Result<()> {
        wait::until(&format!("{packets} packets have left"), wait::PATIENCE, || {
            Ok((self.sent() >= packets).then_some(()))
        })
    }

    /// Stops and tells how many packets left.
    ///
    /// # Errors
    /// When sending failed.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the sender panicked"))??;
        }
        Ok(self.sent())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends so many packets at a pace and returns when the last has left.
///
/// # Errors
/// When a socket cannot be opened or used.
pub fn send(
    from: &Namespace,
    source: Ipv4Addr,
    to: SocketAddrV4,
    packets: u64,
    per_second: u32,
) -> Result<()> {
    let socket = open(from, SocketAddrV4::new(source, 0))?;
    let gap = Duration::from_secs(1) / per_second;
    let start = Instant::now();
    for number in 0..packets {
        socket.send_to(&payload(number), to).context("a packet could not be sent")?;
        interrupt::check()?;
        let due = gap.saturating_mul(u32::try_from(number + 1).unwrap_or(u32::MAX));
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    Ok(())
}

/// Listens on an address and remembers which numbers came from whom.
pub struct Receiver {
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    thread: Option<JoinHandle<()>>,
}

/// What a receiver heard, by source address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    from: Vec<(Ipv4Addr, BTreeSet<u64>)>,
    /// Packets that came twice.
    pub repeated: u64,
}

impl Heard {
    /// How many different packets came from this address.
    #[must_use]
    pub fn count(&self, source: Ipv4Addr) -> u64 {
        self.numbers(source).map_or(0, |numbers| numbers.len() as u64)
    }

    /// The first of the numbers below `sent` that did not come from this address, and how many there are.
    #[must_use]
    pub fn missing(&self, source: Ipv4Addr, sent: u64) -> Option<(u64, u64)> {
        let numbers = self.numbers(source);
        let mut gone =
            (0..sent).filter(|number| numbers.is_none_or(|numbers| !numbers.contains(number)));
        let first = gone.next()?;
        Some((first, 1 + gone.count() as u64))
    }

    fn numbers(&self, source: Ipv4Addr) -> Option<&BTreeSet<u64>> {
        self.from.iter().find(|(address, _)| *address == source).map(|(_, numbers)| numbers)
    }

    fn add(&mut self, source: Ipv4Addr, number: u64) {
        let index =
            self.from.iter().position(|(address, _)| *address == source).unwrap_or_else(|| {
                self.from.push((source, BTreeSet::new()));
                self.from.len() - 1
            });
        if !self.from[index].1.insert(number) {
            self.repeated += 1;
        }
    }
}

impl Receiver {
    /// Opens the socket before it returns: a packet sent afterwards is heard.
    ///
    /// # Errors
    /// When the socket cannot be opened there.
    pub fn listen(within: &Namespace, at: SocketAddrV4) -> Result<Self> {
        let socket = open(within, at)?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_BYTES)
            .context("the receive buffer could not be enlarged")?;
        socket.set_read_timeout(Some(LISTEN_TICK)).context("a time limit could not be set")?;
        let (stop, heard) =
            (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Heard::default())));
        let (stop_there, heard_there) = (Arc::clone(&stop), Arc::clone(&heard));
        let thread = std::thread::spawn(move || {
            let mut bytes = [0; PAYLOAD_BYTES];
            while !stop_there.load(Ordering::SeqCst) {
                // Nothing heard within the tick is no event.
                let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
                if let (Some(number), std::net::SocketAddr::V4(from)) =
                    (number_in(&bytes[..length]), from)
                {
                    heard_there
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(*from.ip(), number);
                }
            }
        });
        Ok(Self { stop, heard, thread: Some(thread) })
    }

    /// What was heard so far.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `packets` came from an address, or latecomers are out of the question.
    ///
    /// # Errors
    /// When interrupted.
    pub fn heard_of(&self, source: Ipv4Addr, packets: u64) -> Result<Heard> {
        let mut last = (Instant::now(), 0);
        wait::until("packets on their way arrive", wait::PATIENCE, || {
            let heard = self.heard();
            let count = heard.count(source);
            if count > last.1 {
                last = (Instant::now(), count);
            }
            Ok((count >= packets || last.0.elapsed() > LATECOMERS).then_some(heard))
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(within: &Namespace, at: SocketAddrV4) -> Result<UdpSocket> {
    within.within(|| UdpSocket::bind(at).with_context(|| format!("no socket at {at}")))
}

fn payload(number: u64) -> [u8; PAYLOAD_BYTES] {
    let mut bytes = [0; PAYLOAD_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn number_in(bytes: &[u8]) -> Option<u64> {
    let number = bytes.strip_prefix(&MAGIC)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn a_packet_carries_its_number_and_a_stray_one_none() {
        assert_eq!(number_in(&payload(1_234_567)), Some(1_234_567));
        assert_eq!(number_in(b"something else"), None);
        assert_eq!(number_in(&MAGIC), None);
    }

    #[test]
    fn names_the_first_missing_packet_and_counts_the_rest() {
        let mut heard = Heard::default();
        for number in [0, 1, 3, 4, 7] {
            heard.add(ADA, number);
        }
        assert_eq!(heard.missing(ADA, 5), Some((2, 1)));
        assert_eq!(heard.missing(ADA, 8), Some((2, 3)));
        assert_eq!(heard.missing(ADA, 2), None);
        assert_eq!(heard.count(ADA), 5);
        assert_eq!(heard.missing(Ipv4Addr::LOCALHOST, 3), Some((0, 3)));
    }

    #[test]
    fn counts_a_packet_that_came_twice() {
        let mut heard = Heard::default();
        heard.add(ADA, 1);
        heard.add(ADA, 1);
        assert_eq!((heard.count(ADA), heard.repeated), (1, 1));
    }
}
