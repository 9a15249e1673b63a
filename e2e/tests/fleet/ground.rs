//! The ground under the other stories: without any chain nothing is lost, so every later loss is a finding.

use std::net::Ipv4Addr;

use skep_e2e::kernel;
use skep_e2e::node::{GOOD, INTERFACE, LISTENS_AT, NOISY, Node};
use skep_e2e::traffic::{Receiver, Stream, send};

#[test]
fn a_bare_link_loses_nothing_and_the_driver_counts_every_packet() {
    if !crate::can_run("ground::a_bare_link_loses_nothing_and_the_driver_counts_every_packet") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("skep-e2e-{}-ground", std::process::id());
    let node = Node::create("bare", &prefix, folder.path()).unwrap();
    let receiver = Receiver::listen(&node.namespace, LISTENS_AT).unwrap();
    let before = kernel::received_packets(&node.namespace, INTERFACE).unwrap();

    let stream = Stream::start(&node.peer, GOOD, LISTENS_AT, 4_000).unwrap();
    send(&node.peer, NOISY, LISTENS_AT, 500, 2_000).unwrap();
    stream.wait_for(4_000).unwrap();
    let sent = stream.stop().unwrap();

    let heard = receiver.heard_of(GOOD, sent).unwrap();
    assert_eq!(heard.missing(GOOD, sent), None);
    assert_eq!(heard.missing(NOISY, 500), None);
    assert_eq!(heard.count(Ipv4Addr::LOCALHOST), 0);
    assert_eq!(heard.repeated, 0);
    let after = kernel::received_packets(&node.namespace, INTERFACE).unwrap();
    assert_eq!(after - before, sent + 500);
    assert_eq!(kernel::attached_xdp(&node.namespace, INTERFACE).unwrap(), None);
}
