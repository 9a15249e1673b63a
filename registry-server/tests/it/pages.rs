//! Pages as they are read without the web front: by search engines, by `curl`, without JavaScript.

use crate::world::{Package, Publisher, World, http};
use skep_api::v1::life::{Deprecation, Reason};
use skep_artifact::layout;
use skep_artifact::manifest::Manifest;

/// What a browser is told when it asks for a page.
struct Answer {
    status: u16,
    policy: String,
    html: String,
}

async fn ask(world: &World, path: &str) -> Answer {
    let url = format!("{}{path}", world.address);
    let answer = http().get(url).header("accept", "text/html,*/*;q=0.8").send().await.unwrap();
    let header = |name: &str| {
        answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (status, policy, kind) =
        (answer.status().as_u16(), header("content-security-policy"), header("content-type"));
    assert_eq!(kind, "text/html; charset=utf-8", "{path}");
    Answer { status, policy, html: answer.text().await.unwrap() }
}

/// The attribute of the first tag that begins so.
fn attribute<'h>(html: &'h str, tag: &str, name: &str) -> Option<&'h str> {
    let rest = &html[html.find(tag)? + tag.len()..];
    let tag = &rest[..rest.find('>')?];
    let value = &tag[tag.find(&format!("{name}=\""))? + name.len() + 2..];
    Some(&value[..value.find('"')?])
}

#[tokio::test]
async fn a_package_is_read_without_a_script() {
    let world = World::with(&[("SKEP_REGISTRY_URL", "https://registry.example")]).await;
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::described("acme/pass", "1.0.0", "Lets all pass")).await.unwrap();
    publisher.publish(&Package::described("acme/pass", "1.1.0", "Lets more pass")).await.unwrap();

    let page = ask(&world, "/p/acme/pass").await;
    assert_eq!(page.status, 200);
    for says in [
        "<title>acme/pass · Skep</title>",
        "Lets more pass",
        "<h1>Pass</h1>",
        "skep pull acme/pass@1.1.0 --policy /etc/skep/policy.toml",
        "href=\"/p/acme/pass/1.0.0\"",
        "Signed by acme with ",
        "<dd>GPL-2.0-only</dd>",
        "pass_all",
    ] {
        assert!(page.html.contains(says), "{says} in {}", page.html);
    }
    let html = &page.html;
    assert_eq!(attribute(html, "<meta name=\"description\"", "content"), Some("Lets more pass"));
    assert_eq!(attribute(html, "property=\"og:title\"", "content"), Some("acme/pass · Skep"));
    let canonical = attribute(html, "<link rel=\"canonical\"", "href");
    assert_eq!(canonical, Some("https://registry.example/p/acme/pass"));
    assert!(html.contains("href=\"/v1/packages/acme/pass/feed.atom\""), "{html}");

    let older = ask(&world, "/p/acme/pass/1.0.0").await;
    assert!(older.html.contains("Version 1.1.0 is newer."), "{}", older.html);
    assert!(older.html.contains("Lets all pass"), "{}", older.html);
}

#[tokio::test]
async fn searching_needs_no_script_and_pages_follow_each_other() {
    let world = World::start().await;
    let home = ask(&world, "/").await;
    assert!(home.html.contains("This registry holds no packages yet"), "{}", home.html);
    let publisher = Publisher::new(&world, "acme").await;
    for i in 0..26 {
        publisher.publish(&Package::new(&format!("acme/pass-{i}"), "1.0.0")).await.unwrap();
    }
    let home = ask(&world, "/").await;
    assert_eq!(home.html.matches("class=\"card\"").count(), 6);
    let first = ask(&world, "/search?q=pass&hook=xdp").await;
    assert_eq!(first.html.matches("class=\"card\"").count(), 24);
    assert!(first.html.contains("26 packages."), "{}", first.html);
    assert!(first.html.contains("<meta name=\"robots\" content=\"noindex\">"));
    let next =
        attribute(&first.html, "<nav class=\"pages\" aria-label=\"Pages of results\"><a", "href");
    let next = next.unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = ask(&world, &next).await;
    assert_eq!(second.html.matches("class=\"card\"").count(), 2);
    let none = ask(&world, "/search?q=nothing-like-that").await;
    assert_eq!((none.status, none.html.matches("class=\"card\"").count()), (200, 0));
    assert!(none.html.contains("No package matches"), "{}", none.html);
}

