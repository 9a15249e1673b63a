//! A node in a rollout: it finds its own wave, asks for that wave's approvals, and goes back where a server chooses that.

use crate::assigned::{assigned, payload_of, refused, same_set, with_a_running_policy};
use crate::host::{NOW, converge};
use crate::signed::{DROP, PASS, revised, trusting};
use skep_artifact::hook::Hook;
use skep_fleet::PolicyRevision;
use skep_fleet::policy::Fallback;
use skep_fleet::rollout::RolloutStrategy;
use skep_trust::Assignment;

#[test]
fn a_rollout_that_goes_back_runs_what_its_revision_signs_and_stays_there() {
    if !crate::can_run(
        "waves::a_rollout_that_goes_back_runs_what_its_revision_signs_and_stays_there",
    ) {
        return;
    }
    with_a_running_policy(&trusting(), |host, node, running| {
        let old = running.answer.member("guard", 10, DROP);
        let second = PolicyRevision {
            fallback: Some(Fallback { revision: 1, programs: vec![old] }),
            ..revised(&running.fw, vec![running.answer.member("guard", 10, PASS)])
        };
        node.offer(&assigned(6, &[&second], &same_set(), |_| ()), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
        // The same envelopes under the next number: only the server's choice differs.
        let back = |a: &mut Assignment| a.fallback = [payload_of(&second)].into();
        node.offer(&assigned(7, &[&second], &same_set(), back), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP));
        assert_eq!(node.summary().standing.accepted["fw"], 2, "no floor fell");
        *node = host.node();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(DROP), "also after a restart");
        node.offer(&assigned(8, &[&second], &same_set(), |_| ()), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS), "and forth again");
    });
}

#[test]
fn a_node_asks_for_the_approvals_of_its_own_wave_and_of_none_later() {
    if !crate::can_run("waves::a_node_asks_for_the_approvals_of_its_own_wave_and_of_none_later") {
        return;
    }
    with_a_running_policy(&trusting(), |host, node, running| {
        let in_waves = |canary: &str, revision: u64| {
            let strategy: RolloutStrategy = serde_json::from_value(serde_json::json!({
                "kind": "RolloutStrategy", "name": "careful",
                "waves": [
                    { "name": "canary", "nodes": { "labels": { "matchLabels": { "role": canary } } } },
                    { "percent": 100 },
                ],
                "approval": { "before": ["wave-2"], "by": 1 },
            }))
            .unwrap();
            let plan = strategy.plan(&running.fw.name, revision, &[]).unwrap();
            let members = vec![running.answer.member("guard", 10, PASS)];
            let approval = strategy.approval.clone();
            let revised = revised(&running.fw, members);
            PolicyRevision { revision, rollout: Some(plan), approval, ..revised }
        };
        // This node has the role `edge`, which is not the first wave's here.
        let later = in_waves("core", 2);
        node.offer(&assigned(6, &[&later], &same_set(), |_| ()), NOW).unwrap();
        refused(host, node, "approval.not_enough");
        let first = in_waves("edge", 3);
        node.offer(&assigned(7, &[&first], &same_set(), |_| ()), NOW).unwrap();
        converge(node);
        assert_eq!(host.answers("skep0", Hook::Xdp), Some(PASS));
    });
}
