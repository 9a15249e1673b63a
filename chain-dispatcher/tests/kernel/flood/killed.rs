//! The same swaps by a process of its own that is killed with SIGKILL, after each step of a swap in
//! turn and at moments that nobody chose, and followed by the next one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{Backend, Engine, Loadable, Observer, Step};
use skep_trust::LocallyTrusted;

use crate::flood::report::{Report, count};
use crate::flood::traffic::Traffic;
use crate::flood::{ALL, SWAPS_PER_ROUND, Way, begin};
use crate::place::{Place, at};

const ORDER: &str = "SKEP_TEST_SWAPPER";
/// Swaps that one process makes before it is killed in the middle of the next.
const SWAPS_PER_LIFE: u32 = 4;
/// Kills that wait for no step come this much later from one life to the next, within the time that
/// a swap takes.
const MOMENT_US: u64 = 1237;
const MOMENTS_US: u64 = 20_000;

/// What a swapper is told, in one variable.
struct Order {
    way: Way,
    /// The first version it applies.
    from: u32,
    /// The version in whose swap it stops to be killed.
    dies_in: u32,
    /// After which step; none: it goes on and is killed wherever it is by then.
    after: Option<usize>,
    object: std::path::PathBuf,
    root: std::path::PathBuf,
}

impl Order {
    fn to_text(&self) -> String {
        let after = self.after.map_or("-".to_owned(), |step| step.to_string());
        let (object, root) = (self.object.display(), self.root.display());
        format!("{} {} {} {after} {object} {root}", self.way.backend, self.from, self.dies_in)
    }

    fn from_text(text: &str) -> Self {
        let parts: Vec<&str> = text.split(' ').collect();
        let backend: Backend = parts[0].parse().unwrap();
        Self {
            way: ALL.into_iter().find(|way| way.backend == backend).unwrap(),
            from: parts[1].parse().unwrap(),
            dies_in: parts[2].parse().unwrap(),
            after: parts[3].parse().ok(),
            object: parts[4].into(),
            root: parts[5].into(),
        }
    }
}

/// The swapper. Run as a test of its own, without an order, it has nothing to do but to show that an
/// order survives its trip through the environment.
#[test]
fn an_order_to_a_swapper_arrives_as_it_was_given() {
    let Ok(text) = std::env::var(ORDER) else {
        let order = Order {
            way: ALL[0],
            from: 3,
            dies_in: 12,
            after: Some(4),
            object: "/a".into(),
            root: "/b".into(),
        };
        let arrived = Order::from_text(&order.to_text());
        assert_eq!(arrived.to_text(), order.to_text());
        assert_eq!(arrived.after, Some(4));
        return;
    };
    let order = Order::from_text(&text);
    let bytes = std::fs::read(&order.object).unwrap();
    let object = Loadable::Local(LocallyTrusted::by_explicit_consent(bytes).unwrap());
    let engine = Engine::open(crate::place::config_at(&order.root)).unwrap();
    for version in order.from.. {
        if version == order.dies_in {
            say(&format!("dying {version}"));
        }
        let mut step = 0;
        let chain = order.way.chain(&object, version);
        let told = &mut |done: &Step| {
            if version == order.dies_in && order.after == Some(step) {
                say(&format!("after {step} {}", name(done)));
                wait_for_the_end();
            }
            step += 1;
        };
        engine.apply_telling(&chain, told).unwrap();
        say(&format!("done {version}"));
    }
}

/// One line to the parent, past libtest, which keeps what `println!` says.
fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "swapper {line}").unwrap();
    out.flush().unwrap();
}

/// The parent never writes: this ends when it kills us, or when it is gone itself.
fn wait_for_the_end() {
    let read = std::io::stdin().read(&mut [0]);
    panic!("the parent is gone: {read:?}");
}

fn name(step: &Step) -> String {
    let value = serde_json::to_value(step).unwrap();
    value["step"].as_str().unwrap().to_owned()
}

