//! Seeing inside: a packet is gone, and a person on the node asks who took it, what the programs cost, and
//! what Prometheus knows. All of it is off again when nobody looks.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use skep_e2e::node::{BLOCKED, GOOD, INTERFACE, LISTENS_AT, Node};
use skep_e2e::stage::{self, Stage};
use skep_e2e::traffic::Stream;
use skep_e2e::{programs, wait};

/// A listener, ended with the test.
struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn skep(node: &Node, words: &[&str]) -> Command {
    let mut command = Command::new(programs::find("skep").unwrap());
    command.args(words).arg("--socket").arg(node.socket());
    command
}

/// Every line that `skep node drops` prints with these words, as JSON.
fn drops(node: &Node, words: &[&str]) -> Vec<Value> {
    let mut command = skep(node, &["--json", "node", "drops", INTERFACE]);
    let output = command.args(words).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{words:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_person_on_the_node_sees_who_drops_packets_and_what_programs_cost() {
    if !crate::can_run("seeing::a_person_on_the_node_sees_who_drops_packets_and_what_programs_cost")
    {
        return;
    }
    let mut stage = Stage::set().unwrap();
    for package in ["firewall", "ratelimit"] {
        stage.publish(package).unwrap();
    }
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let members =
        [stage::guard("skep/firewall@^0.1", "enforce"), stage::limiter("skep/ratelimit@^0.1")];
    stage.apply("edge.yaml", &stage::policy("edge", "role=edge", "xdp", &members)).unwrap();
    stage.converged(edge).unwrap();
    let node = &stage.world.nodes[edge];
    let blocked = Stream::start(&node.peer, BLOCKED, LISTENS_AT, 500).unwrap();
    let good = Stream::start(&node.peer, GOOD, LISTENS_AT, 500).unwrap();

    let told = drops(node, &["--count", "5", "--for", "60s"]);
    assert_eq!(told.len(), 5);
    for event in &told {
        assert_eq!(event["member"]["name"], "guard", "{event}");
        assert_eq!(event["member"]["policy"], "edge");
        assert_eq!(event["member"]["package"], "skep/firewall");
        assert_eq!(event["member"]["version"], "0.1.0");
        assert_eq!((event["verdict"].as_str(), &event["missed"]), (Some("drop"), &false.into()));
        assert_eq!(event["flow"]["source"], BLOCKED.to_string());
        assert_eq!(event["flow"]["destination_port"], LISTENS_AT.port());
        assert_eq!(
            (&event["flow"]["protocol"], &event["ether_type"]),
            (&17.into(), &0x0800.into())
        );
        assert!(event["head"].as_str().unwrap().contains(&hex(b"skep-seq")), "{event}");
    }

    // One reader a hook; one that is killed is forgotten.
    let mut follow = skep(node, &["node", "drops", INTERFACE, "--follow", "--one-in", "10"]);
    let mut first = Listener(follow.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    // Kept open: a listener whose output nobody takes ends by itself.
    let mut printed = BufReader::new(first.0.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    assert!(
        line.contains("guard  skep/firewall 0.1.0  policy edge  drop  UDP 10.7.0.66:"),
        "{line}"
    );
    let second = skep(node, &["node", "drops", INTERFACE]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("drops.taken") && said.contains("one reader at a time"), "{said}");
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    wait::until("the place of the killed listener is free", wait::PATIENCE, || {
        let next =
            skep(node, &["node", "drops", INTERFACE, "--count", "1", "--for", "5s"]).output()?;
        Ok(next.status.success().then_some(()))
    })
    .unwrap();

    // Nothing is timed unless asked for, and what was asked for reaches the registry, too.
    let before = node.chain(&stage.world.operator, "xdp").unwrap();
    assert_eq!(before["members"][0]["counters"]["timed"], 0);
    let mut chain = skep(node, &["node", "chain", INTERFACE, "--time-one-in", "1"]);
    let chain = chain.output().unwrap();
    assert!(chain.status.success(), "{}", String::from_utf8_lossy(&chain.stderr));
    let drawn = String::from_utf8(chain.stdout).unwrap();
    assert!(drawn.contains(" ns a packet") || drawn.contains(" µs a packet"), "{drawn}");
    wait::until("the registry knows what a packet costs", wait::PATIENCE, || {
        let chain = node.chain(&stage.world.operator, "xdp")?;
        let counters = &chain["members"][0]["counters"];
        Ok((counters["timed"].as_u64() > Some(0) && counters["ns"].as_u64() > Some(0))
            .then_some(()))
    })
    .unwrap();

    assert!(blocked.stop().unwrap() > 5);
    good.stop().unwrap();
}

#[test]
fn prometheus_reads_what_the_chains_of_a_node_do() {
    if !crate::can_run("seeing::prometheus_reads_what_the_chains_of_a_node_do") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    let edge = stage.add_node("edge-1", "role=edge").unwrap();
    let members = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("edge.yaml", &stage::policy("edge", "role=edge", "xdp", &members)).unwrap();
    stage.converged(edge).unwrap();
    let node = &mut stage.world.nodes[edge];
    let socket = node.state().join("metrics.sock");
    assert!(!socket.exists(), "off unless configured");
    node.stop_agent().unwrap();
    let address = format!("unix:{}", socket.display());
    node.start_agent_with(&["--metrics", &address, "--time-one-in", "2"]).unwrap();
    let stream = Stream::start(&node.peer, BLOCKED, LISTENS_AT, 500).unwrap();
    let value = |text: &str, metric: &str| -> f64 {
        let mut lines = text.lines().filter(|line| line.starts_with(&format!("{metric}{{")));
        let line = lines.find(|line| line.contains("member=\"guard\"")).unwrap_or("0 0");
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    // The agent answers a moment before it serves metrics and has switched timing on.
    wait::until("some packets were timed", wait::PATIENCE, || {
        let served = socket.exists();
        Ok((served && value(&scrape(&socket), "skep_member_timed_packets_total") > 0.0)
            .then_some(()))
    })
    .unwrap();
    let sent = stream.stop().unwrap();
    let text = wait::until("every packet was counted", wait::PATIENCE, || {
        let text = scrape(&socket);
        Ok((value(&text, "skep_member_drops_total") >= sent as f64).then_some(text))
    })
    .unwrap();
    let labels = "interface=\"eth0\",hook=\"xdp\",policy=\"edge\",member=\"guard\",package=\"skep/firewall\",version=\"0.1.0\"";
    assert!(text.contains(&format!("skep_member_packets_total{{{labels}}} {sent}\n")), "{text}");
    let timed = value(&text, "skep_member_timed_packets_total");
    assert!(timed > 0.0 && timed < sent as f64, "{timed} of {sent}");
    assert!(
        text.contains("backend=\"slots\"") && text.contains("skep_chain_generation{"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
}

/// The text that Prometheus gets.
fn scrape(socket: &std::path::Path) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    body.to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
