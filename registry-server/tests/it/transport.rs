//! TLS outside loopback, by a CA of the server's own.

use crate::world::{World, admin_token};
use skep_api::client::{Client, ClientConfig};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn outside_loopback_everything_is_tls_and_the_written_ca_is_enough_to_trust_it() {
    let world = World::listen("0.0.0.0:0").await;
    assert!(world.address.starts_with("https://127.0.0.1:"), "{}", world.address);
    let ca = std::fs::read(world.data.join("ca.pem")).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let config = ClientConfig {
            server: world.address.replace("127.0.0.1", host),
            token: Some(admin_token(&world.data)),
            ca_pem: Some(ca.clone()),
        };
        Client::new(config).unwrap().nodes().await.unwrap();
    }
    let stranger = ClientConfig { server: world.address.clone(), token: None, ca_pem: None };
    assert!(Client::new(stranger).unwrap().packages(&Default::default()).await.is_err());

    // Plain HTTP on the same port gets no answer worth the name.
    let port = world.address.strip_prefix("https://").unwrap();
    let mut plain = TcpStream::connect(port).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}
