//! Where a version can run: kernel by architecture, from the facts of its objects and not from what an author
//! claims. It refuses to know what nodes have tried.

use skep_api::v1::packages::VersionDetail;
use skep_artifact::manifest::Manifest;
use skep_artifact::object::{KernelVersion, ObjectFacts};

/// Kernels that people run: the long-term releases, oldest first.
const KERNELS: [(u16, u16); 7] = [(5, 4), (5, 10), (5, 15), (6, 1), (6, 6), (6, 12), (6, 18)];

/// What the facts say of one kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It has everything the programs ask for.
    Has,
    /// It lacks something.
    Lacks,
    /// Something is asked for that our tables do not know.
    Unknown,
}

/// One kernel, and what it means for each architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub kernel: String,
    pub fits: Vec<Fit>,
}

/// What one program asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub program: String,
    /// The release, like `5.9`; `None` when unknown.
    pub kernel: Option<String>,
    pub because: String,
}

/// The table of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Names of the architectures it has objects for; heads of the columns.
    pub architectures: Vec<String>,
    pub rows: Vec<Row>,
    pub needs: Vec<Need>,
}

/// The table of a version. Bytecode has one byte order and no machine otherwise, so what a kernel lacks it lacks on
/// every architecture the objects are for.
#[must_use]
pub fn of(detail: &VersionDetail) -> Matrix {
    let manifest: Option<Manifest> = serde_json::from_value(detail.manifest.clone()).ok();
    let named = manifest.iter().flat_map(|m| &m.objects).flat_map(|object| &object.arch);
    let mut architectures: Vec<String> = named.map(|arch| arch.as_str().to_owned()).collect();
    architectures.sort();
    architectures.dedup();
    let lowest = lowest(&detail.facts);
    let row = |(major, minor): (u16, u16)| {
        let kernel = KernelVersion::new(major, minor);
        let fit = match lowest {
            None => Fit::Unknown,
            Some(lowest) if kernel >= lowest => Fit::Has,
            Some(_) => Fit::Lacks,
        };
        Row { kernel: kernel.to_string(), fits: vec![fit; architectures.len()] }
    };
    Matrix {
        rows: KERNELS.into_iter().map(row).collect(),
        needs: needs(&detail.facts),
        architectures,
    }
}

fn lowest(facts: &[ObjectFacts]) -> Option<KernelVersion> {
    let programs = facts.iter().flat_map(|facts| &facts.programs);
    let all: Option<Vec<_>> = programs.map(|program| program.lowest_kernel).collect();
    all?.into_iter().max()
}

fn needs(facts: &[ObjectFacts]) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for program in facts.iter().flat_map(|facts| &facts.programs) {
        let need = Need {
            program: program.name.clone(),
            kernel: program.lowest_kernel.map(|kernel| kernel.to_string()),
            because: program.because.clone(),
        };
        if !needs.contains(&need) {
            needs.push(need);
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn a_kernel_fits_from_the_lowest_on() {
        let matrix = of(&samples::version());
        assert_eq!(matrix.architectures, ["amd64"]);
        let fits: Vec<_> = matrix.rows.iter().map(|r| (r.kernel.as_str(), r.fits[0])).collect();
        assert_eq!(fits[..2], [("5.4", Fit::Lacks), ("5.10", Fit::Has)]);
        assert_eq!(matrix.needs[0].because, "helper bpf_ktime_get_boot_ns");
    }

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let mut version = samples::version();
        version.facts[0].programs[0].lowest_kernel = None;
        assert!(of(&version).rows.iter().all(|row| row.fits == [Fit::Unknown]));
    }
}
