//! The fused build: the members' instructions become one program with a generated walk. Each member
//! is verified alone first, so that a refusal names it. Refuses to know how that program is attached
//! and how programs are joined (`fuse` does).

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use aya_obj::generated::bpf_insn;
use skep_artifact::Digest;
use skep_artifact::hook::Hook;

use crate::backend::counting::{self, ZERO_KEY};
use crate::backend::{Builder, Built, BuiltMember, Job, ending, generated, shared};
use crate::chain::Counting;
use crate::error::{ApplyError, DeepStack, ObserveError};
use crate::execute::{label, refusal};
use crate::fuse::constants::{self, Moved, Pool};
use crate::fuse::walk::{self, Place};
use crate::fuse::{self, Form, License, Main, Part, Stays};
use crate::load::{self, As, LoadError, Prepared, Request, Several};
use crate::observe::open_pin;
use crate::pins::GenerationDir;
use crate::record::{ChainRecord, MemberRecord};
use crate::support;

/// What the verifier says when a path needs more stack than there is.
const STACK_WORDS: &str = "combined stack size";

/// The members as they are prepared, and the one program.
#[derive(Debug, Default)]
pub(crate) struct Fused {
    members: Vec<Member>,
    support: Option<Several>,
    program: Option<OwnedFd>,
    /// What is worth telling about how it was built.
    notes: Vec<String>,
}

#[derive(Debug)]
struct Member {
    code: Prepared,
    /// Bytes of stack that each of its functions uses, in order.
    stacks: Vec<usize>,
}

impl Builder for Fused {
    fn load_member(
        &mut self,
        job: &Job<'_>,
        slot: usize,
        carried: BTreeMap<String, OwnedFd>,
    ) -> Result<(), ApplyError> {
        let Some(member) = job.members.get(slot) else { return Ok(()) };
        let request = Request {
            bytes: member.object.bytes(),
            program: &member.program,
            hook: job.spot.hook,
            config: &member.config,
            carried,
            frags: job.frags,
        };
        let prepared = load::prepare(request).map_err(|error| refusal(member, error))?;
        // Only what the verifier finds is wanted.
        let found = load::verify(&prepared, As::OnHook).map_err(|error| refusal(member, error))?;
        self.members.push(Member { code: prepared, stacks: found.stacks });
        Ok(())
    }

    fn load_dispatcher(&mut self, job: &Job<'_>) -> Result<(), ApplyError> {
        if job.record.counting == Counting::On {
            self.support = Some(counting::prepare(job)?);
        }
        let pool = self.pool_constants().map_err(ApplyError::Dispatcher)?;
        let labels: Vec<String> = job.members.iter().map(|member| label(member)).collect();
        let parts = self.parts(&labels);
        let members = job.record.members.iter().zip(&self.members);
        let steps: Vec<walk::Member> =
            members.map(|(member, built)| step(member, &built.code)).collect();
        let place = Place { hook: job.spot.hook, ending: ending(job.record.backend) };
        let main = match &self.support {
            Some(support) => {
                let counting = counting::places(support, &pool).map_err(ApplyError::Dispatcher)?;
                walk::counted(place, &steps, counting)
            }
            None => walk::quiet(place, &steps),
        };
        let (program, notes) = load_fused(job, &parts, &main)?;
        (self.program, self.notes) = (Some(program), notes);
        Ok(())
    }

    fn built(&self) -> Built<'_> {
        let members = self.members.iter();
        Built {
            dispatcher: self.program.as_ref(),
            members: members.map(|m| BuiltMember { program: None, maps: &m.code.maps }).collect(),
            notes: self.notes.clone(),
            shared: self.support.as_ref().map(|several| shared(&several.maps)).unwrap_or_default(),
        }
    }
}

impl Fused {
    /// One map for the constants of all: a program may use 64 maps, and every object has one more
    /// than it declares. It begins with zeroes.
    fn pool_constants(&mut self) -> Result<OwnedFd, LoadError> {
        let mut pool = Pool::default();
        pool.add(&ZERO_KEY);
        let mut moves = Vec::new();
        let members = self.members.iter().map(|m| (&m.code.maps, &m.code.constants));
        let support = self.support.iter().map(|s| (&s.maps, &s.constants));
        for (maps, constants) in members.chain(support) {
            for (name, bytes) in constants {
                if let (Some(map), Some(by)) = (maps.get(name), pool.add(bytes)) {
                    moves.push((map.as_raw_fd(), by));
                }
            }
        }
        let map = load::constants_map("skep_rodata", &pool.bytes)?;
        for (from, by) in moves {
            let moved = Moved { from, to: map.as_raw_fd(), by };
            self.code().for_each(|code| constants::redirect(code, moved));
        }
        Ok(map)
    }

