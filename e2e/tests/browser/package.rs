//! Judging a package: its tabs by mouse and keyboard, two versions side by side, and authors who try to run something in
//! a reader's browser.

use skep_e2e::stage::Stage;

use crate::browser::Browser;

fn open(stage: &Stage) -> Browser {
    let world = &stage.world;
    Browser::open(&world.hub, world.registry.address(), world.folder()).unwrap()
}

#[test]
fn a_reader_judges_a_package_by_its_tabs_and_compares_versions() {
    if !crate::can_run("package::a_reader_judges_a_package_by_its_tabs_and_compares_versions") {
        return;
    }
    let stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish_version("firewall", "0.2.0").unwrap();
    let page = open(&stage);
    page.go("/p/skep/firewall").unwrap();
    page.until_says("h1 .version", "0.2.0").unwrap();
    page.until_says("#verified", "verified here just now").unwrap();

    page.click("#tab-permissions").unwrap();
    page.until_at("/p/skep/firewall/0.2.0?tab=permissions").unwrap();
    page.until_says("#panel", "pass and drop packets").unwrap();
    // What was verified stays verified: the page is the same.
    page.until_says("#verified", "verified here just now").unwrap();

    page.press("#tab-permissions", "\u{e014}").unwrap();
    page.until_at("/p/skep/firewall/0.2.0?tab=compatibility").unwrap();
    page.until_says("#panel tbody", "Linux 6.12").unwrap();
    page.until(
        "one stop for the Tab key, on the chosen tab, which has the focus",
        "document.querySelectorAll('[role=tab][tabindex=\"0\"]').length === 1 && \
         document.activeElement.id === 'tab-compatibility' && \
         document.activeElement.getAttribute('aria-selected') === 'true'",
    )
    .unwrap();

    page.click("#tab-config").unwrap();
    page.until_says("#panel", "default-deny").unwrap();
    page.click("#tab-code").unwrap();
    page.until_says("#panel", "xdp_firewall").unwrap();
    page.click("#tab-security").unwrap();
    page.until_says("#panel", "Nobody revoked this version.").unwrap();
    page.until_says("#panel", "Nobody attested anything").unwrap();

    page.click("#tab-diff").unwrap();
    page.until_says("#panel", "Compared: 0.1.0 with 0.2.0").unwrap();

    page.click("#tab-versions").unwrap();
    page.click("#panel a[href='/p/skep/firewall/0.1.0']").unwrap();
    page.until_says("h1 .version", "0.1.0").unwrap();
    page.until_says(".page-head", "Version 0.2.0 is newer.").unwrap();

    page.go("/p/skep/firewall/0.2.0?tab=diff&from=0.1.0").unwrap();
    page.until(
        "the address chose the tab",
        "document.querySelector('#tab-diff').ariaSelected === 'true'",
    )
    .unwrap();
}

#[test]
fn nothing_an_author_wrote_runs_in_a_readers_browser() {
    if !crate::can_run("package::nothing_an_author_wrote_runs_in_a_readers_browser") {
        return;
    }
    let stage = Stage::set().unwrap();
    let folder = stage.package("firewall");
    let readme = "# Firewall\n\n<script>window.ran = 1</script>\n\n<img src=x onerror=\"window.ran = 2\">\n\n\
                  <svg onload=\"window.ran = 3\"></svg> [x](javascript:window.ran=4)\n\n\
                  <form action=\"/v1/sessions\"><input name=\"password\"></form>\n\nThe end.\n";
    std::fs::write(folder.join("README.md"), readme).unwrap();
    let manifest = std::fs::read_to_string(folder.join("skep.toml")).unwrap();
    let hostile = "<img src=x onerror='window.ran=5'><script>window.ran=6</script>";
    let lines = manifest.lines().map(|line| match line.split_once('=') {
        Some((key, _)) if key.trim() == "description" => format!("description = \"{hostile}\""),
        _ => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    std::fs::write(folder.join("skep.toml"), lines.join("\n") + "\n").unwrap();
    stage.publish("firewall").unwrap();

    let page = open(&stage);
    let quiet = |page: &Browser| {
        page.until(
            "nothing ran",
            "window.ran === undefined && !document.querySelector('main img, main form input[name=password]')",
        )
        .unwrap();
    };
    page.go("/p/skep/firewall").unwrap();
    page.until_says("#panel", "The end.").unwrap();
    page.until_says(".lead", "<img src=x").unwrap();
    quiet(&page);
    for tab in ["versions", "permissions", "compatibility", "config", "code", "diff", "security"] {
        page.click(&format!("#tab-{tab}")).unwrap();
        page.until_says("#panel h2", "").unwrap();
        quiet(&page);
    }
    let script = "%3Cimg%20src=x%20onerror=%22window.ran=7%22%3E";
    for path in ["/".to_owned(), format!("/search?q={script}"), format!("/p/skep/{script}")] {
        page.go(&path).unwrap();
        quiet(&page);
    }
}
