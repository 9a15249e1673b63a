//! Logging in elsewhere: authorization code with PKCE, state and nonce. What has to be remembered
//! between leaving and coming back lies in the database; the browser holds only the state.

use super::issuer::{Claims, Issuer, IssuerError};
use crate::app::App;
use crate::clock;
use crate::error::ApiError;
use crate::people::names::{AccountName, skeleton};
use crate::people::refusal::PeopleError;
use crate::routes::accounts::{fresh_id, way_in};
use crate::secret::SecretHash;
use crate::store::accounts::{Account, NewAccount, SignUpConflict};
use crate::store::publishers::StartedLogin;
use openidconnect::core::{CoreClient, CoreResponseType};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use skep_api::v1::accounts::AccountRole;
use std::time::Duration;

/// How long somebody may take at the issuer: finding a second factor.
pub const LOGIN_SECS: i64 = 600;
/// Longest code and state taken back, in characters: those of large issuers have some hundred.
const CODE_CHARS_MAX: usize = 4096;
const FRESH: Duration = Duration::from_secs(3600);

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("nobody logs in by this issuer here")]
    NotForLogins,
    #[error("the registry does not know its own address; its operator sets SKEP_REGISTRY_URL")]
    NoAddress,
    #[error("this login was not begun in this browser, or took too long")]
    State,
    #[error("the issuer said no: {what}")]
    Refused { what: String },
    #[error("the issuer did not exchange the code: {reason}")]
    Code { reason: String },
    #[error("the issuer's answer holds no ID token")]
    NoToken,
    #[error("the issuer's word is not taken")]
    Issuer(#[from] IssuerError),
    #[error("this identity belongs to another account")]
    Taken,
}

/// Where to send the browser, and what it must bring back.
pub struct Begun {
    pub url: String,
    pub state: String,
}

fn redirect(app: &App, issuer: &Issuer) -> Result<RedirectUrl, LoginError> {
    let own = app.people.settings.url.as_deref().ok_or(LoginError::NoAddress)?;
    let url = format!("{own}/v1/oidc/{}/callback", issuer.settings.name);
    RedirectUrl::new(url).map_err(|_| LoginError::NoAddress)
}

fn client_id(issuer: &Issuer) -> Result<ClientId, LoginError> {
    let id = issuer.settings.client_id.clone().ok_or(LoginError::NotForLogins)?;
    Ok(ClientId::new(id))
}

