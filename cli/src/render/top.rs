//! What `skep top` shows: readings and keys in, rows out. Pure: refuses to know terminals, clocks and
//! where readings come from.

pub(crate) mod draw;

use crate::local::reading::{self, Amount, ChainRow, Keeper, MemberRow, Reading};
use serde::Serialize;
use skep_artifact::hook::Verdict;

/// Characters of a filter: longer than any name that is shown.
const FILTER_CHARS_MAX: usize = 64;

/// By what chains are ordered. Members keep the order in which packets meet them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Sort {
    /// Interface and hook.
    Place,
    /// Packets, most first.
    Packets,
    /// Dropped packets, most first.
    Drops,
    /// Nanoseconds of all members, most first.
    Cost,
    /// Packets that a member could not look at, most first.
    Missed,
}

/// What a person pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Interrupt,
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
}

/// Whether to go on after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    Quit,
}

/// Everything that is shown, and how.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// This host's name.
    pub host: String,
    pub interval_secs: u64,
    pub sort: Sort,
    pub filter: String,
    /// Whether keys go into the filter.
    pub typing: bool,
    pub paused: bool,
    /// Why the last reading failed; the one before is still shown.
    pub trouble: Option<String>,
    chains: Vec<ChainRow>,
    chosen: usize,
}

/// One line of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Row<'a> {
    Chain(&'a ChainRow),
    Member { chain: &'a ChainRow, member: &'a MemberRow, chosen: bool },
}

impl Sort {
    const ALL: [Self; 5] = [Self::Place, Self::Packets, Self::Drops, Self::Cost, Self::Missed];

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Packets => "packets",
            Self::Drops => "drops",
            Self::Cost => "cost",
            Self::Missed => "missed",
        }
    }

    fn next(self) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

impl View {
    /// An empty view.
    pub(crate) fn new(host: String, interval_secs: u64) -> Self {
        Self {
            host,
            interval_secs,
            sort: Sort::Place,
            filter: String::new(),
            typing: false,
            paused: false,
            trouble: None,
            chains: Vec::new(),
            chosen: 0,
        }
    }

    /// Takes a new reading, and an older one with its age in seconds to make rates from.
    pub(crate) fn take(&mut self, now: &[Reading], before: Option<(&[Reading], f64)>) {
        self.trouble = None;
        if !self.paused {
            self.chains = reading::rows(now, before);
        }
    }

    /// Every chain that was read, whatever the filter is.
    pub(crate) fn chains(&self) -> &[ChainRow] {
        &self.chains
    }

    /// Acts on a key.
    pub(crate) fn press(&mut self, key: Key) -> Next {
        if key == Key::Interrupt {
            return Next::Quit;
        }
        if self.typing {
            self.press_in_filter(key);
            return Next::GoOn;
        }
        let last = self.members().saturating_sub(1);
        match key {
            Key::Char('q') => return Next::Quit,
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('/') => self.typing = true,
            Key::Char(' ') => self.paused = !self.paused,
            Key::Escape => self.filter.clear(),
            Key::Up | Key::Char('k') => self.chosen = self.chosen.min(last).saturating_sub(1),
            Key::Down | Key::Char('j') => self.chosen = (self.chosen + 1).min(last),
            Key::PageUp => self.chosen = self.chosen.min(last).saturating_sub(10),
            Key::PageDown => self.chosen = (self.chosen + 10).min(last),
            Key::Char(_) | Key::Interrupt | Key::Enter | Key::Backspace => {}
        }
        Next::GoOn
    }

    fn press_in_filter(&mut self, key: Key) {
        match key {
            Key::Char(c) if self.filter.chars().count() < FILTER_CHARS_MAX => self.filter.push(c),
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
        self.chosen = 0;
    }

    /// The lines of the picture: chains in the chosen order, each with the members that the filter
    /// lets through.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let mut chains: Vec<&ChainRow> = self.chains.iter().collect();
        chains.sort_by(|a, b| place(a).cmp(&place(b)));
        // The sort is stable: equals stay in order of place.
        let mut most_first = |of: fn(&ChainRow) -> f64| {
            chains.sort_by(|a, b| of(b).total_cmp(&of(a)));
        };
        match self.sort {
            Sort::Place => {}
            Sort::Packets => most_first(|chain| speed(packets_in(chain))),
            Sort::Drops => most_first(|chain| speed(dropped_in(chain))),
            Sort::Cost => most_first(cost),
            Sort::Missed => most_first(missed),
        }
        let chosen = self.chosen.min(self.members().saturating_sub(1));
        let mut rows = Vec::new();
        let mut seat = 0;
        for chain in chains {
            let shown: Vec<&MemberRow> =
                chain.members.iter().filter(|member| self.lets_through(chain, member)).collect();
            if shown.is_empty() && !(self.filter.is_empty() || self.names_chain(chain)) {
                continue;
            }
            rows.push(Row::Chain(chain));
            for member in shown {
                rows.push(Row::Member { chain, member, chosen: seat == chosen });
                seat += 1;
            }
        }
        rows
    }

