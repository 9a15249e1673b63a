//! Tasks that an admin starts while the server runs, one at a time, with how far they are. Refuses
//! to know what a task does: `jobs` does.

use crate::app::App;
use crate::clock;
use crate::error::ApiError;
use crate::jobs::{collect_blobs, scrub};
use skep_api::client::{Client, ClientConfig};
use skep_api::v1::maintenance::{StartTask, TaskInfo, TaskKind, TaskState};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tasks that are remembered: a week of daily ones, and room for those started by hand.
const TASKS_MAX: usize = 32;

/// Why a task was not started.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("task {id} is running")]
    Running { id: u64 },
    #[error("the registry to repair from cannot be used: {reason}")]
    Source { reason: String },
    #[error("only a scrub repairs")]
    NothingToRepair,
}

/// How far a task is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    pub done: AtomicU64,
    pub total: AtomicU64,
}

/// The tasks since the server was started.
#[derive(Default)]
pub struct Tasks {
    known: Mutex<VecDeque<Task>>,
    next: AtomicU64,
}

struct Task {
    info: TaskInfo,
    progress: Arc<Progress>,
}

impl Tasks {
    /// Every task, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<TaskInfo> {
        self.known().iter().map(Task::read).collect()
    }

    /// One task.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<TaskInfo> {
        self.known().iter().find(|task| task.info.id == id).map(Task::read)
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Task>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, kind: TaskKind) -> Result<(TaskInfo, Arc<Progress>), TaskError> {
        let mut known = self.known();
        if let Some(running) = known.iter().find(|task| task.info.state == TaskState::Running) {
            return Err(TaskError::Running { id: running.info.id });
        }
        let info = TaskInfo {
            id: self.next.fetch_add(1, Ordering::Relaxed) + 1,
            kind,
            state: TaskState::Running,
            done: 0,
            total: 0,
            started_at: clock::now(),
            ended_at: None,
            removed: 0,
            findings: None,
            error: None,
        };
        let progress = Arc::new(Progress::default());
        known.push_front(Task { info: info.clone(), progress: progress.clone() });
        known.truncate(TASKS_MAX);
        Ok((info, progress))
    }

    fn end(&self, id: u64, finish: impl FnOnce(&mut TaskInfo)) {
        if let Some(task) = self.known().iter_mut().find(|task| task.info.id == id) {
            task.info.ended_at = Some(clock::now());
            finish(&mut task.info);
        }
    }
}

impl Task {
    fn read(&self) -> TaskInfo {
        TaskInfo {
            done: self.progress.done.load(Ordering::Relaxed),
            total: self.progress.total.load(Ordering::Relaxed),
            ..self.info.clone()
        }
    }
}

/// Starts a task and answers at once.
///
/// # Errors
/// [`TaskError`].
pub fn start(app: &App, wish: StartTask) -> Result<TaskInfo, TaskError> {
    let source = match (wish.kind, wish.repair_from) {
        (_, None) => None,
        (TaskKind::Gc, Some(_)) => return Err(TaskError::NothingToRepair),
        (TaskKind::Scrub, Some(server)) => Some(source(server)?),
    };
    let (info, progress) = app.tasks.begin(wish.kind)?;
    let (app, id, kind) = (app.clone(), info.id, wish.kind);
    tokio::spawn(async move {
        let work = async {
            match kind {
                TaskKind::Gc => {
                    let removed = collect_blobs::run(&app, clock::now(), &progress).await?;
                    Ok::<_, ApiError>((removed as u64, None))
                }
                TaskKind::Scrub => {
                    let found =
                        scrub::run(&app.store, &app.blobs, source.as_ref(), &progress).await?;
                    Ok((0, Some(found)))
                }
            }
        };
        let ended = tokio::select! {
            ended = work => ended,
            () = app.stopping.cancelled() => return,
        };
        app.tasks.end(id, |info| match ended {
            Ok((removed, findings)) => {
                (info.state, info.removed, info.findings) = (TaskState::Done, removed, findings);
            }
            Err(error) => {
                tracing::error!(task = id, "task {id} failed: {error}");
                (info.state, info.error) = (TaskState::Failed, Some(error.to_string()));
            }
        });
    });
    Ok(info)
}

/// A registry that has the same packages. What comes from it is compared with digests, so nothing
/// else has to be known about it.
///
/// # Errors
/// [`TaskError::Source`].
pub fn source(server: String) -> Result<Client, TaskError> {
    let config = ClientConfig { server, ..ClientConfig::default() };
    Client::new(config).map_err(|error| TaskError::Source { reason: error.to_string() })
}
