//! The world: who is there, what travels, what time it is, and what goes wrong when. Refuses to know what must hold
//! (that is `checks`).

use crate::agent::{Agent, Offer, Word};
use crate::checks;
use crate::database::{Database, Kept};
use crate::operators;
use crate::policies::{revision, strategy};
use crate::random::Random;
use crate::server::{self, Server};
use skep_fleet::rollout::{Event, Held, Member, Rollout};
use skep_fleet::selector::Labels;

/// How large a fleet is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Size {
    Small,
    Thousand,
}

/// Seconds of trouble, and seconds in which a healed world must come to rest.
const TROUBLE_SECS: i64 = 900;
/// Fewer where a second costs a thousand times as much.
const TROUBLE_SECS_OF_MANY: i64 = 200;
const HEAL_SECS: i64 = 20_000;
/// Seconds of one step.
const STEP: i64 = 5;

pub(crate) enum Message {
    Poll(Word),
    Offer(usize, Offer),
}

pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) random: Random,
    pub(crate) database: Database,
    pub(crate) servers: Vec<Server>,
    pub(crate) agents: Vec<Agent>,
    /// By when they arrive.
    travelling: Vec<(i64, Message)>,
    pub(crate) healed: bool,
    pub(crate) registry_down_until: i64,
    /// Whether the new version of each policy drops what it should pass.
    pub(crate) bad: Vec<bool>,
    /// Whether somebody overruled the gates of each rollout, or asked it to go back.
    pub(crate) overruled: Vec<bool>,
    pub(crate) asked_back: Vec<bool>,
    spoken: bool,
    pub(crate) seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64, size: Size) -> Self {
        let mut random = Random::new(seed);
        let nodes = match size {
            Size::Thousand => 1000,
            Size::Small => random.between(1, 40),
        };
        let agents: Vec<Agent> = (0..nodes)
            .map(|n| {
                let zone = *random.pick(&["a", "b", "c"]);
                let class = *random.pick(&["6.1", "6.1", "6.12"]);
                let labels = Labels::from([("zone".to_owned(), zone.to_owned())]);
                Agent::new(format!("n{n}").parse().unwrap(), labels, class.to_owned())
            })
            .collect();
        let servers = (0..2)
            .map(|number| Server { number, skew: random.between(-40, 40), ..Server::default() })
            .collect();
        let mut world = Self {
            now: 1_000_000,
            random,
            database: Database::default(),
            servers,
            agents,
            travelling: Vec::new(),
            healed: false,
            registry_down_until: 0,
            bad: Vec::new(),
            overruled: Vec::new(),
            asked_back: Vec::new(),
            spoken: false,
            seed,
        };
        let policies = if world.random.per_mille(400) { 2 } else { 1 };
        (0..policies).for_each(|policy| world.begin(policy));
        server::want(&mut world.database);
        world.settle_before();
        world
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        let member = |agent: &Agent| Member {
            name: agent.name.clone(),
            labels: agent.labels.clone(),
            class: agent.class.clone(),
        };
        self.agents.iter().map(member).collect()
    }

    fn begin(&mut self, policy: usize) {
        let strategy = strategy(&mut self.random, self.agents.len() > 500);
        let bad = self.random.per_mille(300);
        let members = self.members();
        // Some nodes join later.
        let there =
            members.len() - usize::try_from(self.random.below(members.len() as u64)).unwrap() / 3;
        let name = ["p", "q"][policy];
        let revision = revision(name, 2, &strategy, &members[..there], bad);
        let before = Some(Held { revision: 1, fallback: false });
        let (draft, event) = server::planned(&revision, &members[..there], before, self.now);
        self.database.rollouts.push(Kept {
            state: draft.clone(),
            first: draft,
            events: Vec::new(),
        });
        self.bad.push(bad);
        self.overruled.push(false);
        self.asked_back.push(false);
        let change =
            self.servers[0].prepare(&self.database, policy, event, self.now).unwrap().unwrap();
        assert!(self.servers[0].commit(&mut self.database, change));
    }

    /// Every node has the first revision when the story begins.
    fn settle_before(&mut self) {
        for agent in &mut self.agents {
            for policy in 0..self.database.rollouts.len() {
                let held = Held { revision: 1, fallback: false };
                agent.wants.insert(policy, held);
                agent.runs.insert(policy, held);
                agent.ran.insert((policy, held));
                agent.accepted.insert(policy, 1);
                agent.counted.insert(policy, (0, 0));
                if self.random.per_mille(30) {
                    let times = if self.random.per_mille(500) { 1 } else { 1000 };
                    agent.cannot.insert((policy, 2), times);
                }
            }
        }
    }

    pub(crate) fn say(&mut self, spoken: bool) {
        self.spoken = spoken;
    }

    pub(crate) fn told(&self, text: &str) {
        if self.spoken {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{:>5} {text}", self.now - 1_000_000);
        }
    }

    pub(crate) fn trouble(&mut self) {
        let many = self.agents.len() > 500;
        let end = self.now + if many { TROUBLE_SECS_OF_MANY } else { TROUBLE_SECS };
        while self.now < end {
            self.misfortune();
            operators::act(self);
            self.turn();
        }
    }

    /// Everything works again; operators see to what stands still. All must come to rest.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        for server in &mut self.servers {
            server.down_until = 0;
        }
        self.registry_down_until = 0;
        for agent in &mut self.agents {
            agent.cut_until = 0;
            agent.restart(self.now);
            agent.cannot.clear();
        }
        let end = self.now + HEAL_SECS;
        while self.now < end {
            operators::see_to_it(self);
            self.turn();
            if checks::at_rest(self) {
                return checks::at_the_end(self);
            }
        }
        let phases: Vec<String> = (self.database.rollouts.iter())
            .map(|kept| format!("{:?} on {:?}", kept.state.phase, kept.state.blocked_on))
            .collect();
        panic!("seed {}: no rest after {HEAL_SECS} seconds: {phases:#?}", self.seed);
    }

    fn misfortune(&mut self) {
        let now = self.now;
        for server in &mut self.servers {
            if self.random.per_mille(15) {
                server.crash(now, self.random.between(0, 90));
            }
            if self.random.per_mille(10) {
                server.skew = self.random.between(-120, 120);
            }
        }
        if self.random.per_mille(5) {
            self.registry_down_until = now + self.random.between(10, 200);
        }
        let many = self.agents.len() as u64;
        if self.random.per_mille(150) {
            let at = usize::try_from(self.random.below(many)).unwrap();
            match self.random.below(4) {
                0 => self.agents[at].up = false,
                1 | 2 => self.agents[at].restart(now),
                _ => self.agents[at].cut_until = now + self.random.between(10, 300),
            }
        }
    }

    /// A few seconds go by for everybody.
    fn turn(&mut self) {
        self.now += STEP;
        let registry = self.now >= self.registry_down_until;
        for at in 0..self.agents.len() {
            let now = self.now;
            self.agents[at].work(now, registry);
            self.count(at);
            if now >= self.agents[at].polls_at && self.agents[at].up {
                self.agents[at].polls_at = now + self.random.between(3, 15);
                let word = self.agents[at].word();
                self.send(at, Message::Poll(word));
            }
        }
        checks::agents(self);
        self.deliver();
        self.drive();
    }

    /// Traffic met what runs: a bad version drops half of it.
    fn count(&mut self, at: usize) {
        let bad = self.bad.clone();
        let agent = &mut self.agents[at];
        for (policy, held) in &agent.runs {
            let counted = agent.counted.entry(*policy).or_default();
            let drops = bad[*policy] && held.revision == 2 && !held.fallback;
            *counted = (counted.0 + 10, counted.1 + if drops { 5 } else { 0 });
        }
    }

    fn send(&mut self, agent: usize, message: Message) {
        if !self.agents[agent].reachable(self.now) {
            return;
        }
        let (lost, late, twice) = if self.healed { (0, 1, 0) } else { (100, 30, 30) };
        if self.random.per_mille(lost) {
            return;
        }
        let again = match &message {
            Message::Poll(word) => Message::Poll(word.clone()),
            Message::Offer(to, offer) => Message::Offer(*to, offer.clone()),
        };
        let at = self.now + self.random.between(0, late);
        self.travelling.push((at, message));
        if self.random.per_mille(twice) {
            let at = self.now + self.random.between(0, late * 3);
            self.travelling.push((at, again));
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let travelling = std::mem::take(&mut self.travelling);
        let (arrived, rest) = travelling.into_iter().partition(|(at, _)| *at <= now);
        self.travelling = rest;
        for (_, message) in arrived {
            match message {
                Message::Offer(to, offer) => {
                    let agent = &mut self.agents[to];
                    if agent.reachable(now) {
                        agent.offered(&offer, now, &mut self.random);
                    }
                }
                Message::Poll(word) => self.polled(word),
            }
        }
    }

    fn polled(&mut self, word: Word) {
        let which = usize::try_from(self.random.below(2)).unwrap();
        let (now, node, has) = (self.now, word.node.clone(), word.generation);
        let up = |at: &usize| now >= self.servers[*at].down_until;
        let Some(server) = [which, 1 - which].into_iter().find(up) else { return };
        self.servers[server].hear(word, now);
        let Some(wanted) = self.database.wanted.get(&node) else { return };
        if wanted.generation > has {
            let offer = server::offer(wanted);
            let to = self.agents.iter().position(|agent| agent.name == node).unwrap();
            self.send(to, Message::Offer(to, offer));
        }
    }

    /// Each server that believes it holds the lease drives, and may die after any of its steps. What one heard, the
    /// other is told when it takes over, as reports are kept in the database now and then.
    fn drive(&mut self) {
        for which in 0..self.servers.len() {
            if self.now < self.servers[which].down_until
                || !self.servers[which].leads(&mut self.database, self.now)
            {
                continue;
            }
            self.share(which);
            for policy in 0..self.database.rollouts.len() {
                for event in self.servers[which].news(&self.database, policy, self.now) {
                    if !self.healed && self.random.per_mille(4) {
                        let secs = self.random.between(0, 60);
                        self.servers[which].crash(self.now, secs);
                        return;
                    }
                    self.write(which, policy, event);
                }
            }
        }
    }

    fn share(&mut self, to: usize) {
        let other: Vec<(Word, i64)> = self.servers[1 - to].heard.values().cloned().collect();
        for (word, at) in other {
            if self.servers[to].heard.get(&word.node).is_none_or(|(_, mine)| *mine < at) {
                self.servers[to].hear(word, at);
            }
        }
    }

    /// Decides on what the database says, and writes unless somebody else wrote in between.
    pub(crate) fn write(&mut self, which: usize, policy: usize, event: Event) {
        let said = if self.spoken { format!("{event:?}") } else { String::new() };
        let Ok(Some(change)) = self.servers[which].prepare(&self.database, policy, event, self.now)
        else {
            return;
        };
        let before: Rollout = self.database.rollouts[policy].state.clone();
        if !self.healed && self.random.per_mille(10) {
            // Another server wrote while this one was thinking.
            self.database.version += 1;
        }
        if self.servers[which].commit(&mut self.database, change) {
            let after = &self.database.rollouts[policy].state;
            if before.phase != after.phase {
                let said: String = said.chars().take(60).collect();
                self.told(&format!(
                    "p{policy} {} -> {:?} by {said}",
                    before.phase.word(),
                    after.phase
                ));
            }
            checks::step(self, policy, &before);
        }
    }
}
