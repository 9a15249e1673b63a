//! Becoming somebody: signed up by an invite, a token made and revoked, a namespace shared, a session that ends.

use skep_e2e::stage::Stage;

use crate::browser::Browser;

const PASSWORD: &str = "correct horse battery";

#[test]
fn somebody_signs_up_makes_a_token_shares_a_namespace_and_is_asked_again_when_the_session_ends() {
    if !crate::can_run(
        "account::somebody_signs_up_makes_a_token_shares_a_namespace_and_is_asked_again_when_the_session_ends",
    ) {
        return;
    }
    let stage = Stage::set().unwrap();
    let invite = stage.world.operator.skep(&["account", "invite"]).unwrap();
    let world = &stage.world;
    let page = Browser::open(&world.hub, world.registry.address(), world.folder()).unwrap();

    page.go("/sign-up").unwrap();
    page.type_into("#name", "anna").unwrap();
    page.type_into("#password", PASSWORD).unwrap();
    page.click("form button[type=submit]").unwrap();
    page.until_says(".fault", "invite").unwrap();
    page.type_into("#invite", invite.trim()).unwrap();
    page.click("form button[type=submit]").unwrap();
    page.until_at("/account").unwrap();
    page.until_says("#account-name", "anna").unwrap();
    page.until_says("header nav", "anna").unwrap();

    page.type_into("#claim-name", "acme").unwrap();
    page.type_into("#claim-key", &stage.publisher.public).unwrap();
    page.click("section[aria-labelledby=claim] button[type=submit]").unwrap();
    page.until_at("/namespaces/acme").unwrap();
    page.until_says(".keys", &stage.publisher.public).unwrap();
    page.until_says("section[aria-labelledby=members]", "anna").unwrap();
    page.click("section[aria-labelledby=make-invite] button[type=submit]").unwrap();
    page.until_says("#new-invite", "skep").unwrap();
    page.click("#new-invite > button").unwrap();
    page.until_says("section[aria-labelledby=invites] tbody", "open").unwrap();

    page.go("/account").unwrap();
    page.until_says("section[aria-labelledby=namespaces] tbody", "acme").unwrap();
    page.type_into("#token-name", "ci").unwrap();
    page.type_into("#token-for", "acme").unwrap();
    page.click("section[aria-labelledby=make-token] button[type=submit]").unwrap();
    let secret = page.text("#new-token pre").unwrap();
    let whoami = {
        let file = world.operator.write("made.token", &secret).unwrap();
        let mut command = world.operator.command(&["--json", "whoami"]).unwrap();
        command.env("SKEP_TOKEN_FILE", file);
        skep_e2e::process::run(&mut command).unwrap().expect_success().unwrap()
    };
    assert!(whoami.contains("\"anna\""), "the token is anna's: {whoami}");
    page.until_says("section[aria-labelledby=tokens] tbody", "publish acme").unwrap();
    page.click("section[aria-labelledby=tokens] tbody button").unwrap();
    page.until_says("section[aria-labelledby=tokens]", "There is no token.").unwrap();

    // The session ends elsewhere; this page finds out when it asks, and says so.
    page.run("await fetch('/v1/sessions', { method: 'DELETE', headers: { 'x-skep-csrf': '1' } });")
        .unwrap();
    page.go("/account").unwrap();
    page.until_says("main", "Your session ended.").unwrap();
    page.type_into("#name", "anna").unwrap();
    page.type_into("#password", "not the password").unwrap();
    page.click(".log-in button[type=submit]").unwrap();
    page.until("it is refused", "document.querySelector('.log-in .fault').innerText.length > 0")
        .unwrap();
    page.type_into("#password", PASSWORD).unwrap();
    page.click(".log-in button[type=submit]").unwrap();
    page.until_says("#account-name", "anna").unwrap();
    page.click("section[aria-labelledby=security] > p button").unwrap();
    page.until_says("header nav", "Log in").unwrap();
    let left = page.evaluate("localStorage.length + sessionStorage.length").unwrap();
    assert_eq!(left, 0, "nothing of the session stays in the browser");
}
