//! The calls about people: accounts, sessions, tokens, members, invites, the audit log.

use super::{ANSWER_BYTES_MAX, Client, ClientError};
use crate::v1::accounts::{
    AccountInfo, AccountRole, AnswerInvite, ChangeMember, ChangePassword, ChangeRole, CreateInvite,
    CreatedInvite, InviteInfo, InviteList, LogIn, LoggedIn, MemberList, MemberRole, SignUp, WhoAmI,
};
use crate::v1::audit::{AuditPage, AuditQuery};
use crate::v1::tokens::TokenList;
use reqwest::Method;
use serde::Serialize;
use skep_artifact::name::Namespace;

impl Client {
    /// The same registry, as somebody else.
    #[must_use]
    pub fn with_token(&self, token: Option<String>) -> Self {
        Self { token, ..self.clone() }
    }

    pub(super) async fn done(&self, method: Method, path: &str) -> Result<(), ClientError> {
        self.send(self.request(method, path)).await.map(drop)
    }

    pub(super) async fn told(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), ClientError> {
        self.send(self.request(method, path).json(body)).await.map(drop)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`ClientError`], like every call of this client.
    pub async fn sign_up(&self, wish: &SignUp) -> Result<AccountInfo, ClientError> {
        self.post("/v1/accounts", wish).await
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_in(&self, wish: &LogIn) -> Result<LoggedIn, ClientError> {
        self.post("/v1/sessions", wish).await
    }

    /// Ends the session this client calls with.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_out(&self) -> Result<(), ClientError> {
        self.done(Method::DELETE, "/v1/sessions").await
    }

    /// Who this client is to the registry.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.get("/v1/whoami").await
    }

    /// Replaces the password.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_password(&self, wish: &ChangePassword) -> Result<(), ClientError> {
        self.told(Method::POST, "/v1/account/password", wish).await
    }

    /// Changes what an account may do.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_role(&self, account: &str, role: AccountRole) -> Result<(), ClientError> {
        let path = format!("/v1/accounts/{}/role", segment(account));
        self.told(Method::PUT, &path, &ChangeRole { role }).await
    }

    /// Invites somebody to sign up.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn invite_to_sign_up(
        &self,
        wish: &CreateInvite,
    ) -> Result<CreatedInvite, ClientError> {
        self.post("/v1/sign-up-invites", wish).await
    }

    /// The tokens this caller may see.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tokens(&self) -> Result<TokenList, ClientError> {
        self.get("/v1/tokens").await
    }

    /// Withdraws a token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/v1/tokens/{}", segment(id))).await
    }

    /// The members of a namespace.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn members(&self, namespace: &Namespace) -> Result<MemberList, ClientError> {
        self.get(&format!("/v1/namespaces/{namespace}/members")).await
    }

    /// Changes what a member is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_member(
        &self,
        namespace: &Namespace,
        account: &str,
        role: MemberRole,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/namespaces/{namespace}/members/{}", segment(account));
        self.told(Method::PUT, &path, &ChangeMember { role }).await
    }

    /// Removes a member.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_member(
        &self,
        namespace: &Namespace,
        account: &str,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/namespaces/{namespace}/members/{}", segment(account));
        self.done(Method::DELETE, &path).await
    }

    /// Invites somebody into a namespace.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn invite(
        &self,
        namespace: &Namespace,
        wish: &CreateInvite,
    ) -> Result<CreatedInvite, ClientError> {
        self.post(&format!("/v1/namespaces/{namespace}/invites"), wish).await
    }

    /// The invites of a namespace.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn invites(&self, namespace: &Namespace) -> Result<InviteList, ClientError> {
        self.get(&format!("/v1/namespaces/{namespace}/invites")).await
    }

    /// Takes an invite back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_invite(&self, namespace: &Namespace, id: &str) -> Result<(), ClientError> {
        let path = format!("/v1/namespaces/{namespace}/invites/{}", segment(id));
        self.done(Method::DELETE, &path).await
    }

    /// Accepts or declines an invite.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn answer_invite(&self, wish: &AnswerInvite) -> Result<InviteInfo, ClientError> {
        self.post("/v1/invites/answer", wish).await
    }

    /// A page of the audit log.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, ClientError> {
        let response = self.send(self.request(Method::GET, "/v1/audit").query(query)).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }
}

/// A text of the user as one segment of a path, which leads nowhere else.
pub(super) fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => safe.push(char::from(byte)),
            // Writing into a String cannot fail.
            other => drop(write!(safe, "%{other:02X}")),
        }
    }
    safe
}
