//! The finished program, with a server that is gone: started, killed, asked and told.

use crate::host::{Host, NOW, converge};
use crate::signed::{Code, DROP, PASS, Publisher, policy, revised, state, trusting};
use skep_artifact::hook::Hook;
use skep_node_agent::socket::{self, Answer, Request};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than any start on a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Agent(Child);

impl Agent {
    pub(crate) fn start(host: &Host) -> Self {
        Self::start_with(host, &[])
    }

    /// With further arguments of `run`.
    pub(crate) fn start_with(host: &Host, arguments: &[&str]) -> Self {
        let mut command = program(host, &["run"]);
        command.args(arguments);
        command.arg("--policy").arg(host.policy_file()).arg("--pin-root").arg(&host.pins);
        let mut agent = Self(command.stderr(Stdio::null()).spawn().unwrap());
        until(|| {
            assert_eq!(agent.0.try_wait().unwrap(), None, "the agent must not end");
            socket::ask(&socket_of(host), &Request::Status).is_ok()
        });
        agent
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn terminate(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().success()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(host: &Host, arguments: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", host.namespace)).arg("--");
    command.arg(env!("CARGO_BIN_EXE_skep-agent")).args(arguments);
    command.arg("--state").arg(&host.state).env("LIBXDP_BPFFS", host.libxdp_bpffs());
    command
}

pub(crate) fn socket_of(host: &Host) -> PathBuf {
    host.state.join("agent.sock")
}

#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain");
        std::thread::yield_now();
    }
}

fn detach_all(host: &Host) -> Output {
    program(host, &["detach", "--all"]).arg("--pin-root").arg(&host.pins).output().unwrap()
}

/// A host that ran a state with one policy and whose agent is not running.
pub(crate) fn with_an_enrolled_host(test: impl FnOnce(&Host) + Send) {
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        host.enrol_by_hand();
        drop(node);
        test(host);
    });
}

#[test]
fn a_killed_agent_leaves_its_chains_and_the_next_one_adopts_them() {
    if !crate::can_run("process::a_killed_agent_leaves_its_chains_and_the_next_one_adopts_them") {
        return;
    }
    with_an_enrolled_host(|host| {
        let before = host.program_ids();
        Agent::start(host).kill();
        assert_eq!(host.program_ids(), before);
        let agent = Agent::start(host);
        assert_eq!(host.program_ids(), before);
        assert!(agent.terminate(), "SIGTERM is the ordinary end");
        assert_eq!(host.program_ids(), before);
    });
}

#[test]
fn an_agent_without_a_server_keeps_repairs_and_says_why() {
    if !crate::can_run("process::an_agent_without_a_server_keeps_repairs_and_says_why") {
        return;
    }
    with_an_enrolled_host(|host| {
        let _agent = Agent::start(host);
        until(|| match socket::ask(&socket_of(host), &Request::Status) {
            Ok(Answer::Status(status)) => status.contact.contains("could not be reached"),
            other => panic!("{other:?}"),
        });
        host.engine().detach_all().unwrap();
        until(|| host.answers("skep0", Hook::Xdp) == Some(DROP));
    });
}

#[test]
fn a_new_interface_gets_its_chain_without_a_server() {
    if !crate::can_run("process::a_new_interface_gets_its_chain_without_a_server") {
        return;
    }
    with_an_enrolled_host(|host| {
        host.remove_interface("skep0");
        let _agent = Agent::start(host);
        host.add_interface("skep0");
        until(|| host.answers("skep0", Hook::Xdp) == Some(DROP));
    });
}

#[test]
fn detach_works_without_an_agent_and_holds_until_resume() {
    if !crate::can_run("process::detach_works_without_an_agent_and_holds_until_resume") {
        return;
    }
    with_an_enrolled_host(|host| {
        let said = detach_all(host);
        assert!(said.status.success());
        assert!(String::from_utf8_lossy(&said.stdout).contains("skep0 xdp: detached."));
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        let _agent = Agent::start(host);
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        assert!(program(host, &["resume"]).output().unwrap().status.success());
        until(|| host.answers("skep0", Hook::Xdp) == Some(DROP));
    });
}

#[test]
fn a_running_agent_is_told_of_a_detach_and_does_not_attach_again() {
    if !crate::can_run("process::a_running_agent_is_told_of_a_detach_and_does_not_attach_again") {
        return;
    }
    with_an_enrolled_host(|host| {
        let _agent = Agent::start(host);
        assert!(detach_all(host).status.success());
        assert_eq!(host.answers("skep0", Hook::Xdp), None);
        let plan = socket::ask(&socket_of(host), &Request::Plan).unwrap();
        assert!(matches!(plan, Answer::Plan { steps, .. } if steps.is_empty()));
    });
}

#[test]
fn two_agents_on_one_state_folder_are_refused() {
    if !crate::can_run("process::two_agents_on_one_state_folder_are_refused") {
        return;
    }
    with_an_enrolled_host(|host| {
        let _agent = Agent::start(host);
        let mut second = program(host, &["run"]);
        second.arg("--policy").arg(host.policy_file()).arg("--pin-root").arg(&host.pins);
        let second = second.output().unwrap();
        assert_eq!(second.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&second.stderr).contains("Another agent uses"));
        assert!(socket::ask(&socket_of(host), &Request::Status).is_ok());
    });
}

#[test]
fn an_agent_killed_at_any_moment_of_a_swap_leaves_the_old_chain_or_the_new() {
    if !crate::can_run(
        "process::an_agent_killed_at_any_moment_of_a_swap_leaves_the_old_chain_or_the_new",
    ) {
        return;
    }
    Host::run(&trusting(), |host| {
        let mut publisher = Publisher::new();
        let answer = publisher.publish("1.0.0", Code::Answer);
        let mut fw = policy("fw", "skep0", vec![answer.member("guard", 10, DROP)]);
        let mut node = host.node();
        node.offer(&state(1, &[&fw]), NOW).unwrap();
        publisher.deliver(&answer, &host.cache(), &mut node);
        converge(&mut node);
        host.enrol_by_hand();
        drop(node);
        let (mut old, mut new) = (DROP, PASS);
        for round in 0..12u64 {
            fw = revised(&fw, vec![answer.member("guard", 10, new)]);
            // Accepted and written down, not yet applied: the agent does that as soon as it starts.
            host.node().offer(&state(round + 2, &[&fw]), NOW).unwrap();
            let mut command = program(host, &["run"]);
            command.arg("--policy").arg(host.policy_file()).arg("--pin-root").arg(&host.pins);
            let agent = Agent(command.stderr(Stdio::null()).spawn().unwrap());
            let began = Instant::now();
            let moment = Duration::from_millis(4 * round);
            until(|| began.elapsed() >= moment);
            agent.kill();
            let runs = host.answers("skep0", Hook::Xdp);
            assert!(runs == Some(old) || runs == Some(new), "{runs:?} in round {round}");
            let agent = Agent::start(host);
            until(|| host.answers("skep0", Hook::Xdp) == Some(new));
            agent.kill();
            (old, new) = (new, old);
        }
    });
}
