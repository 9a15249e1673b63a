//! Uploads that break off: what arrived stays, and the next attempt goes on from there.

use crate::world::{Package, Publisher, World, eventually, refusal};
use bytes::Bytes;
use futures::stream;
use skep_api::client::{Client, Piece};
use skep_api::v1::tokens::Scope;
use skep_artifact::digest::Digest;
use skep_registry_server::partial::{PARTIAL_KEPT, PARTIALS_OF_TOKEN_MAX, Partials};
use std::time::SystemTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes that do not repeat, so that a piece in the wrong place shows.
fn blob(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

async fn send(
    client: &Client,
    bytes: &[u8],
    offset: u64,
    length: usize,
) -> Result<skep_api::v1::uploads::UploadState, skep_api::client::ClientError> {
    let at = usize::try_from(offset).unwrap();
    let piece = Piece { offset, bytes: length as u64, of: bytes.len() as u64 };
    client.upload_piece(&Digest::of(bytes), piece, bytes[at..at + length].to_vec()).await
}

/// Begins a piece of `bytes`, sends half of it and drops the connection.
async fn cut(world: &World, token: &str, bytes: &[u8], offset: usize) -> usize {
    let address = world.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let rest = bytes.len() - offset;
    let head = format!(
        "PATCH /v1/uploads/{} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         upload-offset: {offset}\r\nupload-length: {}\r\ncontent-length: {rest}\r\n\r\n",
        Digest::of(bytes),
        bytes.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&bytes[offset..offset + rest / 2]).await.unwrap();
    stream.shutdown().await.unwrap();
    // Until the server has seen the end; what it answers does not matter.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    offset + rest / 2
}

#[tokio::test]
async fn an_upload_that_was_cut_goes_on_where_it_stopped_even_after_a_restart() {
    let world = World::start().await;
    Publisher::new(&world, "acme").await;
    let token = world.token(Scope::Publish, Some("acme")).await;
    let bytes = blob(5 << 20);
    let digest = Digest::of(&bytes);
    let client = world.client(Some(&token));
    assert_eq!(client.upload_state(&digest).await.unwrap().offset, 0);

    let sent = cut(&world, &token, &bytes, 0).await;
    let state = eventually("the server has what arrived", async || {
        let state = client.upload_state(&digest).await.unwrap();
        (state.offset == sent as u64).then_some(state)
    })
    .await;
    assert!(!state.complete && state.offset > 2 << 20, "{state:?}");
    // Another token's upload is another one.
    let other = world.client(Some(&world.token(Scope::Publish, Some("acme")).await));
    assert_eq!(other.upload_state(&digest).await.unwrap().offset, 0);

    let world = world.restart().await;
    let client = world.client(Some(&token));
    assert_eq!(client.upload_state(&digest).await.unwrap().offset, state.offset);
    let refused = refusal(send(&client, &bytes, 0, 10).await);
    assert_eq!(refused, (409, "upload.other_offset".into()));
    let more = send(&client, &bytes, state.offset, 1000).await.unwrap();
    assert_eq!((more.offset, more.complete), (state.offset + 1000, false));
    let rest = bytes.len() - usize::try_from(more.offset).unwrap();
    let done = send(&client, &bytes, more.offset, rest).await.unwrap();
    assert!(done.complete);
    assert!(client.has_blob(&digest).await.unwrap());
    assert!(client.upload_state(&digest).await.unwrap().complete);
    assert_eq!(std::fs::read_dir(world.data.join("uploads")).unwrap().count(), 0);
    let path = world.data.join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
    assert_eq!(std::fs::read(path).unwrap(), bytes);
}

#[tokio::test]
async fn bytes_that_are_not_what_their_digest_says_are_thrown_away_when_all_are_here() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let bytes = blob(4000);
    let digest = Digest::of(b"something else");
    let piece = |offset, bytes| Piece { offset, bytes, of: 4000 };
    let client = &publisher.client;
    client.upload_piece(&digest, piece(0, 1000), bytes[..1000].to_vec()).await.unwrap();
    let last = client.upload_piece(&digest, piece(1000, 3000), bytes[1000..].to_vec()).await;
    assert_eq!(refusal(last), (400, "blob.digest_mismatch".into()));
    let state = client.upload_state(&digest).await.unwrap();
    assert_eq!((state.offset, state.complete), (0, false));
    assert!(!client.has_blob(&digest).await.unwrap());
}