#[tokio::test]
async fn the_status_says_what_is_there() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    for (path, status) in [
        ("/", 200),
        ("/search", 200),
        ("/nodes", 200),
        ("/p/acme/pass", 200),
        ("/p/acme/pass/1.0.0", 200),
        ("/p/acme/pass/9.9.9", 404),
        ("/p/acme/pass/not-a-version", 404),
        ("/p/acme/none", 404),
        ("/p/%2e%2e/etc", 404),
        ("/some/page", 404),
        ("/missing.js", 404),
    ] {
        let page = ask(&world, path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.html.contains("<h1"), "{path}: {}", page.html);
    }
    let reason = Reason { message: "It was a mistake.".to_owned() };
    world.admin().yank(&package.name, &package.version, &reason).await.unwrap();
    let yanked = ask(&world, "/p/acme/pass/1.0.0").await;
    assert!(yanked.html.contains("yanked by its publisher. It was a mistake."), "{}", yanked.html);
    let instead = Deprecation { message: "Old.".to_owned(), replacement: None };
    world.admin().deprecate(&package.name, None, &instead).await.unwrap();
    let old = ask(&world, "/p/acme/pass").await;
    assert!(old.html.contains("Deprecated: Old."), "{}", old.html);
    world.admin().tombstone(&package.name, &reason).await.unwrap();
    let deleted = ask(&world, "/p/acme/pass").await;
    assert_eq!(deleted.status, 410);
    assert!(deleted.html.contains("acme/pass was deleted"), "{}", deleted.html);
}

#[tokio::test]
async fn no_text_of_an_author_or_an_address_becomes_markup() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let hostile = "</title></textarea><script>alert(1)</script><img src=x onerror=alert(2)>\\\"'";
    let text = format!(
        r#"
[package]
name = "acme/pass"
version = "1.0.0"
license = "GPL-2.0-only"
description = "{hostile}"
readme = "README.md"
repository = "https://example.org/\"><script>alert(3)</script>"
keywords = ["<b>x</b>"]
[[object]]
path = "pass.bpf.o"
arch = ["amd64"]
[[program]]
name = "pass_all"
type = "xdp"
"#
    );
    // What the manifest refuses by itself cannot reach a page; the rest is tried.
    let text = if Manifest::parse(&text).is_ok() {
        text
    } else {
        let kept = |line: &&str| !line.starts_with("repository") && !line.starts_with("keywords");
        text.lines().filter(kept).collect::<Vec<_>>().join("\n")
    };
    let manifest = Manifest::parse(&text).unwrap();
    let readme = "# Title\n\n<script>alert(4)</script>\n\n<iframe src=\"https://a.example\"></iframe>\n\n\
                  [x](javascript:alert(5)) <svg onload=alert(6)> <a href=\"data:text/html,x\">y</a>\n\n\
                  <style>body{display:none}</style> <form action=\"/v1/session\"><input name=a></form>";
    let object = Package::object();
    let blobs = layout::build(&manifest, &[("pass.bpf.o", &object)], Some(readme)).unwrap();
    let package =
        Package { name: "acme/pass".parse().unwrap(), version: "1.0.0".parse().unwrap(), blobs };
    publisher.publish(&package).await.unwrap();

    let script = "%3Cscript%3Ealert(7)%3C/script%3E%22%3E%3Cimg%20src=x%20onerror=alert(8)%3E";
    for path in [
        "/".to_owned(),
        "/search".to_owned(),
        format!("/search?q={script}&hook={script}"),
        "/p/acme/pass".to_owned(),
        "/p/acme/pass/1.0.0".to_owned(),
        format!("/p/acme/{script}"),
        format!("/p/acme/pass/{script}"),
        format!("/{script}"),
    ] {
        let page = ask(&world, &path).await;
        let html = page.html.to_lowercase();
        let own = html.matches("<script type=\"module\" src=\"/app-").count();
        assert_eq!(html.matches("<script").count(), own, "{path}: {html}");
        for bad in [
            "<img",
            "<iframe",
            "<svg onload",
            "\"javascript:",
            "\"data:",
            "<style",
            "<input name=a",
        ] {
            assert!(!html.contains(bad), "{bad} at {path}: {html}");
        }
        let allowed: Vec<&str> = page.policy.split("; ").collect();
        assert!(allowed.contains(&"script-src 'self' 'wasm-unsafe-eval'"), "{}", page.policy);
        assert!(allowed.contains(&"object-src 'none'") && allowed.contains(&"base-uri 'none'"));
        assert!(!page.policy.contains("unsafe-inline") && !page.policy.contains("'unsafe-eval'"));
    }
}

#[tokio::test]
async fn a_page_that_did_not_change_is_not_sent_again() {
    let world = World::start().await;
    let url = format!("{}/search", world.address);
    let first = http().get(&url).send().await.unwrap();
    let etag = first.headers()["etag"].clone();
    let again = http().get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    Publisher::new(&world, "acme")
        .await
        .publish(&Package::new("acme/pass", "1.0.0"))
        .await
        .unwrap();
    let changed = http().get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(changed.status(), 200);
}
