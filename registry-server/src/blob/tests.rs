//! The folder of blobs: what was put is read back, and whatever is wrong leaves nothing.

use super::*;
use futures::stream;

pub(super) fn body(
    chunks: &[&'static [u8]],
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Unpin + use<> {
    let chunks: Vec<_> = chunks.iter().map(|c| Ok(Bytes::from_static(c))).collect();
    stream::iter(chunks)
}

async fn put(
    store: &BlobStore,
    digest: Digest,
    limit: u64,
    body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
) -> Result<u64, BlobError> {
    store.keep(store.receive(limit, body).await?, digest).await
}

fn left_behind(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("tmp")).unwrap().count()
}

#[tokio::test]
async fn what_was_put_is_read_back_and_a_wrong_or_oversize_body_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path(), Faults::default()).unwrap();
    let digest = Digest::of(b"hello world");
    assert_eq!(put(&store, digest, 100, body(&[b"hello ", b"world"])).await.unwrap(), 11);
    assert_eq!(&store.read_blocking(&digest, 100).unwrap()[..], b"hello world");
    let Opened::Whole(bytes) = store.open_blob(&digest).await.unwrap() else {
        panic!("a small blob comes whole")
    };
    assert_eq!(&bytes[..], b"hello world");

    let other = Digest::of(b"other");
    let wrong = put(&store, other, 100, body(&[b"evil"])).await;
    assert!(matches!(wrong, Err(BlobError::WrongDigest { .. })));
    let long = put(&store, other, 4, body(&[b"other"])).await;
    assert!(matches!(long, Err(BlobError::TooLarge { limit: 4 })));
    assert!(!store.has(&other).await.unwrap());
    assert_eq!(left_behind(folder.path()), 0);

    store.remove_blocking(&digest).unwrap();
    assert!(matches!(store.open_blob(&digest).await, Err(BlobError::Missing { .. })));
}

#[test]
fn opening_clears_what_a_killed_upload_left() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("tmp")).unwrap();
    std::fs::write(folder.path().join("tmp/0"), b"half").unwrap();
    BlobStore::open(folder.path(), Faults::default()).unwrap();
    assert_eq!(left_behind(folder.path()), 0);
}
