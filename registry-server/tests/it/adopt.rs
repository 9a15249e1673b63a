//! Versions that were signed for another registry: taken over as they are, all of a call or none.

use crate::world::{Package, Publisher, World, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::v1::adopt::{AdoptRequest, AdoptedVersion};
use skep_artifact::key::SecretKey;
use skep_artifact::role::Role;

fn adopted(package: &Package) -> AdoptedVersion {
    AdoptedVersion {
        name: package.name.clone(),
        version: package.version.clone(),
        index: package.index(),
        blobs: package.blobs.all().iter().map(|blob| blob.digest).collect(),
    }
}

fn request(role: &[u8], packages: &[&Package]) -> AdoptRequest {
    let versions = packages.iter().map(|package| adopted(package)).collect();
    AdoptRequest { role: BASE64.encode(role), versions }
}

#[tokio::test]
async fn versions_from_elsewhere_come_in_together_under_the_role_file_they_came_with() {
    let (here, there) = (World::start().await, World::start().await);
    let (old, new) = (Package::new("acme/pass", "1.0.0"), Package::new("acme/pass", "1.1.0"));
    let upstream = Publisher::new(&here, "acme").await;
    upstream.publish(&old).await.unwrap();
    let first = here.anonymous().role(&upstream.namespace, 1 << 20).await.unwrap().unwrap();
    upstream.publish(&new).await.unwrap();
    let second = here.anonymous().role(&upstream.namespace, 1 << 20).await.unwrap().unwrap();

    let mirror = Publisher::new(&there, "acme").await;
    let (client, namespace) = (&mirror.client, &mirror.namespace);
    mirror.upload(&old.blobs).await.unwrap();
    // One of two is not here: neither becomes visible.
    let both = request(&second, &[&old, &new]);
    let refused = refusal(client.adopt(namespace, &both).await);
    assert_eq!(refused, (422, "blob.missing".into()));
    assert_eq!(there.anonymous().packages(&Default::default()).await.unwrap().total, 0);

    mirror.upload(&new.blobs).await.unwrap();
    let receipt = client.adopt(namespace, &both).await.unwrap();
    assert_eq!((receipt.added.len(), receipt.role_version), (2, 2));
    let anyone = there.anonymous();
    assert_eq!(anyone.role(namespace, 1 << 20).await.unwrap().unwrap(), second);
    let index = anyone.manifest(&new.name, &new.index(), 1 << 20).await.unwrap();
    assert_eq!(index, new.blobs.index.bytes);
    let (_, logged) = crate::log::whole_log(&anyone).await;
    assert_eq!(logged.len(), 3, "the delegation and both versions are in the log");
    // Again, and from an older bundle: nothing changes.
    for role in [&second, &first] {
        let packages: &[&Package] = if *role == second { &[&old, &new] } else { &[&old] };
        let receipt = client.adopt(namespace, &request(role, packages)).await.unwrap();
        assert_eq!((receipt.added.len(), receipt.role_version), (0, 2));
    }
    assert_eq!(anyone.role(namespace, 1 << 20).await.unwrap().unwrap(), second);
}

#[tokio::test]
async fn what_was_not_signed_so_is_not_taken_over() {
    let (here, there) = (World::start().await, World::start().await);
    let package = Package::new("acme/pass", "1.0.0");
    let upstream = Publisher::new(&here, "acme").await;
    upstream.publish(&package).await.unwrap();
    let bytes = here.anonymous().role(&upstream.namespace, 1 << 20).await.unwrap().unwrap();
    let mirror = Publisher::new(&there, "acme").await;
    let (client, namespace) = (&mirror.client, &mirror.namespace);
    mirror.upload(&package.blobs).await.unwrap();
    let role = Role::read_unverified(&bytes, namespace).unwrap();

    let stranger = [SecretKey::from_seed([9; 32])];
    let forged = request(&role.sign(&stranger).unwrap(), &[&package]);
    let refused = refusal(client.adopt(namespace, &forged).await);
    assert_eq!(refused, (422, "package.signature_untrusted".into()));
    // Listed by nobody.
    let other = Package::new("acme/other", "1.0.0");
    mirror.upload(&other.blobs).await.unwrap();
    let refused = refusal(client.adopt(namespace, &request(&bytes, &[&other])).await);
    assert_eq!(refused, (422, "package.refused".into()));
    let nothing = AdoptRequest { role: BASE64.encode(&bytes), versions: Vec::new() };
    assert_eq!(refusal(client.adopt(namespace, &nothing).await).0, 400);
    // Somebody who may publish one package only, or elsewhere, may not bring a whole role file.
    let reader =
        there.client(Some(&there.token(skep_api::v1::tokens::Scope::ReadFleet, None).await));
    assert_eq!(refusal(reader.adopt(namespace, &request(&bytes, &[&package])).await).0, 403);
    assert_eq!(there.anonymous().packages(&Default::default()).await.unwrap().total, 0);

    client.adopt(namespace, &request(&bytes, &[&package])).await.unwrap();
    // The same number with other content, signed by the very keys: a fork.
    let mut fork = Role::new(namespace.clone(), 1, "2036-01-01T00:00:00Z").unwrap();
    fork.add(other.target(1)).unwrap();
    let fork = fork.sign(std::slice::from_ref(&mirror.key)).unwrap();
    let refused = refusal(client.adopt(namespace, &request(&fork, &[&other])).await);
    assert_eq!(refused, (409, "namespace.role_forked".into()));
    // A newer one that drops what was published.
    let mut rewrite = Role::new(namespace.clone(), 2, "2036-01-01T00:00:00Z").unwrap();
    rewrite.add(other.target(1)).unwrap();
    let rewrite = rewrite.sign(std::slice::from_ref(&mirror.key)).unwrap();
    let refused = refusal(client.adopt(namespace, &request(&rewrite, &[&other])).await);
    assert_eq!(refused, (422, "package.refused".into()));
}