    /// The member that the cursor is on.
    pub(crate) fn chosen(&self) -> Option<(&ChainRow, &MemberRow)> {
        self.rows().into_iter().find_map(|row| match row {
            Row::Member { chain, member, chosen: true } => Some((chain, member)),
            _ => None,
        })
    }

    fn members(&self) -> usize {
        let through = |chain: &ChainRow| {
            chain.members.iter().filter(|member| self.lets_through(chain, member)).count()
        };
        self.chains.iter().map(through).sum()
    }

    fn lets_through(&self, chain: &ChainRow, member: &MemberRow) -> bool {
        let words = [&member.name, &member.what, &member.policy];
        self.names_chain(chain) || words.iter().any(|word| word.contains(&self.filter))
    }

    fn names_chain(&self, chain: &ChainRow) -> bool {
        let words = [&chain.interface, chain.hook.as_str(), &chain.backend, keeper(chain.keeper)];
        words.iter().any(|word| word.contains(&self.filter))
    }
}

fn place(chain: &ChainRow) -> (&str, skep_artifact::Hook, Keeper) {
    (&chain.interface, chain.hook, chain.keeper)
}

/// The word for who keeps a chain.
pub(crate) fn keeper(keeper: Keeper) -> &'static str {
    match keeper {
        Keeper::Agent => "agent",
        Keeper::Run => "run",
    }
}

/// What came into a chain.
pub(crate) fn packets_in(chain: &ChainRow) -> Amount {
    chain.members.first().map(|member| member.packets).unwrap_or_default()
}

/// What a member's verdicts of one kind come to.
fn sum(member: &MemberRow, of: fn(Verdict) -> bool) -> Amount {
    let amounts = member.verdicts.iter().filter(|v| of(v.verdict)).map(|v| v.amount);
    amounts.fold(zero(member), add)
}

/// Nothing, at a rate that is known where the member's is.
fn zero(member: &MemberRow) -> Amount {
    Amount { total: 0, per_second: member.packets.per_second.map(|_| 0.0) }
}

fn add(a: Amount, b: Amount) -> Amount {
    let per_second = a.per_second.zip(b.per_second).map(|(a, b)| a + b);
    Amount { total: a.total.saturating_add(b.total), per_second }
}

/// Packets that a member let go on, towards the next one or the stack.
pub(crate) fn passed(member: &MemberRow) -> Amount {
    sum(member, goes_on)
}

/// Packets that a member ended.
pub(crate) fn dropped(member: &MemberRow) -> Amount {
    sum(member, |v| matches!(v, Verdict::Drop | Verdict::Aborted | Verdict::Shot))
}

/// Packets that a member sent elsewhere.
pub(crate) fn diverted(member: &MemberRow) -> Amount {
    sum(member, |v| !goes_on(v) && !matches!(v, Verdict::Drop | Verdict::Aborted | Verdict::Shot))
}

fn goes_on(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::Ok | Verdict::Unspec | Verdict::Pipe)
}

fn dropped_in(chain: &ChainRow) -> Amount {
    chain.members.iter().map(dropped).reduce(add).unwrap_or_default()
}

/// Nanoseconds of all members together.
pub(crate) fn cost(chain: &ChainRow) -> f64 {
    chain.members.iter().filter_map(|member| member.ns_per_packet).sum()
}

fn missed(chain: &ChainRow) -> f64 {
    chain.members.iter().map(|member| member.missed.total as f64).sum()
}

/// Something to order by: the rate where it is known, the sum otherwise.
fn speed(amount: Amount) -> f64 {
    amount.per_second.unwrap_or(amount.total as f64)
}

#[cfg(test)]
mod tests;