/// Begins a login, or (with an account) the linking of an identity to it.
///
/// # Errors
/// [`LoginError`] inside an [`ApiError`], or a database that does not answer.
pub async fn begin(
    app: &App,
    issuer: &Issuer,
    account: Option<String>,
    invite: Option<String>,
) -> Result<Begun, ApiError> {
    let id = client_id(issuer)?;
    let metadata = issuer.metadata(FRESH).await.map_err(LoginError::Issuer)?;
    let client = CoreClient::from_provider_metadata((*metadata).clone(), id, None)
        .set_redirect_uri(redirect(app, issuer)?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let (url, state, nonce) = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("profile".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let now = clock::now();
    let started = StartedLogin {
        issuer: issuer.settings.name.clone(),
        nonce: nonce.secret().clone(),
        verifier: verifier.secret().clone(),
        account,
        invite,
        expires_at: now.saturating_add(LOGIN_SECS),
    };
    let hash = SecretHash::of_bytes(state.secret().as_bytes());
    app.store.begin_login(&hash, &started, now).await?;
    Ok(Begun { url: url.to_string(), state: state.secret().clone() })
}

/// What the browser brings back.
pub struct Returned<'a> {
    pub code: &'a str,
    pub state: &'a str,
    /// The state its cookie holds.
    pub cookie: Option<&'a str>,
}

/// Finishes a login: the account it logs into, made if that is allowed.
///
/// # Errors
/// [`LoginError`] inside an [`ApiError`], or a database that does not answer.
pub async fn finish(
    app: &App,
    issuer: &Issuer,
    returned: Returned<'_>,
) -> Result<Account, ApiError> {
    let same = returned.cookie.is_some_and(|held| {
        held.len() == returned.state.len()
            && openssl::memcmp::eq(held.as_bytes(), returned.state.as_bytes())
    });
    if !same || returned.code.len() > CODE_CHARS_MAX || returned.state.len() > CODE_CHARS_MAX {
        return Err(LoginError::State.into());
    }
    let now = clock::now();
    let hash = SecretHash::of_bytes(returned.state.as_bytes());
    let started = app.store.end_login(&hash, now).await?;
    let started = started.filter(|started| started.issuer == issuer.settings.name);
    let started = started.ok_or(LoginError::State)?;
    let claims = claims_of(app, issuer, returned.code, &started).await?;
    let (url, subject) = (issuer.settings.url.as_str(), claims.subject().as_str());
    let found = app.store.account_of_identity(url, subject).await?;
    match (started.account, found) {
        (None, Some(account)) => Ok(account),
        (Some(id), Some(account)) if account.id == id => Ok(account),
        (Some(_), Some(_)) => Err(LoginError::Taken.into()),
        (Some(id), None) => {
            if !app.store.link_identity(&id, url, subject, now).await? {
                return Err(LoginError::Taken.into());
            }
            app.store.account(&id).await?.ok_or_else(|| LoginError::State.into())
        }
        (None, None) => sign_up(app, issuer, &claims, started.invite).await,
    }
}

async fn claims_of(
    app: &App,
    issuer: &Issuer,
    code: &str,
    started: &StartedLogin,
) -> Result<Claims, ApiError> {
    let id = client_id(issuer)?;
    let metadata = issuer.metadata(FRESH).await.map_err(LoginError::Issuer)?;
    let secret = issuer.secret.clone().map(ClientSecret::new);
    let client = CoreClient::from_provider_metadata((*metadata).clone(), id.clone(), secret)
        .set_redirect_uri(redirect(app, issuer)?);
    let failed = |reason: String| LoginError::Code { reason };
    let answer = client
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .map_err(|e| failed(e.to_string()))?
        .set_pkce_verifier(PkceCodeVerifier::new(started.verifier.clone()))
        .request_async(&issuer.http)
        .await
        .map_err(|e| failed(e.to_string()))?;
    // The access token is dropped: what may be done at the issuer in the person's name is not ours.
    let token = answer.id_token().ok_or(LoginError::NoToken)?.to_string();
    let nonce = Nonce::new(started.nonce.clone());
    let claims = issuer.verify(&token, &id, Some(&nonce)).await;
    Ok(claims.map_err(LoginError::Issuer)?)
}

/// An account for an identity that has none: named as the issuer calls the person, where that name
/// can be had. The e-mail address is no proof of anything here.
async fn sign_up(
    app: &App,
    issuer: &Issuer,
    claims: &Claims,
    invite: Option<String>,
) -> Result<Account, ApiError> {
    let invite = way_in(app, invite.as_deref()).await?;
    let called = claims.preferred_username().map(|name| name.to_ascii_lowercase());
    let called = called.and_then(|name| AccountName::parse(&name).ok());
    let id = fresh_id()?;
    let invented = AccountName::parse(&format!("user-{}", &id[..12])).map_err(PeopleError::Name)?;
    let identity = (issuer.settings.url.clone(), claims.subject().to_string());
    let mut last = SignUpConflict::NameTaken;
    for name in called.into_iter().chain([invented]) {
        let account = Account {
            id: id.clone(),
            name: name.as_str().to_owned(),
            email: None,
            role: AccountRole::Member,
            created_at: clock::now(),
        };
        let new = NewAccount {
            account,
            password: None,
            skeleton: skeleton(name.as_str()),
            identity: Some(identity.clone()),
            invite: invite.clone(),
        };
        match app.store.add_account(&new).await {
            Ok(()) => return Ok(new.account),
            Err(SignUpConflict::NameTaken) => last = SignUpConflict::NameTaken,
            Err(other) => return Err(PeopleError::SignUp(other).into()),
        }
    }
    Err(PeopleError::SignUp(last).into())
}
