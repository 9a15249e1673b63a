//! Webhooks, and the queue of what is to be delivered to them: it outlives the process. Refuses to
//! know how deliveries are signed and sent.

use super::{Store, StoreError, failed, unsigned};
use skep_api::v1::webhooks::{Delivery, DeliveryState, WebhookInfo};
use skep_artifact::name::Namespace;

/// Deliveries one list shows.
const DELIVERIES_SHOWN: i64 = 100;

/// A delivery that is due, with everything it takes.
#[derive(sqlx::FromRow)]
pub struct DueDelivery {
    pub id: String,
    pub webhook: String,
    pub payload: String,
    pub attempts: i64,
    pub url: String,
    pub secret: Vec<u8>,
}

/// How an attempt went.
pub struct Attempt {
    pub status: Option<u16>,
    pub problem: Option<String>,
    pub then: Then,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Delivered,
    Again {
        due_at: i64,
    },
    GiveUp,
    /// The receiver wants no more.
    Disable,
}

#[derive(sqlx::FromRow)]
struct WebhookRow {
    id: String,
    url: String,
    created_by: String,
    created_at: i64,
    failures: i64,
    disabled_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct DeliveryRow {
    id: String,
    event: String,
    created_at: i64,
    attempts: i64,
    state: String,
    status: Option<i64>,
    problem: Option<String>,
    due_at: Option<i64>,
}

impl DeliveryRow {
    fn read(self) -> Result<Delivery, StoreError> {
        let state = match self.state.as_str() {
            "pending" => DeliveryState::Pending,
            "delivered" => DeliveryState::Delivered,
            "failed" => DeliveryState::Failed,
            other => {
                let reason = other.to_owned();
                return Err(StoreError::Corrupt { what: "delivery state", reason });
            }
        };
        Ok(Delivery {
            id: self.id,
            event: self.event,
            created_at: self.created_at,
            attempts: unsigned("attempts", self.attempts)?,
            state,
            status: self.status.and_then(|status| u16::try_from(status).ok()),
            problem: self.problem,
            due_at: self.due_at,
        })
    }
}

impl Store {
    /// Adds a webhook with the key of its signatures.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_webhook(
        &self,
        namespace: &Namespace,
        webhook: &WebhookInfo,
        secret: &[u8],
    ) -> Result<(), StoreError> {
        let add = "INSERT INTO webhooks \
            (id, namespace, url, secret, created_by, created_at, failures) \
            VALUES ($1, $2, $3, $4, $5, $6, 0)";
        sqlx::query(add)
            .bind(&webhook.id)
            .bind(namespace.as_str())
            .bind(&webhook.url)
            .bind(secret.to_vec())
            .bind(&webhook.created_by)
            .bind(webhook.created_at)
            .execute(&self.write)
            .await
            .map_err(failed("add a webhook"))?;
        Ok(())
    }

