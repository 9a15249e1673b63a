//! Webhooks by the Standard Webhooks scheme: what is said, signed with the receiver's key, to an
//! address that is allowed. Refuses to know when: the queue and its job do.

pub mod send;
pub mod target;

use crate::app::App;
use crate::clock;
use crate::error::ApiError;
use crate::routes::accounts::fresh_id;
use crate::secret::NoRandomness;
use crate::store::StoreError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use skep_api::v1::webhooks::{Delivery, DeliveryState};
use skep_artifact::name::Namespace;

/// Bytes of a key: the hash's own length; more would add nothing.
const KEY_BYTES: usize = 32;
/// How a key is written, by the scheme.
const KEY_PREFIX: &str = "whsec_";

/// The key of a webhook's signatures. Has no Debug on purpose.
pub struct Key(Vec<u8>);

impl Key {
    /// Draws a fresh key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn draw() -> Result<Self, NoRandomness> {
        let mut bytes = vec![0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A key read from the database.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text the receiver configures.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{KEY_PREFIX}{}", BASE64.encode(&self.0))
    }

    /// The `webhook-signature` of a message: `v1,` and the MAC over id, time and body.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        // A key of any length is one for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

/// Queues an event for every enabled webhook of a namespace.
///
/// # Errors
/// [`StoreError`] or [`NoRandomness`] inside an [`ApiError`].
pub async fn announce(
    app: &App,
    namespace: &Namespace,
    event: &'static str,
    data: Value,
) -> Result<(), ApiError> {
    let webhooks = app.store.webhooks(namespace).await?;
    for webhook in webhooks.iter().filter(|webhook| webhook.disabled_at.is_none()) {
        queue(app, &webhook.id, event, &data).await?;
    }
    Ok(())
}

/// Queues an event for one webhook; its delivery's id.
///
/// # Errors
/// [`StoreError`] or [`NoRandomness`] inside an [`ApiError`].
pub async fn queue(
    app: &App,
    webhook: &str,
    event: &'static str,
    data: &Value,
) -> Result<String, ApiError> {
    let now = clock::now();
    let delivery = Delivery {
        id: format!("msg_{}", fresh_id()?),
        event: event.to_owned(),
        created_at: now,
        attempts: 0,
        state: DeliveryState::Pending,
        status: None,
        problem: None,
        due_at: Some(now),
    };
    let at = chrono::DateTime::from_timestamp(now, 0).unwrap_or_default();
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let payload = json!({ "type": event, "timestamp": at, "data": data }).to_string();
    let queued: Result<(), StoreError> =
        app.store.queue_delivery(webhook, &delivery, &payload).await;
    queued?;
    app.people.deliveries.notify_one();
    Ok(delivery.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the scheme's own specification and libraries.
    #[test]
    fn signs_as_the_scheme_says() {
        let key = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = Key::from_stored(key).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_is_written_as_receivers_configure_it() {
        let key = Key::draw().unwrap();
        let text = key.reveal();
        let bytes = BASE64.decode(text.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes, key.as_bytes());
        assert_ne!(text, Key::draw().unwrap().reveal());
    }
}
