//! `skep admin gc|scrub|tasks`: looking after a running registry.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::limits::TASK_PAUSE;
use crate::render::tasks;
use skep_api::client::Client;
use skep_api::v1::maintenance::{StartTask, TaskInfo, TaskKind, TaskState};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Remove blobs that no version names, while the registry runs
    #[command(after_help = "Examples:
  skep admin gc

Uploads wait a day for their publish before they are removed. Needs an admin token.")]
    Gc,
    /// Compare every stored byte with its digest, and repair what is broken
    #[command(after_help = "Examples:
  skep admin scrub
  skep admin scrub --repair-from https://mirror.example:7600

Ends with 3 when something is broken and was not repaired. What is repaired is served at once. Needs an admin
token; the mirror needs none, because its bytes are compared with their digests.")]
    Scrub {
        /// A registry that has the same packages
        #[arg(long, value_name = "URL")]
        repair_from: Option<String>,
    },
    /// Show what runs and what ran since the registry was started
    Tasks,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let wish = match command {
        Command::Tasks => {
            let list = client.tasks().await?;
            return session.out.result(&list, || tasks::list(&list.tasks, session.now()));
        }
        Command::Gc => StartTask { kind: TaskKind::Gc, repair_from: None },
        Command::Scrub { repair_from } => {
            StartTask { kind: TaskKind::Scrub, repair_from: repair_from.clone() }
        }
    };
    let task = finished(&client, &wish, session).await?;
    session.out.result(&task, || tasks::ended(&task))?;
    if let Some(error) = &task.error {
        anyhow::bail!("The task failed: {error}.");
    }
    if task.findings.as_ref().is_some_and(|found| !found.all_is_well()) {
        let message = "Something is broken. Repair it with --repair-from URL, or from a backup.";
        return Err(Ends::refusal(message).into());
    }
    Ok(())
}

/// Starts a task and watches it to its end.
async fn finished(
    client: &Client,
    wish: &StartTask,
    session: &Session,
) -> anyhow::Result<TaskInfo> {
    let mut task = client.start_task(wish).await?;
    let bar = session.out.progress("looking at blobs", task.total);
    while task.state == TaskState::Running {
        bar.set_length(task.total);
        bar.set_position(task.done);
        tokio::time::sleep(TASK_PAUSE).await;
        task = client.task(task.id).await?;
    }
    bar.finish_and_clear();
    Ok(task)
}