    /// The webhooks of a namespace, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn webhooks(&self, namespace: &Namespace) -> Result<Vec<WebhookInfo>, StoreError> {
        let select = "SELECT id, url, created_by, created_at, failures, disabled_at \
            FROM webhooks WHERE namespace = $1 ORDER BY created_at DESC, id";
        let rows: Vec<WebhookRow> = sqlx::query_as(select)
            .bind(namespace.as_str())
            .fetch_all(&self.read)
            .await
            .map_err(failed("list webhooks"))?;
        let read = |row: WebhookRow| {
            let failures = unsigned("failures", row.failures)?;
            let WebhookRow { id, url, created_by, created_at, disabled_at, .. } = row;
            Ok(WebhookInfo { id, url, created_by, created_at, failures, disabled_at })
        };
        rows.into_iter().map(read).collect()
    }

    /// The key of a webhook's signatures.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn webhook_secret(
        &self,
        namespace: &Namespace,
        id: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT secret FROM webhooks WHERE namespace = $1 AND id = $2")
            .bind(namespace.as_str())
            .bind(id)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("read a webhook's key"))
    }

    /// Removes a webhook with its deliveries; tells whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_webhook(
        &self,
        namespace: &Namespace,
        id: &str,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let owned = "DELETE FROM webhook_deliveries WHERE webhook IN \
            (SELECT id FROM webhooks WHERE namespace = $1 AND id = $2)";
        sqlx::query(owned)
            .bind(namespace.as_str())
            .bind(id)
            .execute(&mut *change)
            .await
            .map_err(failed("remove deliveries"))?;
        let done = sqlx::query("DELETE FROM webhooks WHERE namespace = $1 AND id = $2")
            .bind(namespace.as_str())
            .bind(id)
            .execute(&mut *change)
            .await
            .map_err(failed("remove a webhook"))?;
        change.commit().await.map_err(failed("commit a removal"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Queues an event for one webhook, disabled or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queue_delivery(
        &self,
        webhook: &str,
        delivery: &Delivery,
        payload: &str,
    ) -> Result<(), StoreError> {
        let add = "INSERT INTO webhook_deliveries \
            (id, webhook, event, payload, created_at, attempts, due_at, state) \
            VALUES ($1, $2, $3, $4, $5, 0, $5, 'pending')";
        sqlx::query(add)
            .bind(&delivery.id)
            .bind(webhook)
            .bind(&delivery.event)
            .bind(payload)
            .bind(delivery.created_at)
            .execute(&self.write)
            .await
            .map_err(failed("queue a delivery"))?;
        Ok(())
    }

    /// The deliveries to a webhook, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliveries(
        &self,
        namespace: &Namespace,
        webhook: &str,
    ) -> Result<Vec<Delivery>, StoreError> {
        let select = "SELECT d.id, d.event, d.created_at, d.attempts, d.state, d.status, \
            d.problem, d.due_at FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook \
            WHERE w.namespace = $1 AND w.id = $2 ORDER BY d.created_at DESC, d.id LIMIT $3";
        let rows: Vec<DeliveryRow> = sqlx::query_as(select)
            .bind(namespace.as_str())
            .bind(webhook)
            .bind(DELIVERIES_SHOWN)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list deliveries"))?;
        rows.into_iter().map(DeliveryRow::read).collect()
    }

    /// Takes what is due, and puts it off until `again_at`: whoever dies with it in hand leaves it
    /// to be taken again, and two servers never take the same at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_due(
        &self,
        now: i64,
        again_at: i64,
        limit: i64,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let take = "UPDATE webhook_deliveries SET due_at = $1 WHERE due_at <= $2 AND id IN \
            (SELECT id FROM webhook_deliveries WHERE due_at <= $2 ORDER BY due_at LIMIT $3) \
            RETURNING id, webhook, payload, attempts, \
            (SELECT url FROM webhooks w WHERE w.id = webhook) AS url, \
            (SELECT secret FROM webhooks w WHERE w.id = webhook) AS secret";
        sqlx::query_as(take)
            .bind(again_at)
            .bind(now)
            .bind(limit)
            .fetch_all(&self.write)
            .await
            .map_err(failed("take what is due"))
    }

    /// Writes down how an attempt went, and disables a webhook that failed `failures_max` times in
    /// a row. One that works again is enabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn attempted(
        &self,
        due: &DueDelivery,
        attempt: &Attempt,
        failures_max: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        let (state, due_at) = match attempt.then {
            Then::Delivered => ("delivered", None),
            Then::Again { due_at } => ("pending", Some(due_at)),
            Then::GiveUp | Then::Disable => ("failed", None),
        };
        let mut change = self.begin().await?;
        let note = "UPDATE webhook_deliveries SET attempts = attempts + 1, state = $1, \
            due_at = $2, status = $3, problem = $4 WHERE id = $5";
        sqlx::query(note)
            .bind(state)
            .bind(due_at)
            .bind(attempt.status.map(i64::from))
            .bind(&attempt.problem)
            .bind(&due.id)
            .execute(&mut *change)
            .await
            .map_err(failed("note an attempt"))?;
        let counted = match attempt.then {
            Then::Delivered => {
                let works = "UPDATE webhooks SET failures = 0, disabled_at = NULL WHERE id = $1";
                sqlx::query(works).bind(&due.webhook).execute(&mut *change).await
            }
            Then::Again { .. } | Then::GiveUp | Then::Disable => {
                let limit = if attempt.then == Then::Disable { 0 } else { failures_max };
                let fails = "UPDATE webhooks SET failures = failures + 1, \
                    disabled_at = CASE WHEN disabled_at IS NULL AND failures + 1 >= $2 \
                    THEN $3 ELSE disabled_at END WHERE id = $1";
                let query = sqlx::query(fails).bind(&due.webhook).bind(limit).bind(now);
                query.execute(&mut *change).await
            }
        };
        counted.map_err(failed("count a failure"))?;
        // What waits for a disabled webhook is given up.
        let drop_queue = "UPDATE webhook_deliveries SET state = 'failed', due_at = NULL \
            WHERE webhook = $1 AND state = 'pending' AND \
            (SELECT disabled_at FROM webhooks WHERE id = $1) IS NOT NULL";
        sqlx::query(drop_queue)
            .bind(&due.webhook)
            .execute(&mut *change)
            .await
            .map_err(failed("give deliveries up"))?;
        change.commit().await.map_err(failed("commit an attempt"))
    }

    /// Forgets what was settled before `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_deliveries(&self, before: i64) -> Result<u64, StoreError> {
        let forget = "DELETE FROM webhook_deliveries WHERE state <> 'pending' AND created_at < $1";
        let done = sqlx::query(forget)
            .bind(before)
            .execute(&self.write)
            .await
            .map_err(failed("forget deliveries"))?;
        Ok(done.rows_affected())
    }
}
