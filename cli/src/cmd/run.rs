//! `skep run REF --interface IFACE`: one program on one interface of this host, nothing else needed.

mod ends;
mod live;
mod source;

use crate::cmd::Session;
use crate::exit::Ends;
use crate::local::content::{self, Content};
use crate::local::host::{Host, Liberties, Newcomer};
use crate::local::seat::{FORMAT, Holder, Origin, Seat, Wish};
use crate::local::{Places, capability, interface, settings};
use crate::render::units::parse_duration;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::key::PublicKey;
use skep_chain_dispatcher::{
    BackendChoice, Foreign, Gap, LostState, Sampling, Until, XdpModeChoice,
};
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep run skep/firewall@1.4.2 --interface eth0 --trust policy.toml --set blocklist=10.66.0.0/16
  skep run ./ratelimit --interface eth0 --key skep-ed25519:oE…= --for 30s
  skep run ./thing.bpf.o --trust-local-object --program xdp_main --interface veth0
  skep run skep/flowlog --interface eth0 --hook tc-ingress --detach
  skep run --list
  skep run --stop eth0

Stays in the foreground and shows what the program does; Ctrl-C takes it off again, and so do SIGTERM
and a closed terminal. With --detach it stays until `skep run --stop`. Several runs on one interface
share a chain, ordered by priority; each takes only itself off. A run that was killed with SIGKILL
leaves its program running: a filter must not vanish because its terminal did. `--list` shows it as
left over, `--stop` or the next run on that hook removes it.

