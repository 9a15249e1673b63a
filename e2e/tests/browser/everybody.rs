//! Pages for everybody: no violation that axe finds, in both themes; nothing wider than a phone; pictures of each page
//! where somebody asks for them.

use std::path::PathBuf;

use skep_e2e::stage::Stage;

use crate::browser::Browser;

/// Where `cargo xtask setup` puts axe, below the folder of tools.
const AXE: &str = "axe-core-4.14.1/node_modules/axe-core/axe.min.js";
/// A folder to write pictures of every page into.
const PICTURES: &str = "SKEP_PICTURES";
/// CSS pixels of a phone and of a desk.
const WIDTHS: [u32; 2] = [390, 1280];

#[test]
fn every_page_is_for_everybody_in_both_themes_and_on_a_phone() {
    let test = "everybody::every_page_is_for_everybody_in_both_themes_and_on_a_phone";
    if !crate::can_run(test) {
        return;
    }
    let Some(axe) = axe() else {
        crate::skipped(test, "axe-core is not installed; run `cargo xtask setup`");
        return;
    };
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    stage.publish("ratelimit").unwrap();
    stage.publish_version("firewall", "0.1.1").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    stage.guard_edges().unwrap();
    stage.converged(edge).unwrap();
    let world = &stage.world;
    let page = Browser::open(&world.hub, world.registry.address(), world.folder()).unwrap();
    let mut found = Vec::new();

    let open = [
        ("home", "/", ".card"),
        ("search", "/search?q=firewall", ".card"),
        ("search-empty", "/search?q=nothing-like-that", ".notice"),
        ("package", "/p/skep/firewall", ".badge.good"),
        ("package-versions", "/p/skep/firewall?tab=versions", "#panel tbody tr"),
        ("package-permissions", "/p/skep/firewall?tab=permissions", "#panel tbody tr"),
        ("package-compatibility", "/p/skep/firewall?tab=compatibility", "#panel tbody tr"),
        ("package-config", "/p/skep/firewall?tab=config", "#panel tbody tr"),
        ("package-code", "/p/skep/firewall?tab=code", "#panel tbody tr"),
        ("package-diff", "/p/skep/firewall?tab=diff", "#diff"),
        ("package-security", "/p/skep/firewall?tab=security", "#panel h3"),
        ("package-missing", "/p/skep/none", ".notice"),
        ("missing", "/no/such/page", ".notice"),
        ("namespace", "/namespaces/skep", ".keys"),
        ("log-in", "/log-in", ".sign-in"),
        ("sign-up", "/sign-up", "#invite"),
        ("nodes-refused", "/nodes", ".sign-in"),
    ];
    for at in open {
        found.extend(look(&page, &axe, at));
    }
    let token = ["token", "create", "--name", "reader", "--scope", "read-fleet"];
    let token = world.operator.skep(&token).unwrap();
    page.type_into("#token", token.trim()).unwrap();
    page.click(".sign-in button[type=submit]").unwrap();
    page.until_says("tbody", "edge-1").unwrap();
    let inside = [
        ("nodes", "/nodes", "tbody a"),
        ("node", "/nodes/edge-1", "svg.pipeline"),
        ("policies", "/policies", "tbody a"),
        ("policy", "/policies/edge-guard", ".seats .own"),
        ("audit", "/audit", "tbody tr, .notice"),
    ];
    for at in inside {
        found.extend(look(&page, &axe, at));
    }
    page.click("header nav button").unwrap();

    let invite = world.operator.skep(&["account", "invite"]).unwrap();
    page.go("/sign-up").unwrap();
    page.type_into("#name", "anna").unwrap();
    page.type_into("#password", "correct horse battery").unwrap();
    page.type_into("#invite", invite.trim()).unwrap();
    page.click("form button[type=submit]").unwrap();
    page.until_says("#account-name", "anna").unwrap();
    found.extend(look(&page, &axe, ("account", "/account", "#account-name")));

    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Looks at one page in every theme and width; returns what is wrong with it.
fn look(page: &Browser, axe: &str, (name, path, there): (&str, &str, &str)) -> Vec<String> {
    let mut wrong = Vec::new();
    for width in WIDTHS {
        page.width(width).unwrap();
        page.go(path).unwrap();
        page.until(
            &format!("{there} is on {path}"),
            &format!("!!document.querySelector(`{there}`) && !document.querySelector('.loading')"),
        )
        .unwrap();
        let wide = page.evaluate("document.documentElement.scrollWidth").unwrap();
        if wide.as_u64().is_some_and(|wide| wide > u64::from(width)) {
            wrong.push(format!("{path} at {width} px is {wide} px wide"));
        }
        for theme in ["light", "dark"] {
            page.theme(theme).unwrap();
            let violations = page.run(&format!("{axe}\n{RUN_AXE}")).unwrap();
            for violation in violations.as_array().into_iter().flatten() {
                let text = violation.as_str().unwrap_or_default();
                wrong.push(format!("{path}, {theme}, {width} px: {text}"));
            }
            keep(page, &format!("{name}-{width}-{theme}"));
        }
    }
    wrong
}

/// Rules of axe, each with the first elements that break it.
const RUN_AXE: &str = "const found = await axe.run(document, { resultTypes: ['violations'] });
return found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' … ')}`);";

fn axe() -> Option<String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = cache.filter(|path| path.is_absolute()).or_else(home)?;
    std::fs::read_to_string(cache.join("skep/tools").join(AXE)).ok()
}

/// Writes a picture where somebody asked for pictures, in base64: a text that any tool can turn into a file.
fn keep(page: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os(PICTURES) {
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png.base64")), page.picture().unwrap()).unwrap();
    }
}