/// A running swapper.
struct Swapper {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Swapper {
    fn start(order: &Order) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "flood::killed::an_order_to_a_swapper_arrives_as_it_was_given"])
            .arg("--nocapture")
            .env(ORDER, order.to_text())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says next; none once it has ended.
    fn next(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.unwrap();
            // libtest writes the test's name in front of the first line.
            if let Some((_, said)) = line.split_once("swapper ") {
                return Some(said.to_owned());
            }
        }
    }

    /// SIGKILL, and the proof that it was that which ended it. Gives what it had said meanwhile.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{status:?}");
        std::iter::from_fn(|| self.next()).collect()
    }
}

pub(super) fn swaps_under_flood(way: Way) {
    Place::run_with(way.backend, &[way.hook], |place| {
        let swaps = count("SKEP_SOAK_KILLED_SWAPS", 40);
        let mut report = Report::new("killed", way.backend);
        let mut lives = 0;
        let mut points = usize::MAX;
        // Every point is hit at least once, however few swaps are asked for.
        while report.swaps() < swaps || lives < points {
            let round = SWAPS_PER_ROUND.min(swaps.saturating_sub(report.swaps()).max(1));
            // Twice the room: processes come and go in between.
            let traffic = Traffic::for_swaps(round * 2);
            let engine = place.engine();
            begin(&engine, way, &traffic);
            let steps = engine.plan(&way.chain(&traffic.object, 1)).unwrap().steps.len();
            points = steps + 1;
            let object = place.root.with_extension("o");
            std::fs::write(&object, traffic.object.bytes()).unwrap();
            let (mut done, mut from) = (0, 1);
            let flood = traffic.around(place, || {
                while done < round || lives < points {
                    // One life in each turn is ended at a moment that nobody chose.
                    let after = Some(lives % points).filter(|step| *step < steps);
                    let dies_in = from + SWAPS_PER_LIFE;
                    let (object, root) = (object.clone(), place.root.clone());
                    let order = Order { way, from, dies_in, after, object, root };
                    let late = Duration::from_micros(lives as u64 * MOMENT_US % MOMENTS_US);
                    let life = one_life(&order, late);
                    *report.kills.entry(life.ended).or_default() += 1;
                    (lives, done, from) = (lives + 1, done + life.swaps, life.version + 1);
                    whole(place, way.hook);
                }
            });
            place.engine().apply(&way.chain(&traffic.object, u32::MAX >> 8)).unwrap();
            report.add(done, &flood, &traffic.met(place, way.hook, &flood));
        }
        report.finish();
        assert_eq!(report.kills.len(), points, "every step is a point: {:?}", report.kills);
    });
}

/// How a swapper ended.
struct Life {
    /// The point where it was killed.
    ended: String,
    /// The swaps that it finished.
    swaps: u32,
    /// The last version that it tried.
    version: u32,
}

/// Lets one swapper live until it is killed, `late` after it began a swap if the order names no step.
fn one_life(order: &Order, late: Duration) -> Life {
    let mut swapper = Swapper::start(order);
    let mut life = Life { ended: String::new(), swaps: 0, version: order.dies_in };
    loop {
        let said = swapper.next().expect("it ended before it was killed");
        if said.starts_with("done ") {
            life.swaps += 1;
        } else if said.starts_with("dying ") && order.after.is_none() {
            std::thread::sleep(late);
            let unread = swapper.kill();
            let finished = unread.iter().filter(|said| said.starts_with("done ")).count();
            let finished = u32::try_from(finished).unwrap();
            life.version += finished;
            life.swaps += finished;
            life.ended = "at any moment".to_owned();
            return life;
        } else if let Some(point) = said.strip_prefix("after ") {
            life.ended = format!("after {point}");
            swapper.kill();
            return life;
        }
    }
}

/// What is there right after a death, before anybody has opened the pins: a chain of two.
fn whole(place: &Place, hook: Hook) {
    let chain = Observer::of(&place.root)
        .with_libxdp_root(place.libxdp_root())
        .observe_hook(&at(hook))
        .unwrap();
    assert_eq!(chain.members.len(), 2, "{chain:?}");
}
