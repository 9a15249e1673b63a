//! One issuer: what it publishes about itself, kept for a while and asked again when a key is
//! unknown. Refuses to know whom its tokens are about.

use super::http::{Http, HttpError};
use super::issuers::IssuerSettings;
use super::provider::Provider;
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, DiscoveryError, IdToken, IssuerUrl, Nonce,
    SignatureVerificationError,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::RwLock;

/// How long keys are used before they are asked for again: issuers rotate within days, and publish
/// a key a day before they use it.
const FRESH: Duration = Duration::from_secs(3600);
/// How soon an unknown key may make us ask again: whoever sends invented keys costs the issuer no
/// more than two requests a minute.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Keys of one pair: a MAC by a key that everybody can read would prove nothing, so those are not
/// in the list, nor is `none`.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why an issuer's word is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("the issuer does not answer as one")]
    Discovery(#[source] Box<DiscoveryError<HttpError>>),
    #[error("the issuer's address is none")]
    Address(#[from] openidconnect::url::ParseError),
    #[error("the token cannot be read")]
    Unreadable(#[source] serde_json::Error),
    #[error("the token is refused")]
    Refused(#[from] ClaimsVerificationError),
}

/// What we read of a token besides what every ID token has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Extra {
    pub jti: Option<String>,
    pub nbf: Option<f64>,
}
impl AdditionalClaims for Extra {}

/// An ID token with [`Extra`].
pub type Token =
    IdToken<Extra, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
/// What a verified [`Token`] says.
pub type Claims = openidconnect::IdTokenClaims<Extra, CoreGenderClaim>;

struct Fetched {
    metadata: Arc<CoreProviderMetadata>,
    at: Instant,
}

/// An issuer that is believed.
pub struct Issuer {
    pub settings: IssuerSettings,
    pub provider: Provider,
    pub(super) secret: Option<String>,
    pub(super) http: Http,
    fetched: RwLock<Option<Fetched>>,
}

impl Issuer {
    pub(super) fn new(
        settings: IssuerSettings,
        secret: Option<String>,
        provider: Provider,
        http: Http,
    ) -> Self {
        Self { settings, provider, secret, http, fetched: RwLock::new(None) }
    }

    /// What the issuer publishes about itself, at most so old.
    ///
    /// # Errors
    /// [`IssuerError::Discovery`].
    pub async fn metadata(
        &self,
        oldest: Duration,
    ) -> Result<Arc<CoreProviderMetadata>, IssuerError> {
        let usable = |fetched: &Option<Fetched>| {
            let young = fetched.as_ref().filter(|fetched| fetched.at.elapsed() < oldest);
            young.map(|fetched| fetched.metadata.clone())
        };
        if let Some(metadata) = usable(&*self.fetched.read().await) {
            return Ok(metadata);
        }
        let mut fetched = self.fetched.write().await;
        // Somebody else may have asked while we waited.
        if let Some(metadata) = usable(&fetched) {
            return Ok(metadata);
        }
        let url = IssuerUrl::new(self.settings.url.clone())?;
        let metadata = CoreProviderMetadata::discover_async(url, &self.http).await;
        let metadata = metadata.map_err(|error| IssuerError::Discovery(Box::new(error)))?;
        let metadata = Arc::new(metadata);
        *fetched = Some(Fetched { metadata: metadata.clone(), at: Instant::now() });
        Ok(metadata)
    }

    /// Verifies a token made for `audience`. An unknown key is asked for once more.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub async fn verify(
        &self,
        text: &str,
        audience: &str,
        nonce: Option<&Nonce>,
    ) -> Result<Claims, IssuerError> {
        let token: Token = text.parse().map_err(IssuerError::Unreadable)?;
        let metadata = self.metadata(FRESH).await?;
        match verify_by(&metadata, &token, audience, nonce) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                let metadata = self.metadata(ASK_AGAIN).await?;
                Ok(verify_by(&metadata, &token, audience, nonce)?)
            }
            other => Ok(other?),
        }
    }
}

fn verify_by(
    metadata: &CoreProviderMetadata,
    token: &Token,
    audience: &str,
    nonce: Option<&Nonce>,
) -> Result<Claims, ClaimsVerificationError> {
    let verifier: CoreIdTokenVerifier<'_> = openidconnect::IdTokenVerifier::new_public_client(
        ClientId::new(audience.to_owned()),
        metadata.issuer().clone(),
        openidconnect::JsonWebKeySet::<CoreJsonWebKey>::clone(metadata.jwks()),
    )
    .set_allowed_algs(ALGORITHMS);
    let claims = match nonce {
        Some(nonce) => token.claims(&verifier, nonce)?,
        // Tokens of jobs have none: nobody's browser is on the way. Their id is used up instead.
        None => token.claims(&verifier, |_: Option<&Nonce>| Ok(()))?,
    };
    Ok(claims.clone())
}
