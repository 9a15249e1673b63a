//! `skep account sign-up|password|invite|role`.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::password;
use crate::render::{people, units};
use clap::ValueEnum;
use skep_api::v1::accounts::{
    AccountRole, ChangePassword, CreateInvite, LogIn, MemberRole, SignUp,
};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make an account, and log in with it
    #[command(after_help = "Examples:
  skep account sign-up anna --server https://registry.example --invite skepi_5f…
  pass skep/anna | skep account sign-up anna --email anna@example.org --password-stdin")]
    SignUp {
        /// 2 to 39 characters of a-z, 0-9 and hyphens
        name: String,
        /// Where the registry may write to
        #[arg(long)]
        email: Option<String>,
        /// The secret of an invite, where the registry takes only who is invited
        #[arg(long, value_name = "SECRET")]
        invite: Option<String>,
        #[command(flatten)]
        password: password::From,
    },
    /// Change your password; your other sessions end
    #[command(after_help = "Example:
  skep account password")]
    Password,
    /// Invite somebody to sign up; for admins. The secret is shown once
    #[command(after_help = "Example:
  skep account invite --ttl 3d > invite.txt")]
    Invite {
        /// How long it stays valid, like 1h or 3d
        #[arg(long, default_value = "7d", value_parser = units::parse_duration)]
        ttl: Duration,
    },
    /// Change what an account may do beyond its namespaces; for admins
    #[command(after_help = "Example:
  skep account role anna operator")]
    Role { name: String, role: Role },
}

/// What an account may do, as written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Its namespaces
    Member,
    /// Also the fleet
    Operator,
    /// Everything
    Admin,
}

pub(crate) async fn run(command: &Command, session: Session) -> anyhow::Result<()> {
    match command {
        Command::SignUp { name, email, invite, password } => {
            let (email, invite) = (email.clone(), invite.clone());
            sign_up(name, email, invite, *password, session).await
        }
        Command::Password => change_password(&session).await,
        Command::Invite { ttl } => {
            let wish = CreateInvite { role: MemberRole::Reader, valid_secs: ttl.as_secs() };
            let created = session.settings.client()?.invite_to_sign_up(&wish).await?;
            let until = units::ahead(created.info.expires_at, session.now());
            session.out.say(&format!("The invite expires {until}. It is shown this once."));
            session.out.result(&created, || format!("{}\n", created.secret))
        }
        Command::Role { name, role } => {
            let role = match role {
                Role::Member => AccountRole::Member,
                Role::Operator => AccountRole::Operator,
                Role::Admin => AccountRole::Admin,
            };
            session.settings.client()?.change_role(name, role).await?;
            session.out.say(&format!("{name} is changed."));
            Ok(())
        }
    }
}

async fn sign_up(
    name: &str,
    email: Option<String>,
    invite: Option<String>,
    password: password::From,
    session: Session,
) -> anyhow::Result<()> {
    let client = session.settings.client()?.with_token(None);
    let password = password.ask_new(&format!("New password of {name}: "))?;
    let wish = SignUp { name: name.to_owned(), password, email, invite };
    let account = client.sign_up(&wish).await?;
    let SignUp { name, password, .. } = wish;
    let done = client.log_in(&LogIn { name, password }).await?;
    let out = session.out;
    let settings = session.settings.with_token(done.session.unwrap_or_default());
    let file = settings.remember(None)?;
    out.say(&format!("Logged in; the session is kept in {}.", file.display()));
    out.result(&account, || people::account(&account))
}

async fn change_password(session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let who = client.whoami().await?;
    let Some(account) = who.account else {
        return Err(Ends::usage("This token belongs to no account, so it has no password.").into());
    };
    let old = rpassword::prompt_password(format!("Password of {} until now: ", account.name))?;
    let new = rpassword::prompt_password("New password: ")?;
    if rpassword::prompt_password("Once more: ")? != new {
        return Err(Ends::usage("The two passwords differ. Nothing was changed.").into());
    }
    client.change_password(&ChangePassword { old, new }).await?;
    session.out.say("The password is changed, and every other session ended.");
    Ok(())
}
