//! The finished agent, asked what happens inside its chains: who dropped a packet, how long programs
//! take, metrics. What was switched on for somebody is off when they are gone.

use crate::host::{Host, at};
use crate::process::{Agent, socket_of, until, with_an_enrolled_host};
use crate::signed::DROP;
use skep_api::v1::drops::DropLine;
use skep_artifact::hook::{Hook, Verdict};
use skep_chain_dispatcher::Sampling;
use skep_node_agent::socket::{self, Answer, Request};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longer than any answer on a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who listens to drops.
struct Listener(BufReader<UnixStream>);

impl Listener {
    fn of(host: &Host, one_in: u32) -> Self {
        let mut stream = UnixStream::connect(socket_of(host)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let question = format!(
            "{{\"op\":\"drops\",\"interface\":\"skep0\",\"hook\":\"xdp\",\"one_in\":{one_in}}}\n"
        );
        stream.write_all(question.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> DropLine {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }
}

fn told_one_in(host: &Host) -> u32 {
    host.engine().seeing(&at("skep0", Hook::Xdp)).unwrap().drops.one_in
}

#[test]
fn drops_are_told_while_somebody_listens_and_not_after() {
    if !crate::can_run("seeing::drops_are_told_while_somebody_listens_and_not_after") {
        return;
    }
    with_an_enrolled_host(|host| {
        let agent = Agent::start(host);
        assert_eq!(told_one_in(host), 0, "off unless somebody asks");
        let mut listener = Listener::of(host, 1);
        assert_eq!(listener.line(), DropLine::Open { one_in: 1 });
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
        let event = loop {
            match listener.line() {
                DropLine::Drop(event) => break event,
                DropLine::Tally { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        let by = event.member.unwrap();
        assert_eq!((by.policy.as_str(), by.name.as_str()), ("fw", "guard"));
        assert_eq!(by.version.as_deref(), Some("1.0.0"));
        assert!(by.package.is_some());
        assert_eq!((event.interface.as_str(), event.hook), ("skep0", Hook::Xdp));
        assert_eq!((event.verdict, event.missed, event.length), (Some(Verdict::Drop), false, 60));
        assert!(event.head.starts_with("020000000001020000000002"), "{}", event.head);
        let tally = loop {
            if let DropLine::Tally { told, lost } = listener.line() {
                break (told, lost);
            }
        };
        assert_eq!(tally, (1, 0));

        let mut second = Listener::of(host, 1);
        let DropLine::End { code, message } = second.line() else { panic!("one at a time") };
        assert_eq!(code, "drops.taken", "{message}");
        // The agent answers others all the while.
        assert!(matches!(socket::ask(&socket_of(host), &Request::Status), Ok(Answer::Status(_))));
        drop(listener);
        until(|| told_one_in(host) == 0);

        let mut third = Listener::of(host, 64);
        assert_eq!(third.line(), DropLine::Open { one_in: 64 });
        assert_eq!(told_one_in(host), 64);
        agent.kill();
        // Nobody renews the lease, and the next agent's listener finds the stream free.
        let _agent = Agent::start(host);
        until(|| matches!(Listener::of(host, 8).line(), DropLine::Open { one_in: 8 }));
        host.engine().detach_all().unwrap();
    });
}

#[test]
fn drops_of_a_hook_without_a_chain_are_refused_with_the_reason() {
    if !crate::can_run("seeing::drops_of_a_hook_without_a_chain_are_refused_with_the_reason") {
        return;
    }
    with_an_enrolled_host(|host| {
        let _agent = Agent::start(host);
        let mut stream = UnixStream::connect(socket_of(host)).unwrap();
        let ask =
            b"{\"op\":\"drops\",\"interface\":\"skep0\",\"hook\":\"tc-ingress\",\"one_in\":1}\n";
        stream.write_all(ask).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let DropLine::End { code, message } = serde_json::from_str(&answer).unwrap() else {
            panic!("{answer}")
        };
        assert_eq!(code, "chain.none");
        assert!(message.contains("skep0 tc-ingress"), "{message}");
    });
}

#[test]
fn packets_are_timed_as_the_settings_say_and_more_closely_for_a_while() {
    if !crate::can_run("seeing::packets_are_timed_as_the_settings_say_and_more_closely_for_a_while")
    {
        return;
    }
    with_an_enrolled_host(|host| {
        let timing = || host.engine().seeing(&at("skep0", Hook::Xdp)).unwrap().timing;
        let agent = Agent::start_with(host, &["--time-one-in", "1000"]);
        until(|| timing().one_in == 1000);
        let closely =
            Request::Time { interface: "skep0".to_owned(), hook: None, one_in: 1, secs: 60 };
        let Ok(Answer::Timed { places }) = socket::ask(&socket_of(host), &closely) else {
            panic!("timed")
        };
        assert_eq!(places.len(), 1);
        assert_eq!(timing().one_in, 1);
        for _ in 0..10 {
            host.answers("skep0", Hook::Xdp);
        }
        let Ok(Answer::Chains { chains, .. }) = socket::ask(&socket_of(host), &Request::Chains)
        else {
            panic!("chains")
        };
        let counters = &chains[0].members[0].counters;
        assert!(counters.timed >= 10, "{counters:?}");
        assert!(counters.ns > 0 && counters.ns_per_packet().is_some());
        agent.kill();
        // An agent that is not asked to time anything leaves nothing switched on.
        host.engine()
            .set_timing(&at("skep0", Hook::Xdp), Sampling { one_in: 7, ..Sampling::default() })
            .unwrap();
        let _agent = Agent::start(host);
        until(|| timing().one_in == 0);
        let nowhere =
            Request::Time { interface: "skep9".to_owned(), hook: None, one_in: 1, secs: 60 };
        let refused = socket::ask(&socket_of(host), &nowhere).unwrap();
        assert!(matches!(refused, Answer::Refused { code, .. } if code == "chain.none"));
    });
}

fn get(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_served_where_the_settings_say_and_count_packets() {
    if !crate::can_run("seeing::metrics_are_served_where_the_settings_say_and_count_packets") {
        return;
    }
    with_an_enrolled_host(|host| {
        let socket = host.state.join("metrics.sock");
        let address = format!("unix:{}", socket.display());
        let _agent = Agent::start_with(host, &["--metrics", &address]);
        for _ in 0..5 {
            host.answers("skep0", Hook::Xdp);
        }
        let answer = get(&socket, "/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
        let value = |metric: &str| -> f64 {
            let line = answer
                .lines()
                .find(|line| line.starts_with(&format!("{metric}{{")) && line.contains("guard"));
            let line = line.unwrap_or_else(|| panic!("{metric} in {answer}"));
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("skep_member_packets_total") >= 5.0);
        assert!(
            (value("skep_member_drops_total") - value("skep_member_packets_total")).abs() < 0.5
        );
        assert!(answer.contains("skep_agent{node=\"edge-1\""), "{answer}");
        assert!(get(&socket, "/").starts_with("HTTP/1.1 404"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&socket).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    });
}
