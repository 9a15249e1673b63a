//! `skep search WORDS [--hook HOOK …]`.

use crate::cmd::Session;
use crate::render::packages;
use skep_api::v1::packages::{PAGE_MAX, PackageQuery};
use skep_artifact::hook::Hook;
use skep_artifact::object::KernelVersion;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep search rate limit
  skep search --hook xdp --kernel 5.15 --arch arm64
  skep search firewall --facets
  skep search --category security --verified-on 6.1 --json

A package must pass every filter. --facets tells which values there are, and how many packages have each.")]
pub(crate) struct Args {
    /// Words to look for in name, description and keywords
    words: Vec<String>,
    #[command(flatten)]
    filters: Filters,
    /// Count what the packages found can be narrowed by, instead of listing them
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    facets: bool,
    /// Packages to show, 1 to 100
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE_MAX)))]
    limit: Option<u32>,
    /// Go on where an earlier page ended
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

#[derive(clap::Args)]
struct Filters {
    /// Only packages with a program for this hook: xdp, tc-ingress or tc-egress
    #[arg(long)]
    hook: Option<Hook>,
    /// Only packages with a program of this type, like xdp or kprobe
    #[arg(long, value_name = "TYPE")]
    program_type: Option<String>,
    /// Only packages that run on this kernel release, like 5.15
    #[arg(long, value_name = "RELEASE")]
    kernel: Option<KernelVersion>,
    /// Only packages with objects for this machine, like amd64
    #[arg(long)]
    arch: Option<String>,
    /// Only packages under this licence, as SPDX writes it
    #[arg(long)]
    license: Option<String>,
    /// Only packages of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only packages that somebody attested to load on this kernel series, like 6.1
    #[arg(long, value_name = "SERIES")]
    verified_on: Option<String>,
    /// Only packages that the key with this id signed
    #[arg(long, value_name = "KEY_ID")]
    signed_by: Option<String>,
    /// Only packages of this category
    #[arg(long)]
    category: Option<String>,
}

impl Filters {
    fn query(&self) -> PackageQuery {
        PackageQuery {
            hook: self.hook,
            program_type: self.program_type.clone(),
            kernel: self.kernel,
            arch: self.arch.clone(),
            license: self.license.clone(),
            namespace: self.namespace.clone(),
            verified_on: self.verified_on.clone(),
            signed_by: self.signed_by.clone(),
            category: self.category.clone(),
            ..PackageQuery::default()
        }
    }
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let words = args.words.join(" ");
    let query = PackageQuery {
        q: (!words.is_empty()).then_some(words),
        after: args.after.clone(),
        limit: args.limit,
        ..args.filters.query()
    };
    let client = session.settings.client()?;
    if args.facets {
        let facets = client.facets(&query).await?;
        return session.out.result(&facets, || packages::facets(&facets));
    }
    let page = client.packages(&query).await?;
    session.out.result(&page, || packages::page(&page, session.now()))
}
