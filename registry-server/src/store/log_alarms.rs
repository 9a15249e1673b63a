//! Nodes whose view of the log is not this registry's. Refuses to know how views are compared.

use super::{Store, StoreError, digest, failed, parsed, signed, unsigned};
use skep_api::v1::log::LogAlarm;
use skep_fleet::ids::NodeName;

#[derive(sqlx::FromRow)]
struct AlarmRow {
    node: String,
    code: String,
    message: String,
    size: i64,
    root: Vec<u8>,
    since: i64,
}

impl AlarmRow {
    fn read(self) -> Result<LogAlarm, StoreError> {
        Ok(LogAlarm {
            node: parsed("node name", &self.node)?,
            code: self.code,
            message: self.message,
            size: unsigned("log size", self.size)?,
            root: digest(&self.root)?,
            since: self.since,
        })
    }
}

impl Store {
    /// Every alarm that stands, by node.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_alarms(&self) -> Result<Vec<LogAlarm>, StoreError> {
        let select = "SELECT node, code, message, size, root, since FROM log_alarms ORDER BY node";
        let rows: Vec<AlarmRow> = sqlx::query_as(select)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list log alarms"))?;
        rows.into_iter().map(AlarmRow::read).collect()
    }

    /// Raises an alarm; one that stands for the node with the same code keeps its beginning.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn raise_log_alarm(&self, alarm: &LogAlarm) -> Result<(), StoreError> {
        let put = "INSERT INTO log_alarms (node, code, message, size, root, since) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (node) DO UPDATE SET \
             message = excluded.message, size = excluded.size, root = excluded.root, \
             since = CASE WHEN log_alarms.code = excluded.code THEN log_alarms.since \
             ELSE excluded.since END, code = excluded.code";
        let mut change = self.begin().await?;
        sqlx::query(put)
            .bind(alarm.node.to_string())
            .bind(&alarm.code)
            .bind(&alarm.message)
            .bind(signed("log size", alarm.size)?)
            .bind(&alarm.root.as_bytes()[..])
            .bind(alarm.since)
            .execute(&mut *change)
            .await
            .map_err(failed("raise a log alarm"))?;
        change.commit().await.map_err(failed("commit a log alarm"))
    }

    /// Takes a node's alarm down, if one stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clear_log_alarm(&self, node: &NodeName) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("DELETE FROM log_alarms WHERE node = $1")
            .bind(node.to_string())
            .execute(&mut *change)
            .await
            .map_err(failed("clear a log alarm"))?;
        change.commit().await.map_err(failed("commit a log alarm"))
    }
}
