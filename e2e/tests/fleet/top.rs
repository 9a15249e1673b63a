//! `skep top` as a person meets it, on a terminal of its own, and as a script does.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use skep_e2e::node::{GOOD, INTERFACE, LISTENS_AT};
use skep_e2e::traffic::Stream;
use skep_e2e::wait;

use crate::can_run;
use crate::local::Host;

/// Lines of the terminal.
const LINES: NonZero<u16> = NonZero::new(24).unwrap();

/// A terminal, and what stands on it.
struct Screen {
    keyboard: std::fs::File,
    screen: Arc<Mutex<vt100::Parser>>,
    child: std::process::Child,
}

impl Screen {
    fn open(host: &Host, words: &[&str], columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let size = Winsize { ws_row: LINES.get(), ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let end = std::fs::File::options().read(true).write(true).open(name).unwrap();
        let mut command = host.command(words);
        command.env("TERM", "xterm-256color");
        let child = command
            .stdin(Stdio::from(end.try_clone().unwrap()))
            .stdout(Stdio::from(end.try_clone().unwrap()))
            .stderr(Stdio::from(end))
            .spawn()
            .unwrap();
        let keyboard = std::fs::File::from(master);
        let screen =
            Arc::new(Mutex::new(vt100::Parser::new(LINES, NonZero::new(columns).unwrap(), 0)));
        let (mut reader, into) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        // Ends when the last program on the terminal has closed it.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                into.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { keyboard, screen, child }
    }

    fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&self, columns: u16) {
        let size = Winsize { ws_row: LINES.get(), ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        self.screen.lock().unwrap().screen_mut().set_size(LINES, NonZero::new(columns).unwrap());
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// Waits until something stands on the screen.
    fn shows(&self, what: &str) {
        let found = wait::until(&format!("`{what}` on the screen"), wait::PATIENCE, || {
            Ok(self.screen.lock().unwrap().screen().contents().contains(what).then_some(()))
        });
        let contents = || self.screen.lock().unwrap().screen().contents();
        assert!(found.is_ok(), "`{what}` is not on the screen:\n{}", contents());
    }

    /// Whether a program has taken the whole screen, to give it back later.
    fn is_taken(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    fn ends(&mut self) -> Option<i32> {
        let ended = || Ok(self.child.try_wait()?);
        wait::until("skep top ends", wait::PATIENCE, ended).unwrap().code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn on_a_terminal_a_member_is_seen_and_q_gives_the_terminal_back() {
    if !can_run("top::on_a_terminal_a_member_is_seen_and_q_gives_the_terminal_back") {
        return;
    }
    let host = Host::new("top");
    let folder = host.signed("ratelimit");
    host.ok(&["run", &folder, "-i", INTERFACE, "--key", &host.public, "--detach"]);
    let stream = Stream::start(&host.node.peer, GOOD, LISTENS_AT, 500).unwrap();
    let mut screen = Screen::open(&host, &["top"], 80);
    screen.shows("skep/ratelimit 0.1.0");
    screen.shows("/s");
    screen.type_keys("s");
    screen.shows("by packets");
    assert!(screen.is_taken());
    // A wide window has a column more.
    screen.resize(120);
    screen.shows("sent off");
    screen.type_keys("/nothing-like-it");
    screen.shows("Nothing here matches the filter");
    screen.type_keys("\u{1b}");
    screen.shows("skep/ratelimit 0.1.0");
    screen.type_keys("q");
    assert_eq!(screen.ends(), Some(0));
    assert!(!screen.is_taken(), "the terminal is as it was");
    stream.stop().unwrap();
    host.ok(&["run", "--stop", INTERFACE]);
}

#[test]
fn without_a_terminal_it_prints_one_reading() {
    if !can_run("top::without_a_terminal_it_prints_one_reading") {
        return;
    }
    let host = Host::new("once");
    let empty = host.ok(&["top", "--once"]);
    assert!(empty.contains("No chain of Skep runs on this host"), "{empty}");
    let folder = host.signed("ratelimit");
    host.ok(&["run", &folder, "-i", INTERFACE, "--key", &host.public, "--detach"]);
    for words in [["top", "--once"], ["top", "--interval=5s"]] {
        let text = host.ok(&words);
        assert!(text.contains("eth0 xdp native · "), "{text}");
        assert!(text.contains(" · of run · "), "{text}");
        assert!(text.contains("20 ratelimit"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
    let shown = host.json(&["top"]);
    assert_eq!(shown["chains"][0]["keeper"], "run");
    assert_eq!(shown["chains"][0]["members"][0]["name"], "ratelimit");
    host.fails(&["top", "--socket", "/nonexistent/agent.sock"], 1, &["No agent answers"]);
    host.ok(&["run", "--stop", INTERFACE]);
}