#[tokio::test]
async fn a_piece_beyond_the_end_and_a_blob_beyond_every_limit_are_refused() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let client = &publisher.client;
    let digest = Digest::of(b"x");
    let piece = Piece { offset: 0, bytes: 100, of: 10 };
    let refused = client.upload_piece(&digest, piece, vec![0; 100]).await;
    assert_eq!(refusal(refused).0, 413);
    let piece = Piece { offset: 0, bytes: 1, of: 33 << 20 };
    assert_eq!(refusal(client.upload_piece(&digest, piece, vec![0; 1]).await).0, 413);
    let reader = world.client(Some(&world.token(Scope::ReadFleet, None).await));
    assert_eq!(refusal(reader.upload_state(&digest).await).0, 403);
}

#[tokio::test]
async fn a_token_has_a_bounded_number_of_unfinished_uploads() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let begin = async |number: usize| {
        let digest = Digest::of(&number.to_be_bytes());
        let piece = Piece { offset: 0, bytes: 1, of: 2 };
        publisher.client.upload_piece(&digest, piece, vec![0; 1]).await
    };
    for number in 0..PARTIALS_OF_TOKEN_MAX {
        begin(number).await.unwrap();
    }
    let refused = refusal(begin(PARTIALS_OF_TOKEN_MAX).await);
    assert_eq!(refused, (429, "upload.too_many".into()));
    // What nobody went on with is removed after a day, and then there is room again.
    let partials = Partials::open(&world.data.join("uploads")).unwrap();
    assert_eq!(partials.sweep_blocking(SystemTime::now()).unwrap(), 0);
    let tomorrow = SystemTime::now() + PARTIAL_KEPT + PARTIAL_KEPT;
    assert_eq!(partials.sweep_blocking(tomorrow).unwrap(), PARTIALS_OF_TOKEN_MAX);
    begin(PARTIALS_OF_TOKEN_MAX).await.unwrap();
}

#[tokio::test]
async fn a_sender_that_comes_back_takes_over_from_its_silent_connection() {
    let world = World::start().await;
    Publisher::new(&world, "acme").await;
    let token = world.token(Scope::Publish, Some("acme")).await;
    let bytes = blob(100_000);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    sender.send(Ok(Bytes::copy_from_slice(&bytes[..40_000]))).await.unwrap();
    let body = stream::unfold(receiver, async |mut r| r.recv().await.map(|chunk| (chunk, r)));
    let (silent, all) = (world.client(Some(&token)), bytes.clone());
    let stuck = tokio::spawn(async move {
        let piece = Piece { offset: 0, bytes: 100_000, of: 100_000 };
        silent.upload_piece(&Digest::of(&all), piece, reqwest::Body::wrap_stream(body)).await
    });
    let client = world.client(Some(&token));
    let digest = Digest::of(&bytes);
    eventually("the first bytes are there", async || {
        (client.upload_state(&digest).await.unwrap().offset == 40_000).then_some(())
    })
    .await;
    assert!(send(&client, &bytes, 40_000, 60_000).await.unwrap().complete);
    drop(sender);
    assert!(stuck.await.unwrap().is_err());
    assert!(client.has_blob(&digest).await.unwrap());
}

#[tokio::test]
async fn a_package_whose_blobs_came_in_pieces_is_published() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.upload_in_pieces(&package.blobs).await.unwrap();
    let role = publisher.next_role(&package).await;
    let request = publisher.request(&package, &role);
    publisher.client.publish(&package.name, &request).await.unwrap();
}
