//! Run priorities: our members among those that others put into the chain, so that libxdp's tools,
//! which sort again by (priority, name) whenever they rebuild a chain, keep our order. Pure.

/// Whose a place in the merged chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The n-th of ours, with the run priority it gets.
    Ours { index: usize, run_priority: u32 },
    /// The n-th of the others', which keeps its own.
    Theirs { index: usize },
}

/// The merged chain. `ours` are the priorities wanted, ascending; `theirs` are those of the others'
/// members, in the order in which packets meet them now. Both keep their own order. Equal priorities
/// would be sorted by name: ours give way upwards, so they run after who was there first.
pub(crate) fn merged(ours: &[u32], theirs: &[u32]) -> Vec<Place> {
    let assigned = run_priorities(ours, theirs);
    let mut places = Vec::with_capacity(ours.len() + theirs.len());
    let mut next = assigned.iter().copied().enumerate().peekable();
    for (index, their) in theirs.iter().enumerate() {
        while let Some((index, run_priority)) = next.next_if(|(_, ours)| ours < their) {
            places.push(Place::Ours { index, run_priority });
        }
        places.push(Place::Theirs { index });
    }
    places.extend(next.map(|(index, run_priority)| Place::Ours { index, run_priority }));
    places
}

/// Strictly increasing, none equal to one of theirs, each as near above its wish as that allows; at
/// the very top they are moved down together.
fn run_priorities(ours: &[u32], theirs: &[u32]) -> Vec<u32> {
    let mut assigned: Vec<u32> = Vec::with_capacity(ours.len());
    let mut least = 0u32;
    for wish in ours {
        let mut priority = least.max(*wish);
        while theirs.contains(&priority) && priority < u32::MAX {
            priority += 1;
        }
        assigned.push(priority);
        least = priority.saturating_add(1);
    }
    let mut most = u32::MAX;
    for priority in assigned.iter_mut().rev() {
        *priority = (*priority).min(most);
        while theirs.contains(priority) && *priority > 0 {
            *priority -= 1;
        }
        most = priority.saturating_sub(1);
    }
    assigned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Place, merged, run_priorities};

    #[test]
    fn equal_wishes_become_strictly_increasing_and_give_way_to_others() {
        for (ours, theirs, expected) in [
            (&[][..], &[][..], &[][..]),
            (&[10, 10, 10], &[], &[10, 11, 12]),
            (&[10, 20, 20, 21], &[], &[10, 20, 21, 22]),
            (&[50], &[50], &[51]),
            (&[50, 50], &[51, 50], &[52, 53]),
            (&[0, 0], &[0, 2], &[1, 3]),
            (&[u32::MAX, u32::MAX], &[], &[u32::MAX - 1, u32::MAX]),
            (&[5, u32::MAX], &[u32::MAX], &[5, u32::MAX - 1]),
        ] {
            assert_eq!(run_priorities(ours, theirs), expected, "{ours:?} among {theirs:?}");
        }
    }

    #[test]
    fn ours_are_placed_among_theirs_by_priority() {
        let ours = |index, run_priority| Place::Ours { index, run_priority };
        let theirs = |index| Place::Theirs { index };
        assert_eq!(
            merged(&[10, 50, 60], &[20, 50, 70]),
            [ours(0, 10), theirs(0), theirs(1), ours(1, 51), ours(2, 60), theirs(2)]
        );
        assert_eq!(merged(&[], &[9, 3]), [theirs(0), theirs(1)], "their order is theirs");
    }

    proptest! {
        #[test]
        fn both_keep_their_order_and_no_tie_is_left_to_names(
            mut ours in proptest::collection::vec(0u32..60, 0..10),
            mut theirs in proptest::collection::vec(0u32..60, 0..10),
            top in any::<bool>(),
        ) {
            if top {
                ours.iter_mut().chain(&mut theirs).for_each(|p| *p = u32::MAX - *p);
            }
            ours.sort_unstable();
            theirs.sort_unstable();
            let places = merged(&ours, &theirs);
            let all: Vec<(bool, u32)> = places
                .iter()
                .map(|place| match place {
                    Place::Ours { run_priority, .. } => (true, *run_priority),
                    Place::Theirs { index } => (false, theirs[*index]),
                })
                .collect();
            prop_assert_eq!(all.len(), ours.len() + theirs.len());
            for pair in all.windows(2) {
                let strictly = pair[0].1 < pair[1].1;
                let both_theirs = !pair[0].0 && !pair[1].0 && pair[0].1 == pair[1].1;
                prop_assert!(strictly || both_theirs, "{:?}", all);
            }
            let indices: Vec<usize> = places
                .iter()
                .filter_map(|p| if let Place::Ours { index, .. } = p { Some(*index) } else { None })
                .collect();
            prop_assert!(indices.is_sorted());
        }
    }
}
