//! From a caller's chain to what should be on the hook: every limit checked, every object read, the
//! backend chosen. Reads bytes and decides; touches nothing.

use skep_artifact::hook::{Hook, Mode, Verdict, VerdictSet};

use crate::backend;
use crate::chain::{Chain, Counting, Member, in_order};
use crate::choice::{self, Kernel, Needs, Situation, Unfit};
use crate::error::ApplyError;
use crate::execute::{label, refusal};
use crate::kinds::Backend;
use crate::load::{self, Frags};
use crate::pins;
use crate::record::ChainRecord;
use crate::swap::{Seen, Wanted, WantedMember};

/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROG_ARRAY: u32 = 3;

/// Checks what can be checked without a kernel, and reads the object of every member, in order.
pub(crate) fn read_members(chain: &Chain) -> Result<Vec<WantedMember>, ApplyError> {
    check_limits(chain)?;
    let members = in_order(&chain.members);
    members.into_iter().map(|member| wanted_member(member, chain.at.hook)).collect()
}

/// What should be on the hook. `members` are those of [`read_members`].
pub(crate) fn wanted(
    chain: &Chain,
    members: Vec<WantedMember>,
    kernel: &Kernel,
    seen: &Seen,
    counting: Counting,
) -> Result<Wanted, ApplyError> {
    let needs: Vec<Needs> = in_order(&chain.members)
        .into_iter()
        .zip(&members)
        .map(|(member, read)| Needs {
            member: label(member),
            // In a libxdp chain an observer answers PASS, whatever it would have proceeded on.
            proceed_on: match member.mode {
                Mode::Enforce => member.proceed_on,
                Mode::Observe => VerdictSet::of(&[Verdict::Pass]),
            },
            // Arrays that begin filled are filled with programs as extensions may call them.
            own_tail_calls: read
                .outline
                .maps
                .iter()
                .any(|map| map.shape.kind == PROG_ARRAY && !map.begins_filled),
        })
        .collect();
    let situation = Situation {
        hook: chain.at.hook,
        choice: chain.backend,
        foreign: chain.foreign,
        kernel,
        live: seen.live.map(|live| live.how.attachment(chain.at.hook.is_tc())),
        libxdp_others: seen.libxdp.as_ref().map(|there| there.others.len()),
        members: &needs,
    };
    let chosen = choice::choose(&situation).map_err(|(backend, why)| match why {
        Unfit::Members { members, max, others: 0 } => {
            ApplyError::TooManyMembers { members, max, backend }
        }
        why => ApplyError::BackendUnavailable { backend, why },
    })?;
    let dispatcher = backend::identity(chosen.backend, chain.at.hook);
    // In a libxdp chain each member stands alone: it does not know where a packet's way ended.
    let alone = chosen.backend == Backend::Libxdp;
    let keep_length = members.iter().map(|member| member.outline.keeps_length && !alone);
    let record = ChainRecord::of(chain, chosen, dispatcher, counting, keep_length);
    let Chain { foreign, xdp_mode: mode, gap, lost_state, .. } = *chain;
    let wanted = Wanted { record, members, foreign, mode, gap, lost_state };
    let backend = wanted.record.backend;
    if backend == Backend::Libxdp {
        backend::libxdp::fits(&wanted, seen.libxdp.as_ref())
            .map_err(|why| ApplyError::BackendUnavailable { backend, why })?;
    }
    Ok(wanted)
}

fn wanted_member(member: &Member, hook: Hook) -> Result<WantedMember, ApplyError> {
    let outline = load::outline(member.object.bytes(), &member.program, hook, &member.config)
        .map_err(|error| refusal(member, error))?;
    let config_maps = member.config.maps.keys().cloned().collect();
    Ok(WantedMember { outline, config_maps, migrations: member.migrations.clone() })
}

/// All entries of a program array must agree on frags: they have it only if every member does.
pub(crate) fn frags(wanted: &Wanted) -> Frags {
    let all = !wanted.members.is_empty() && wanted.members.iter().all(|m| m.outline.frags);
    if all { Frags::With } else { Frags::Without }
}

fn check_limits(chain: &Chain) -> Result<(), ApplyError> {
    let mut names = std::collections::BTreeSet::new();
    for Member { policy, name, object, .. } in &chain.members {
        if !object.permits(chain.at.hook) {
            return Err(ApplyError::HookNotPermitted {
                at: chain.at.clone(),
                member: name.clone(),
            });
        }
        let length = pins::member_name(policy, name).len();
        if policy.is_empty() || name.is_empty() || length > pins::NAME_BYTES_MAX {
            return Err(ApplyError::UnusableName { policy: policy.clone(), name: name.clone() });
        }
        if !names.insert((policy, name)) {
            return Err(ApplyError::DuplicateMember { policy: policy.clone(), name: name.clone() });
        }
    }
    Ok(())
}
