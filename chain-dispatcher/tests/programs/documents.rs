//! What the packages say about themselves is so: defaults, lowest kernel, README, and the claims a publisher signs.

use std::collections::BTreeMap;

use skep_artifact::layout;
use skep_artifact::manifest::SettingTarget;

use super::package::Package;

const PACKAGES: [&str; 3] = ["firewall", "ratelimit", "flowlog"];

/// The defaults people read in the manifest are those compiled into the object, so a program loaded without
/// settings behaves as documented.
#[test]
fn manifest_defaults_are_the_compiled_ones() {
    for name in PACKAGES {
        let package = Package::compile(name);
        let source = std::fs::read_to_string(
            package.folder.join(package.manifest.build.as_ref().unwrap().source.as_ref().unwrap()),
        )
        .unwrap();
        for (setting, about) in &package.manifest.config {
            let SettingTarget::Global { global, default: Some(default), .. } = &about.target else {
                continue;
            };
            let line = source
                .lines()
                .find(|line| {
                    line.starts_with("const volatile") && line.contains(&format!(" {global} ="))
                })
                .unwrap_or_else(|| panic!("{name}: no global {global}"));
            let compiled = line.rsplit_once("= ").unwrap().1.trim_end_matches(';');
            let claimed = serde_json::to_string(default).unwrap();
            assert_eq!(compiled, claimed, "{name}: {setting}");
        }
    }
}

/// Debian 12 and Ubuntu 22.04 hosts are served: nothing asks for more than 5.15.
#[test]
fn every_program_runs_on_kernel_5_15() {
    for name in PACKAGES {
        let package = Package::compile(name);
        for program in &package.facts.programs {
            let lowest = program.lowest_kernel.expect("all its helpers are known").to_string();
            let numbers: Vec<u32> = lowest.split('.').map(|part| part.parse().unwrap()).collect();
            assert!(numbers <= vec![5, 15], "{}: {lowest}, {}", program.name, program.because);
        }
    }
}

/// Every setting with its default and every metric stands in the README.
#[test]
fn the_readme_names_every_setting_and_metric() {
    for name in PACKAGES {
        let package = Package::compile(name);
        let readme = std::fs::read_to_string(package.folder.join("README.md")).unwrap();
        for (setting, about) in &package.manifest.config {
            assert!(about.about.is_some(), "{name}: {setting} says nothing about itself");
            let row = readme.lines().find(|line| line.starts_with(&format!("| `{setting}` |")));
            let row = row.unwrap_or_else(|| panic!("{name}: the README lacks {setting}"));
            if let SettingTarget::Global { default: Some(default), .. } = &about.target {
                let default = serde_json::to_string(default).unwrap();
                assert!(row.contains(&format!("| {default} |")), "{name}: {row}");
            }
        }
        for metric in &package.manifest.metrics {
            assert!(metric.about.is_some(), "{name}: {} says nothing about itself", metric.name);
            let named = format!("`{}`", metric.name);
            assert!(readme.contains(&named), "{name}: the README lacks {named}");
        }
    }
}

/// A publisher can pack what stands here, and a node that opens it finds claims and facts in agreement.
#[test]
fn every_package_packs_and_opens_again() {
    for name in PACKAGES {
        let package = Package::compile(name);
        let readme = std::fs::read_to_string(package.folder.join("README.md")).unwrap();
        let path = package.manifest.objects[0].path.as_str();
        let blobs =
            layout::build(&package.manifest, &[(path, package.object.as_slice())], Some(&readme))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        let index = blobs.index.digest;
        let store: BTreeMap<_, _> = [blobs.index, blobs.manifest_json]
            .into_iter()
            .chain(blobs.readme)
            .chain(blobs.others)
            .map(|blob| (blob.digest, blob.bytes))
            .collect();
        let opened = layout::open(index, &|digest| store.get(digest).cloned()).unwrap();
        assert_eq!(opened.manifest, package.manifest);
        assert_eq!(opened.readme.as_deref(), Some(readme.as_str()));
        assert_eq!(opened.objects[0].bytes, package.object);
        assert_eq!(opened.objects[0].arch.len(), 3);
    }
}
