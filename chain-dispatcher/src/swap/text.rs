//! A plan in words, for people. Knows steps; decides nothing.

use std::fmt;

use super::{Crossing, How, Step, SwapPlan, Warning};
use crate::chain::XdpModeChoice;
use crate::kernel::netlink::XdpMode;

impl fmt::Display for SwapPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "{}: nothing to do", self.at);
        }
        writeln!(f, "{}, backend {} because {}:", self.at, self.chosen.backend, self.chosen.why)?;
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "  note: {warning}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadMember { slot, policy, name, program, object, carried, restarted } => {
                write!(
                    f,
                    "load {policy}/{name} ({program} of {}) for slot {slot}",
                    object.short()
                )?;
                if !carried.is_empty() {
                    write!(f, ", keeping the content of {}", carried.join(", "))?;
                }
                for map in restarted {
                    write!(f, ", {} starts empty because {}", map.map, map.why)?;
                }
                Ok(())
            }
            Self::LoadDispatcher { backend, members } => {
                write!(f, "load the {backend} dispatcher for {members} members")
            }
            Self::Pin { folder } => write!(f, "pin the new chain in gen-{folder}"),
            Self::Migrate { policy, name, map, from, .. } => write!(
                f,
                "copy the entries of {from} into {map} of {policy}/{name}, as its package declares; what is written there from now to the switch is not copied"
            ),
            Self::TakeOver { program } => write!(
                f,
                "take off the foreign program {} ({}); packets pass unseen until the next step",
                program.program_id, program.name
            ),
            Self::Attach { folder } => write!(f, "attach the chain in gen-{folder}"),
            Self::Switch { how, from, folder } => {
                write!(f, "switch {how} from program {from} to the chain in gen-{folder}")
            }
            Self::Leave { live } => write!(
                f,
                "take our chain off {}; packets pass unseen until the next step",
                live.how
            ),
            Self::Settle => write!(f, "wait until no packet is inside the old chain"),
            Self::Renumber { folder, generation } => {
                write!(f, "note generation {generation} beside the unchanged chain in gen-{folder}")
            }
            Self::RemoveOld { folder } => write!(f, "remove the old chain's pins in gen-{folder}"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstAttach => f.write_str(
                "some drivers reset their queues when the first XDP program comes in native mode, and lose packets meanwhile",
            ),
            Self::Generic => f.write_str(
                "in generic mode the chain runs after the kernel has made its packet buffer, which is slower",
            ),
            Self::Gap { crossing } => write!(
                f,
                "the chain moves {crossing}: packets pass unseen for some milliseconds, and if this process is killed in between, until the next apply"
            ),
            Self::TakeOver { program } => write!(
                f,
                "program {} ({}), which Skep did not attach, is taken off, and whoever attached it is not told",
                program.program_id, program.name
            ),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { id } => write!(f, "link {id}"),
            Self::Netlink => f.write_str("the interface's XDP program"),
            Self::Filter { preference, handle } => {
                write!(f, "the filter of preference {preference} and handle {handle}")
            }
        }
    }
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attachment { from, to } => {
                write!(f, "from {} to {}", from.in_words(), to.in_words())
            }
            Self::Mode { from, to } => write!(f, "from {} to {}", mode(*from), wish(*to)),
        }
    }
}

fn mode(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "native mode",
        XdpMode::Generic => "generic mode",
        XdpMode::Offloaded => "the card",
    }
}

fn wish(choice: XdpModeChoice) -> &'static str {
    match choice {
        XdpModeChoice::Auto => "the best mode",
        XdpModeChoice::Native => "native mode",
        XdpModeChoice::Generic => "generic mode",
    }
}