Whom to trust: --trust FILE (a node policy), or --key, or ~/.config/skep/trust.toml. An agent's chain
is never touched: where it holds the XDP hook, this command refuses.")]
pub(crate) struct Args {
    /// A package of a registry, an OCI layout (folder or tar file), a package's folder, or an object file
    #[arg(value_name = "NAME[@VERSION]|DIR|FILE", required_unless_present_any = ["list", "stop"])]
    what: Option<String>,
    /// Interface to run it on
    #[arg(long, short, value_name = "IFACE", required_unless_present_any = ["list", "stop"])]
    interface: Option<String>,
    /// xdp, tc-ingress or tc-egress [default: the first one the program is for]
    #[arg(long, value_name = "HOOK")]
    hook: Option<Hook>,
    /// The function to run, when there are several
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// A setting of the package; give it once for every setting. Lists: `blocklist=10.0.0.0/8,2001:db8::/32` or `blocklist=@FILE`
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// File with settings (YAML, JSON or TOML)
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Place in the chain, 0 first [default: the package's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    priority: Option<u32>,
    /// Verdicts after which the next program runs [default: the package's]
    #[arg(long, value_name = "VERDICTS", value_delimiter = ',')]
    proceed_on: Option<Vec<String>>,
    /// Run and count, and let no verdict decide
    #[arg(long)]
    observe: bool,
    /// Send packets on, rather than drop them, when the program could not run
    #[arg(long)]
    fail_open: bool,
    /// Name in the chain [default: the package's or the program's]
    #[arg(long, value_name = "NAME", value_parser = seat_name)]
    name: Option<String>,
    /// How to chain it: auto, libxdp, slots, fused; on tc also tcx, tc, tc-fused
    #[arg(long, value_name = "BACKEND", default_value_t = BackendChoice::Auto)]
    backend: BackendChoice,
    /// Where XDP runs: auto, native (in the driver) or generic
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = xdp_mode)]
    mode: XdpModeChoice,
    /// Allow a change that packets pass unseen for a moment
    #[arg(long)]
    allow_gap: bool,
    /// Begin with an empty map where the content of an older version's map cannot go on
    #[arg(long)]
    lose_state: bool,
    /// Take off a program that somebody else attached there; never the agent's
    #[arg(long)]
    takeover: bool,
    /// Take it off after this time, like 30s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, conflicts_with = "detach")]
    for_time: Option<Duration>,
    /// Time between two readings of the counters
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    interval: Duration,
    /// Measure how long one packet in N takes; 0 for none [default: 64, with --detach 0]
    #[arg(long, value_name = "N")]
    timing: Option<u32>,
    /// Leave it running and return
    #[arg(long)]
    detach: bool,
    /// Show what `skep run` runs on this host
    #[arg(long, conflicts_with_all = ["what", "stop"])]
    list: bool,
    /// Take off what `skep run` put onto an interface; --hook and --name narrow it down
    #[arg(long, value_name = "IFACE", conflicts_with_all = ["what", "interface"])]
    stop: Option<String>,
    /// Node policy that says whom to trust [default: trust.toml beside the configuration file]
    #[arg(long, value_name = "FILE", conflicts_with = "keys", help_heading = "Trust")]
    trust: Option<PathBuf>,
    /// Publisher's public key to trust for this package; give it once for every key
    #[arg(long = "key", value_name = "PUBLIC_KEY", help_heading = "Trust")]
    keys: Vec<PublicKey>,
    /// How many of the keys must have signed
    #[arg(long, default_value_t = 1, requires = "keys", help_heading = "Trust")]
    threshold: u32,
    /// Role file with the package's signature [default: skep.role.json beside the package]
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    role: Option<PathBuf>,
    /// Run an object file that nobody signed, because you say so
    #[arg(long, help_heading = "Trust")]
    trust_local_object: bool,
    #[command(flatten)]
    places: Places,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    if args.interval.is_zero() {
        return Err(Ends::usage("--interval must be at least 1s.").into());
    }
    if args.list {
        return ends::list(&args.places, session);
    }
    if let Some(interface) = &args.stop {
        return ends::stop(args, interface, session);
    }
    // The parser makes sure that both are there.
    let (Some(what), Some(name)) = (&args.what, &args.interface) else {
        return Err(Ends::usage("Name a package and an --interface.").into());
    };
    capability::check("Running a program on an interface")?;
    let interface = interface::named(name)?;
    let content = source::find(what, args, session).await?;
    let proven = content.prove(session.now())?;
    let offers = proven.offers();
    let (offered, hook) =
        content::choose(&proven.title(), &offers, args.program.as_deref(), args.hook)?;
    proven.permit(hook)?;
    if hook.is_tc() && args.mode != XdpModeChoice::Auto {
        return Err(
            Ends::usage(format!("--mode is for XDP, and this is {hook}. Leave it out.")).into()
        );
    }
    let values = settings::gather(args.settings.as_deref(), &args.set)?;
    proven.encode(&values)?;
    let seat = Seat {
        format: FORMAT,
        name: args.name.clone().unwrap_or_else(|| proven.seat_name(&offered.program)),
        interface: interface.name.clone(),
        title: proven.title(),
        program: offered.program.clone(),
        priority: args.priority.unwrap_or(offered.priority),
        proceed_on: proceed_on(args, hook, offered.proceed_on)?,
        mode: if args.observe { Mode::Observe } else { Mode::Enforce },
        failure: if args.fail_open { Failure::Open } else { Failure::Closed },
        settings: values,
        wish: Wish { backend: args.backend, xdp_mode: args.mode },
        origin: origin(&content, session.now()),
        since: session.now(),
        holder: if args.detach { Holder::Detached } else { Holder::Process(std::process::id()) },
    };
    let host = Host::open(&args.places)?;
    // Before anything is attached: from then on a signal must find somebody who takes it off again.
    let signals = live::Signals::listen()?;
    let joined = host.join(Newcomer {
        interface: &interface,
        hook,
        seat,
        name_asked_for: args.name.is_some(),
        content: &content,
        proven: &proven,
        liberties: Liberties {
            foreign: if args.takeover { Foreign::TakeOver } else { Foreign::Refuse },
            gap: if args.allow_gap { Gap::Allow } else { Gap::Refuse },
            lost_state: if args.lose_state { LostState::Allow } else { LostState::Refuse },
        },
    })?;
    live::announce(&joined, &proven.vouched_by(), session);
    if args.detach {
        if let Some(one_in @ 1..) = args.timing {
            host.time(&joined.at, Sampling { one_in, until: Until::Changed })?;
        }
        return ends::detached(&joined, session);
    }
    live::follow(&host, joined, signals, args, session).await
}

fn proceed_on(args: &Args, hook: Hook, offered: Option<VerdictSet>) -> Result<VerdictSet, Ends> {
    match &args.proceed_on {
        Some(names) => VerdictSet::from_names(hook, names)
            .map_err(|why| Ends::usage(format!("--proceed-on: {why}."))),
        None => Ok(offered.unwrap_or_else(|| VerdictSet::default_for(hook))),
    }
}

fn origin(content: &Content, now: i64) -> Origin {
    match content {
        Content::Package { bundle, trust } => Origin::Package {
            name: bundle.wanted.name.clone(),
            version: bundle.wanted.version.clone(),
            index: bundle.wanted.index,
            policy: trust.text.clone(),
            accepted_at: now,
        },
        Content::Object { path, .. } => Origin::Object { path: path.clone() },
    }
}

fn xdp_mode(text: &str) -> Result<XdpModeChoice, String> {
    match text {
        "auto" => Ok(XdpModeChoice::Auto),
        "native" => Ok(XdpModeChoice::Native),
        "generic" => Ok(XdpModeChoice::Generic),
        _ => Err("the modes are auto, native and generic".to_owned()),
    }
}

/// A name that is a folder's name and a pin's name as it stands.
fn seat_name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&text.len()) && text.chars().all(fine) {
        return Ok(text.to_owned());
    }
    Err("a name has 1 to 64 letters, digits, - and _".to_owned())
}
