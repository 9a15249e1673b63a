//! Tasks that look after stored bytes. Refuses to know how their progress is shown.

use super::{Client, ClientError};
use crate::v1::maintenance::{StartTask, TaskInfo, TaskList};

impl Client {
    /// Starts a task.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn start_task(&self, wish: &StartTask) -> Result<TaskInfo, ClientError> {
        self.post("/v1/tasks", wish).await
    }

    /// How far a task is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn task(&self, id: u64) -> Result<TaskInfo, ClientError> {
        self.get(&format!("/v1/tasks/{id}")).await
    }

    /// Every task since the registry was started.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tasks(&self) -> Result<TaskList, ClientError> {
        self.get("/v1/tasks").await
    }
}
