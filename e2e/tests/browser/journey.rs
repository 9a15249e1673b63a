//! From the home page to the moving counters of a node.

use skep_e2e::node::{BLOCKED, GOOD, LISTENS_AT};
use skep_e2e::stage::Stage;
use skep_e2e::traffic::Stream;

use crate::browser::Browser;

#[test]
fn a_reader_finds_a_package_verifies_it_and_watches_it_run() {
    if !crate::can_run("journey::a_reader_finds_a_package_verifies_it_and_watches_it_run") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.guard_edges().unwrap();
    stage.converged(edge).unwrap();
    let peer = &stage.world.nodes[edge].peer;
    let _good = Stream::start(peer, GOOD, LISTENS_AT, 300).unwrap();
    let _blocked = Stream::start(peer, BLOCKED, LISTENS_AT, 100).unwrap();

    let page =
        Browser::open(&stage.world.hub, stage.world.registry.address(), stage.world.folder())
            .unwrap();
    page.go("/").unwrap();
    assert_eq!(page.text("h1").unwrap(), "Find a program for your packets");
    page.type_into("#search-text", "firewall").unwrap();
    page.click(".search button[type=submit]").unwrap();

    page.until_at("/search?q=firewall").unwrap();
    page.click(".card a[href='/p/skep/firewall']").unwrap();

    page.until_at("/p/skep/firewall").unwrap();
    assert!(page.text("#signed-by").unwrap().starts_with("Signed by skep with "));
    page.until_says("#verified", "verified here just now").unwrap();
    page.until(
        "four checks passed",
        "document.querySelectorAll('.checks strong.good').length === 4",
    )
    .unwrap();

    page.click("nav a[href='/nodes']").unwrap();
    page.type_into("#token", "not-a-token").unwrap();
    page.click(".sign-in button[type=submit]").unwrap();
    page.until_says(".notice.refused", "Refused").unwrap();
    let token = stage
        .world
        .operator
        .skep(&["token", "create", "--name", "reader", "--scope", "read-fleet"])
        .unwrap();
    page.type_into("#token", token.trim()).unwrap();
    page.click(".sign-in button[type=submit]").unwrap();
    page.click("a[href='/nodes/edge-1']").unwrap();

    page.until_at("/nodes/edge-1").unwrap();
    page.until(
        "the picture names both members",
        "/guard passes .*limiter passes/.test(\
         document.querySelector('svg.pipeline.wide')?.getAttribute('aria-label') ?? '')",
    )
    .unwrap();
    page.until("what is dropped leaves the line", "!!document.querySelector('svg.wide path.drop')")
        .unwrap();
    page.until_says("tr[data-member=guard]", "edge-guard r1").unwrap();
    let packets = "Number(document.querySelector('tr[data-member=guard] .packets')\
                   ?.innerText.replaceAll(',', ''))";
    let before = page.until("packets are counted", packets).unwrap().as_f64().unwrap();
    page.until("the counter moves", &format!("{packets} > {before}")).unwrap();
    page.until_says("tr[data-member=guard] .rate", "/s").unwrap();
    page.until_says("#live", "live").unwrap();
}

#[test]
fn the_browser_refuses_a_package_whose_bytes_were_changed_in_the_registry() {
    if !crate::can_run(
        "journey::the_browser_refuses_a_package_whose_bytes_were_changed_in_the_registry",
    ) {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    assert!(stage.world.registry.tamper_with_layers().unwrap().count() > 0);
    // Started again, so that it serves what is on its disk and nothing it remembers.
    stage.world.registry.stop().unwrap();
    stage.world.registry.start_again(&stage.world.hub).unwrap();
    let page =
        Browser::open(&stage.world.hub, stage.world.registry.address(), stage.world.folder())
            .unwrap();
    page.go("/p/skep/firewall").unwrap();
    page.until_says("#verified", "verification failed here").unwrap();
    page.until_says(".checks", "What came for sha256:").unwrap();
    page.go("/no/such/page").unwrap();
    assert_eq!(page.text("h1").unwrap(), "This page does not exist");
}