    fn code(&mut self) -> impl Iterator<Item = &mut [bpf_insn]> {
        let members = self.members.iter_mut().map(|m| m.code.instructions.as_mut_slice());
        let support = self.support.iter_mut().flat_map(|s| &mut s.functions);
        members.chain(support.map(|function| function.instructions.as_mut_slice()))
    }

    /// The members in order, then the functions that count.
    fn parts<'a>(&'a self, labels: &'a [String]) -> Vec<Part<'a>> {
        let members =
            self.members.iter().zip(labels).map(|(Member { code, stacks }, label)| Part {
                label,
                license: License::Says(&code.license),
                instructions: &code.instructions,
                func_info: &code.func_info,
                btf: code.types.as_ref().map(|types| types.bytes.as_slice()),
                stacks,
            });
        members.chain(self.support.iter().flat_map(counting::parts)).collect()
    }
}

/// Loads the one program: with members in the main where that is possible, else as functions that it
/// calls. Gives what is worth telling about it.
fn load_fused(
    job: &Job<'_>,
    parts: &[Part<'_>],
    main: &Main,
) -> Result<(OwnedFd, Vec<String>), ApplyError> {
    let load = |fused| {
        let prepared = generated(job.spot.hook, job.frags, main.name.clone(), fused)?;
        load::finish(&prepared, As::OnHook)
    };
    let fused = fuse::fuse(parts, main, Form::Inlined).map_err(ApplyError::Fuse)?;
    let (inlined, notes) = (fused.inlined, notes(parts, &fused));
    let refused = match load(fused) {
        Ok(program) => return Ok((program, notes)),
        Err(error) if inlined && matches!(error, LoadError::Verifier { .. }) => error,
        Err(error) => return Err(refused_as(parts, error)),
    };
    // Each member is good alone; together in one function they may be too much for the verifier.
    let why = refused.to_string();
    let called = fuse::fuse(parts, main, Form::Called).map_err(|_| refused_as(parts, refused))?;
    let program = load(called).map_err(|error| refused_as(parts, error))?;
    tracing::warn!(why, "members are called because the verifier refused them in one function");
    Ok((program, vec![format!("all members stay functions of their own because {why}")]))
}

/// Which members stay functions, by the reason.
fn notes(parts: &[Part<'_>], fused: &fuse::Fused) -> Vec<String> {
    let note = |(part, why): (&usize, &Stays)| {
        let label = parts.get(*part).map_or("?", |part| part.label);
        format!("{label} stays a function of its own because {why}")
    };
    fused.stays.iter().map(note).collect()
}

/// A member of the walk: what is wanted of it, and what its code does.
pub(crate) fn step(member: &MemberRecord, code: &Prepared) -> walk::Member {
    let MemberRecord { proceed_on, mode, failure, keeps_length, .. } = *member;
    let answers = fuse::answers(&code.instructions);
    walk::Member { proceed_on, mode, failure, keeps_length, answers }
}

fn refused_as(parts: &[Part<'_>], error: LoadError) -> ApplyError {
    match error {
        LoadError::Verifier { last_lines, source, .. } => {
            let deep = last_lines.iter().any(|line| line.contains(STACK_WORDS));
            let deepest = if deep { fuse::deepest(parts) } else { None };
            let stack =
                deepest.map(|(member, bytes)| DeepStack { member: member.to_owned(), bytes });
            ApplyError::FusedVerifier { stack, last_lines, source }
        }
        other => ApplyError::Dispatcher(other),
    }
}

/// What tells one version of what is generated from another.
pub(crate) fn identity(hook: Hook) -> Digest {
    Digest::of(&[b"fused", walk::VERSION, support::object(hook)].concat())
}

/// Whether a running generation is still as it was built: its program cannot change, its counters'
/// pin can be removed.
pub(crate) fn intact(dir: &GenerationDir, record: &ChainRecord) -> Result<bool, ObserveError> {
    match record.counting {
        Counting::On => Ok(open_pin(&dir.counters())?.is_some()),
        Counting::Off => Ok(true),
    }
}
