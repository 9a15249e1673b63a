//! The calls about trusted publishing, webhooks and quotas.

use super::people::segment;
use super::{Client, ClientError};
use crate::v1::publishers::{
    AddPublisher, ExchangeToken, ExchangedToken, IssuerList, PublisherInfo, PublisherList,
};
use crate::v1::webhooks::{
    CreateWebhook, CreatedWebhook, DeliveryList, Quota, QuotaUse, WebhookList, WebhookSecret,
};
use reqwest::Method;
use skep_artifact::name::Namespace;

impl Client {
    /// The issuers the registry believes.
    ///
    /// # Errors
    /// [`ClientError`], like every call of this client.
    pub async fn issuers(&self) -> Result<IssuerList, ClientError> {
        self.get("/v1/oidc").await
    }

    /// The trusted publishers of a namespace.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publishers(&self, namespace: &Namespace) -> Result<PublisherList, ClientError> {
        self.get(&format!("/v1/namespaces/{namespace}/trusted-publishers")).await
    }

    /// Trusts the jobs of a CI.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn add_publisher(
        &self,
        namespace: &Namespace,
        wish: &AddPublisher,
    ) -> Result<PublisherInfo, ClientError> {
        self.post(&format!("/v1/namespaces/{namespace}/trusted-publishers"), wish).await
    }

    /// Trusts them no longer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_publisher(
        &self,
        namespace: &Namespace,
        id: &str,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/namespaces/{namespace}/trusted-publishers/{}", segment(id));
        self.done(Method::DELETE, &path).await
    }

    /// Exchanges an ID token of a job for a publish token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn exchange_token(
        &self,
        wish: &ExchangeToken,
    ) -> Result<ExchangedToken, ClientError> {
        self.post("/v1/trusted-publishing/token", wish).await
    }

    /// The webhooks of a namespace.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn webhooks(&self, namespace: &Namespace) -> Result<WebhookList, ClientError> {
        self.get(&format!("/v1/namespaces/{namespace}/webhooks")).await
    }

    /// Makes a webhook.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_webhook(
        &self,
        namespace: &Namespace,
        wish: &CreateWebhook,
    ) -> Result<CreatedWebhook, ClientError> {
        self.post(&format!("/v1/namespaces/{namespace}/webhooks"), wish).await
    }

    /// Removes a webhook.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_webhook(&self, namespace: &Namespace, id: &str) -> Result<(), ClientError> {
        self.done(Method::DELETE, &webhook(namespace, id)).await
    }

    /// Sends a webhook a ping.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ping_webhook(&self, namespace: &Namespace, id: &str) -> Result<(), ClientError> {
        self.done(Method::POST, &format!("{}/ping", webhook(namespace, id))).await
    }

    /// The key of a webhook's signatures.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn webhook_secret(
        &self,
        namespace: &Namespace,
        id: &str,
    ) -> Result<WebhookSecret, ClientError> {
        self.get(&format!("{}/secret", webhook(namespace, id))).await
    }

    /// What was delivered to a webhook.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deliveries(
        &self,
        namespace: &Namespace,
        id: &str,
    ) -> Result<DeliveryList, ClientError> {
        self.get(&format!("{}/deliveries", webhook(namespace, id))).await
    }

    /// What a namespace holds and may hold.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quota(&self, namespace: &Namespace) -> Result<QuotaUse, ClientError> {
        self.get(&format!("/v1/namespaces/{namespace}/quota")).await
    }

    /// Changes what a namespace may hold.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_quota(
        &self,
        namespace: &Namespace,
        quota: &Quota,
    ) -> Result<(), ClientError> {
        self.told(Method::PUT, &format!("/v1/namespaces/{namespace}/quota"), quota).await
    }
}

fn webhook(namespace: &Namespace, id: &str) -> String {
    format!("/v1/namespaces/{namespace}/webhooks/{}", segment(id))
}
