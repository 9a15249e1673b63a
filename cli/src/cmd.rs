//! The list of subcommands. Refuses to know what each does: one file each says that.

mod account;
mod admin;
mod apply;
mod approve;
mod attest;
mod audit;
mod build;
mod bundle;
mod completion;
mod deprecate;
mod freeze;
mod info;
mod inspect;
mod key;
mod log;
mod login;
mod logout;
mod namespace;
mod new;
mod node;
mod node_chain;
mod node_detach;
mod node_drops;
mod package;
mod plan;
mod policy;
mod publish;
mod pull;
mod revoke;
mod role;
mod rollout;
#[cfg(feature = "local")]
mod run;
mod search;
mod sign;
mod signed;
mod token;
#[cfg(feature = "local")]
mod top;
mod trust;
mod trusted_publisher;
mod webhook;
mod whoami;
mod yank;

use crate::output::{Format, Output};
use crate::settings::{Flags, Settings};
use clap::Parser;
use std::time::{SystemTime, UNIX_EPOCH};

/// Publish, sign, verify and operate eBPF packages and fleets.
#[derive(Parser)]
#[command(
    name = "skep",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "The road from source to fleet:
  skep new acme/ratelimit --hook xdp     a package that builds, loads and has a test
  skep build ratelimit                   compile it and see what it does
  skep publish ratelimit --key my.key    sign it here, upload it
  skep plan -f edge.yaml                 what would change on which node
  skep apply -f edge.yaml --key op.key   sign what is wanted; nodes verify and act

Exit codes: 0 ok, 1 failed, 2 usage, 3 refused by a policy or a verification, 4 not found, 5 unreachable."
)]
pub(crate) struct App {
    #[command(flatten)]
    flags: Flags,
    /// Print data as JSON on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make, list, encrypt and rotate signing keys
    #[command(subcommand)]
    Key(key::Command),
    /// Make a folder with a package that builds, loads and has a test
    New(new::Args),
    /// Compile a package and compare its manifest with what the object really does
    Build(build::Args),
    /// Show what an object, a package folder or a published package does
    Inspect(inspect::Args),
    /// Sign a built package where it lies
    Sign(sign::Args),
    /// Build, sign and upload a package
    Publish(publish::Args),
    /// Look for packages
    Search(search::Args),
    /// Show a package or one of its versions
    Info(info::Args),
    /// Download a package after verifying it
    Pull(pull::Args),
    /// Run a package on an interface of this host, without agent and registry
    #[cfg(feature = "local")]
    Run(Box<run::Args>),
    /// Watch the chains of this host live
    #[cfg(feature = "local")]
    Top(top::Args),
    /// Stop new uses of a version
    Yank(yank::Args),
    /// Let a yanked version be picked again
    Unyank(yank::UnyankArgs),
    /// Warn whoever picks a package or a version
    Deprecate(deprecate::Args),
    /// Delete a package, or see what was done to it
    #[command(subcommand)]
    Package(package::Command),
    /// Carry packages to a registry that no network reaches
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Look after a running registry
    #[command(subcommand)]
    Admin(admin::Command),
    /// Attest where a version comes from, what is in it, on which kernels it was verified
    #[command(subcommand)]
    Attest(Box<attest::Command>),
    /// Verify, watch and witness the registry's transparency log
    #[command(subcommand)]
    Log(log::Command),
    /// Claim and show namespaces, and say who is what in them
    #[command(subcommand)]
    Namespace(namespace::Command),
    /// Sign a namespace's role file on several machines, renew it
    #[command(subcommand)]
    Role(role::Command),
    /// The registry's root of trust: ceremony, delegations, rotation
    #[command(subcommand)]
    Trust(trust::Command),
    /// Log in, or remember a registry and a token
    Login(login::Args),
    /// End the session and forget it
    Logout(logout::Args),
    /// Show who you are to the registry
    Whoami(whoami::Args),
    /// Make an account, change its password, invite others
    #[command(subcommand)]
    Account(account::Command),
    /// Show who did what when
    Audit(audit::Args),
    /// Make, list and withdraw API tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Check, list and remove policies
    #[command(subcommand)]
    Policy(policy::Command),
    /// Show what applying policies would change, node by node
    Plan(plan::Args),
    /// Sign policies and hand them to the registry
    Apply(apply::Args),
    /// See, stop and steer how a revision goes to its nodes
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Times in which rollouts stand still
    #[command(subcommand)]
    Freeze(freeze::Command),
    /// Sign that a wave of a revision may begin
    Approve(approve::Args),
    /// Sign that a version is known to be bad; nodes refuse it within seconds
    Revoke(revoke::Args),
    /// Enrol, list and look at nodes
    #[command(subcommand)]
    Node(node::Command),
    /// Print a completion script for a shell
    Completion(completion::Args),
}

