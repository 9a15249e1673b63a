//! A fleet in which every node runs one revision, whose nodes do what they are told at once and say what they counted.
//! Refuses to know what a test does with it.

use crate::fleet::{enrolment, have, now, report, revision, signed};
use crate::world::{Package, Publisher, World, eventually, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::client::Client;
use skep_api::v1::chains::{ChainStatus, MemberCounters, MemberStatus, VerdictCount};
use skep_api::v1::nodes::CreateNodeToken;
use skep_api::v1::policies::ApplyRequest;
use skep_api::v1::rollouts::{RolloutDetail, RolloutWish, WishKind};
use skep_api::v1::sync::{DesiredState, Report};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::Envelope;
use skep_artifact::hook::Hook;
use skep_fleet::ids::PolicyName;
use skep_fleet::policy::{Fallback, PolicyRevision};
use skep_fleet::rollout::{Member, RolloutStrategy};

pub(crate) const NODES: [&str; 4] = ["edge-1", "edge-2", "edge-3", "edge-4"];

/// One first, then all; a hundredth may be dropped above what the others drop.
pub(crate) const CAREFUL: &str = r#"{"kind":"RolloutStrategy","name":"careful",
    "waves":[{"name":"canary","nodes":{"count":1}},{"percent":100}],
    "bake":{"min":"0s","max":"1h"},"limits":{"unavailable":"100%"},
    "gates":[{"builtin":"verdicts","drop":{"atMost":"+1%"}}]}"#;

/// A node that does what it is told at once.
pub(crate) struct Agent {
    pub(crate) name: String,
    credential: String,
    pub(crate) client: Client,
}

impl Agent {
    pub(crate) async fn enrol(world: &World, name: &str) -> Self {
        let labels = [("role".to_owned(), "edge".to_owned())].into();
        let wish = CreateNodeToken { labels, uses: 1, valid_secs: 600 };
        let token = world.admin().create_node_token(&wish).await.unwrap().secret;
        let answer = world.anonymous().enrol(&enrolment(&token, name, 1)).await.unwrap();
        let (name, credential) = (name.to_owned(), answer.credential);
        Self { client: world.client(Some(&credential)), name, credential }
    }

    /// Runs what it is offered, and says what its member counted.
    pub(crate) async fn runs(&self, packets: u64, dropped: u64) -> DesiredState {
        let desired = now(&self.client).await;
        let said = Report {
            chains: vec![chain(&desired, packets, dropped)],
            ..report(&desired, Some(have(&desired)), None)
        };
        self.client.report(&said).await.unwrap();
        desired
    }
}

fn chain(desired: &DesiredState, packets: u64, dropped: u64) -> ChainStatus {
    let newest = desired.policies.iter().map(|envelope| payload_of(envelope)).next_back();
    let revision = PolicyRevision::from_json(&newest.unwrap()).unwrap();
    let member = revision.programs.first().unwrap();
    let count = |verdict: &str, packets| VerdictCount { verdict: verdict.to_owned(), packets };
    ChainStatus {
        interface: "eth0".to_owned(),
        hook: Hook::Xdp,
        backend: "slots".to_owned(),
        backend_reason: String::new(),
        attach_mode: "native".to_owned(),
        generation: desired.generation.0,
        applied_at: 0,
        members: vec![MemberStatus {
            policy: revision.name.to_string(),
            name: member.name.to_string(),
            package: member.package.clone(),
            version: member.version.clone(),
            index: member.index,
            program: member.program.clone(),
            program_id: 7,
            priority: member.priority,
            proceed_on: member.proceed_on,
            mode: member.mode,
            failure: member.failure,
            counters: MemberCounters {
                packets,
                verdicts: vec![count("drop", dropped), count("pass", packets - dropped)],
                ..MemberCounters::default()
            },
        }],
    }
}

pub(crate) fn payload_of(envelope: &str) -> Vec<u8> {
    let bytes = BASE64.decode(envelope).unwrap();
    Envelope::parse(&bytes).unwrap().unverified_payload().to_vec()
}

