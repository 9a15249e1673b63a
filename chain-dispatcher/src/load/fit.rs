//! Whether a program may run on a hook, by the section its author put it in. A section of no known
//! name (L3AF and old objects have those) says nothing, and then whoever chose the hook decides; the
//! verifier has the last word. Pure.

use skep_artifact::hook::Hook;
use skep_artifact::object::ProgramKind;

use super::LoadError;

/// Whether the program declares that it copes with frags, once it is sure that it fits the hook.
pub(super) fn frags_of(program: &str, section: &str, hook: Hook) -> Result<bool, LoadError> {
    let name = section.strip_prefix('?').unwrap_or(section);
    let (head, rest) = name.split_once('/').unwrap_or((name, ""));
    let for_a_map = ["devmap", "cpumap"]
        .iter()
        .any(|map| rest.starts_with(map) || head.ends_with(&format!("_{map}")));
    let fits = match ProgramKind::of_section(section) {
        // Called by the kernel after a redirect, never by an interface.
        ProgramKind::Xdp | ProgramKind::Unknown if for_a_map => false,
        ProgramKind::Unknown if head.starts_with("xdp") => hook == Hook::Xdp,
        ProgramKind::Unknown if head.starts_with("tc") => hook.is_tc(),
        ProgramKind::Unknown => true,
        kind => kind.hooks().contains(&hook),
    };
    if fits {
        return Ok(head == "xdp.frags");
    }
    Err(LoadError::WrongKind {
        program: program.to_owned(),
        hook,
        section: section.to_owned(),
        makes: what_it_makes(section, for_a_map),
    })
}

/// What a section makes of its programs, in words.
fn what_it_makes(section: &str, for_a_map: bool) -> &'static str {
    match ProgramKind::of_section(section) {
        _ if for_a_map => "an XDP program that runs after a redirect",
        ProgramKind::Xdp => "an XDP program",
        ProgramKind::Tc => "a tc program",
        ProgramKind::Fentry | ProgramKind::Fexit | ProgramKind::Tracing => {
            "a program that watches a function and meets no packets"
        }
        ProgramKind::Extension => "a replacement for a function of another program",
        _ => "another kind of program",
    }
}

#[cfg(test)]
mod tests {
    use skep_artifact::hook::Hook;

    use super::frags_of;

    #[test]
    fn a_section_says_where_its_programs_run() {
        let xdp = |section| frags_of("p", section, Hook::Xdp).ok();
        let tc = |section| frags_of("p", section, Hook::TcEgress).ok();
        for (section, on_xdp, on_tc) in [
            ("xdp", Some(false), None),
            ("?xdp", Some(false), None),
            ("xdp/filter", Some(false), None),
            ("xdp.frags", Some(true), None),
            ("xdp.frags/filter", Some(true), None),
            ("xdp/devmap", None, None),
            ("xdp.frags/cpumap", None, None),
            ("xdp_devmap/egress", None, None),
            ("xdp_ratelimiting", Some(false), None),
            ("tc", None, Some(false)),
            ("tcx/egress", None, Some(false)),
            ("classifier/old", None, Some(false)),
            ("tc_root", None, Some(false)),
            ("prog", Some(false), Some(false)),
            ("fentry/func", None, None),
            ("kprobe/tcp_connect", None, None),
        ] {
            assert_eq!((xdp(section), tc(section)), (on_xdp, on_tc), "{section}");
        }
    }
}
