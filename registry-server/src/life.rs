//! The use case of everything that happens to a package after it was published: yank, deprecate,
//! delete. Checks the words, changes in one transaction, tells the log. Refuses to know HTTP.

use crate::app::App;
use crate::auth::NamespacePublisher;
use crate::clock;
use crate::store::StoreError;
use crate::store::life::{LifeChange, LifeOutcome};
use skep_api::v1::life::{LIFE_MESSAGE_CHARS_MAX, LifeAction, LifeReceipt};
use skep_artifact::name::{PackageName, Version};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    #[error(
        "the message has {found} characters; 1 to {LIFE_MESSAGE_CHARS_MAX} on one line say why"
    )]
    Message { found: usize },
    #[error("package {package} was not found")]
    NoPackage { package: PackageName },
    #[error("{package} {version} was not found")]
    NoVersion { package: PackageName, version: Version },
    #[error("{replacement} cannot take its place: there is no such package")]
    NoReplacement { replacement: PackageName },
    #[error("{package} cannot take its own place")]
    OwnReplacement { package: PackageName },
    #[error("{package} was deleted: {message}")]
    Tombstoned { package: PackageName, message: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What somebody wants done.
#[derive(Debug, Clone)]
pub struct Wish {
    pub action: LifeAction,
    pub package: PackageName,
    /// `None` for the whole package.
    pub version: Option<Version>,
    /// Empty where nothing has to be said.
    pub message: String,
    pub replacement: Option<PackageName>,
}

/// Does it, once: what is so already is answered without a new entry in the history.
///
/// # Errors
/// [`LifeError`]; nothing changed then.
pub async fn change(
    app: &App,
    publisher: NamespacePublisher,
    wish: Wish,
) -> Result<LifeReceipt, LifeError> {
    let message = checked_message(&wish)?;
    check_replacement(app, &wish).await?;
    let change = LifeChange {
        action: wish.action,
        package: wish.package,
        version: wish.version,
        message,
        replacement: wish.replacement,
        at: clock::now(),
        by: publisher.by,
    };
    let outcome = app.store.change_life(&change).await?;
    let LifeChange { package, version, by, action, .. } = change;
    let changed = match outcome {
        LifeOutcome::Changed => true,
        LifeOutcome::Already => false,
        LifeOutcome::Tombstoned { message } => {
            return Err(LifeError::Tombstoned { package, message });
        }
        LifeOutcome::NoSuchThing => {
            return Err(match version {
                None => LifeError::NoPackage { package },
                Some(version) => LifeError::NoVersion { package, version },
            });
        }
    };
    if changed {
        // A tag may name nothing now.
        app.lookups.forget_all();
        let of = version.as_ref().map_or_else(String::new, |v| format!(" {v}"));
        let word = action.as_str();
        tracing::info!(%package, action = word, by, "{word} of {package}{of} by {by}");
    }
    Ok(LifeReceipt { name: package, version, action, changed })
}

/// One line that says why; whatever takes something back needs none.
fn checked_message(wish: &Wish) -> Result<String, LifeError> {
    if matches!(wish.action, LifeAction::Unyank | LifeAction::Undeprecate) {
        return Ok(String::new());
    }
    let message = wish.message.trim();
    let found = message.chars().count();
    let readable = !message.chars().any(char::is_control);
    if found == 0 || found > LIFE_MESSAGE_CHARS_MAX || !readable {
        return Err(LifeError::Message { found });
    }
    Ok(message.to_owned())
}

async fn check_replacement(app: &App, wish: &Wish) -> Result<(), LifeError> {
    let Some(replacement) = &wish.replacement else { return Ok(()) };
    if *replacement == wish.package {
        return Err(LifeError::OwnReplacement { package: wish.package.clone() });
    }
    if app.store.package(replacement).await?.is_none() {
        return Err(LifeError::NoReplacement { replacement: replacement.clone() });
    }
    Ok(())
}