/// A fleet in which every node runs the first revision and let 1000 packets pass.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) admin: Client,
    pub(crate) agents: Vec<Agent>,
    pub(crate) package: Package,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(World::start().await).await
    }

    pub(crate) async fn of(world: World) -> Self {
        let publisher = Publisher::new(&world, "acme").await;
        let package = Package::new("acme/pass", "1.0.0");
        publisher.publish(&package).await.unwrap();
        let mut agents = Vec::new();
        for name in NODES {
            agents.push(Agent::enrol(&world, name).await);
        }
        let admin = world.admin();
        admin.apply(&signed(&revision("guard", 1, "edge", &package))).await.unwrap();
        for agent in &agents {
            agent.runs(1000, 0).await;
        }
        Self { world, admin, agents, package }
    }

    /// The same after the server stopped and started.
    pub(crate) async fn restarted(self) -> Self {
        let world = self.world.restart().await;
        let again = |agent: Agent| Agent { client: world.client(Some(&agent.credential)), ..agent };
        let agents = self.agents.into_iter().map(again).collect();
        Self { admin: world.admin(), agents, package: self.package, world }
    }

    /// The next revision, in waves, with other content and the first as what it falls back to.
    pub(crate) fn in_waves(&self, number: u64, strategy: &str) -> PolicyRevision {
        let strategy: RolloutStrategy = serde_json::from_str(strategy).unwrap();
        let before = revision("guard", 1, "edge", &self.package);
        let mut next = revision("guard", number, "edge", &self.package);
        next.programs[0].priority = 60;
        next.fallback = Some(Fallback { revision: 1, programs: before.programs });
        let member = |name: &&str| Member {
            name: name.parse().unwrap(),
            labels: [("role".to_owned(), "edge".to_owned())].into(),
            class: "6.18 amd64".to_owned(),
        };
        let members: Vec<Member> = NODES.iter().map(member).collect();
        next.rollout = Some(strategy.plan(&next.name, number, &members).unwrap());
        next
    }

    /// The same, signed, with content that no number before had.
    pub(crate) fn signed_in_waves(&self, number: u64, strategy: &str) -> ApplyRequest {
        let mut next = self.in_waves(number, strategy);
        next.programs[0].priority = 50 + u32::try_from(number).unwrap();
        signed(&next)
    }

    /// Lets every node that is offered a revision, or its fallback, run it.
    pub(crate) async fn runs_where_it_is_offered(&self, revision: u64) {
        for target in self.detail(revision).await.targets {
            if matches!(target.state.as_str(), "dispatched" | "reverting") {
                let agent = self.agents.iter().find(|agent| agent.name == target.node);
                agent.unwrap().runs(500, 0).await;
            }
        }
    }

    pub(crate) async fn detail(&self, revision: u64) -> RolloutDetail {
        self.admin.rollout(&guard(), revision).await.unwrap()
    }

    /// Waits until the rollout stands like this.
    pub(crate) async fn until(
        &self,
        revision: u64,
        what: &str,
        it: impl Fn(&RolloutDetail) -> bool,
    ) {
        eventually(what, async || it(&self.detail(revision).await).then_some(())).await;
    }

    pub(crate) async fn phase(&self, revision: u64, phase: &str) {
        self.until(revision, phase, |detail| detail.summary.phase == phase).await;
    }

    /// The node of the first wave, and the others.
    pub(crate) async fn parted(&self, revision: u64) -> (&Agent, Vec<&Agent>) {
        let detail = self.detail(revision).await;
        let first = detail.targets.iter().find(|target| target.wave == "canary").unwrap();
        let (canary, others): (Vec<_>, Vec<_>) =
            self.agents.iter().partition(|agent| agent.name == first.node);
        (canary[0], others)
    }

    pub(crate) async fn wish(
        &self,
        revision: u64,
        wish: WishKind,
    ) -> Result<RolloutDetail, (u16, String)> {
        let wish = RolloutWish { wish, why: "a test".to_owned() };
        let done = self.admin.wish_of_rollout(&guard(), revision, &wish).await;
        match done {
            Ok(detail) => Ok(detail),
            refused => Err(refusal(refused)),
        }
    }
}

pub(crate) fn guard() -> PolicyName {
    "guard".parse().unwrap()
}

/// Waits until the node is offered something with another revision.
pub(crate) async fn offered(agent: &Agent, digest: Digest) -> DesiredState {
    eventually("the node is offered it", async || {
        let desired = now(&agent.client).await;
        let has = desired.policies.iter().any(|e| Digest::of(&payload_of(e)) == digest);
        has.then_some(desired)
    })
    .await
}