/// What every subcommand is given.
pub(crate) struct Session {
    pub settings: Settings,
    pub out: Output,
}

impl Session {
    /// Seconds since 1970, from this machine's clock.
    pub(crate) fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Runs the chosen subcommand.
///
/// # Errors
/// Whatever went wrong, as one chain of causes.
pub(crate) async fn run(app: App) -> anyhow::Result<()> {
    let format = if app.json { Format::Json } else { Format::Text };
    let settings = Settings::settle(app.flags, &|name| std::env::var(name).ok())?;
    let session = Session { settings, out: Output::new(format) };
    match app.command {
        Command::Key(command) => key::run(&command, &session),
        Command::New(args) => new::run(&args, &session),
        Command::Build(args) => build::run(&args, &session),
        Command::Inspect(args) => inspect::run(&args, &session).await,
        Command::Publish(args) => publish::run(&args, &session).await,
        Command::Search(args) => search::run(&args, &session).await,
        Command::Info(args) => info::run(&args, &session).await,
        Command::Pull(args) => pull::run(&args, &session).await,
        Command::Sign(args) => sign::run(&args, &session),
        #[cfg(feature = "local")]
        Command::Run(args) => run::run(&args, &session).await,
        #[cfg(feature = "local")]
        Command::Top(args) => top::run(&args, &session).await,
        Command::Yank(args) => yank::run(&args, &session).await,
        Command::Unyank(args) => yank::undo(&args, &session).await,
        Command::Deprecate(args) => deprecate::run(&args, &session).await,
        Command::Package(command) => package::run(&command, &session).await,
        Command::Bundle(command) => bundle::run(&command, &session).await,
        Command::Admin(command) => admin::run(&command, &session).await,
        Command::Attest(command) => attest::run(&command, &session).await,
        Command::Log(command) => log::run(&command, &session).await,
        Command::Namespace(command) => namespace::run(&command, &session).await,
        Command::Role(command) => role::run(&command, &session).await,
        Command::Trust(command) => trust::run(&command, &session).await,
        Command::Login(args) => login::run(&args, session).await,
        Command::Logout(args) => logout::run(&args, &session).await,
        Command::Whoami(args) => whoami::run(&args, &session).await,
        Command::Account(command) => account::run(&command, session).await,
        Command::Audit(args) => audit::run(&args, &session).await,
        Command::Token(command) => token::run(&command, &session).await,
        Command::Policy(command) => policy::run(&command, &session).await,
        Command::Plan(args) => plan::run(&args, &session).await,
        Command::Apply(args) => apply::run(&args, &session).await,
        Command::Rollout(command) => rollout::run(&command, &session).await,
        Command::Freeze(command) => freeze::run(&command, &session).await,
        Command::Approve(args) => approve::run(&args, &session).await,
        Command::Revoke(args) => revoke::run(&args, &session).await,
        Command::Node(command) => node::run(&command, &session).await,
        Command::Completion(args) => completion::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        App::command().debug_assert();
    }
}
