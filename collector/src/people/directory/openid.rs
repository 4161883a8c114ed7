//! An OpenID provider: authorization code with PKCE (RFC 7636) and a nonce; what the ID token says is checked against the
//! provider's own keys.
//!
//! ```text
//! button --> begin: state, nonce, verifier --cookie--> browser --> provider: who are you? --code, state--> callback
//!            finish: state = the cookie's? code + verifier --> provider --> ID token: signature, issuer, audience, time, nonce
//! ```
//! The three secrets are the browser's own cookie and nowhere else: an answer that another browser began is refused, and
//! nothing is kept here for visitors who never come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse, http,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::Person;
use crate::config;

/// How long a person may take at the provider: a password, a telephone, and a cup of tea.
pub const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How long the provider's description and keys are taken for true. A key it no longer uses is out of use here after this.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// How long nobody asks again a provider that did not answer.
const REST: Duration = Duration::from_secs(5);

/// How long the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A description with its keys, or a token, is a few kilobytes.
const LARGEST: usize = 256 << 10;

/// Hexadecimal digits of each secret.
const DIGITS: usize = 64;

type Tokens = StandardTokenResponse<
    IdTokenFields<Claims, EmptyExtraTokenFields, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>,
    CoreTokenType,
>;

type Asking = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What an ID token says beside the standard's own claims.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims {
    #[serde(flatten)]
    all: HashMap<String, serde_json::Value>,
}

impl openidconnect::AdditionalClaims for Claims {}

/// Why a provider let nobody in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenIdError {
    /// It cannot be reached, or answers nonsense; the text is for the log.
    #[error("the OpenID provider does not answer: {0}")]
    Silent(String),
    /// What came back is not an answer to what this browser asked; the text is for the audit log.
    #[error("{0}")]
    Refused(String),
}

/// Somebody the provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Who.
    pub person: Person,
    /// When they last typed their password there, in seconds since 1970; `None` if it does not say.
    pub authenticated_s: Option<i64>,
}

/// What a browser carries to the provider and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Where to go.
    pub address: String,
    /// What the browser keeps meanwhile.
    pub secrets: String,
}

/// What the provider said of itself when it was last asked, and when that was.
type Known = (Instant, Result<CoreProviderMetadata, OpenIdError>);

/// The provider; clones share what is known of it.
#[derive(Debug, Clone)]
pub struct Provider {
    settings: Arc<config::OpenId>,
    http: reqwest::Client,
    known: Arc<Mutex<Option<Known>>>,
}

impl Provider {
    /// Makes ready to ask a provider; nothing is asked yet.
    ///
    /// # Errors
    /// A file of the configuration that cannot be read.
    pub fn new(settings: &config::OpenId) -> Result<Provider, String> {
        // The client takes the process' provider; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect would have us ask whatever address an answer names.
        let mut http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
        if let Some(path) = &settings.ca {
            let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| format!("{}: {error}", path.display()))?;
            http = http.tls_certs_only(roots);
        }
        let http = http.build().map_err(|error| error.to_string())?;
        secret_of(settings)?;
        Ok(Provider { settings: Arc::new(settings.clone()), http, known: Arc::default() })
    }

    /// What stands on the button.
    pub fn label(&self) -> Option<&str> {
        self.settings.label.as_deref()
    }

    /// Begins a sign-in with three secrets of 64 hexadecimal digits each. `again` asks the provider to have the password
    /// typed once more.
    ///
    /// # Errors
    /// A provider that does not answer.
    pub async fn begin(&self, drawn: [String; 3], again: bool) -> Result<Begun, OpenIdError> {
        let client = self.client().await?;
        let secrets = drawn.join(".");
        let [state, nonce, verifier] = drawn;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier));
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request =
            client.authorize_url(flow, move || CsrfToken::new(state), move || Nonce::new(nonce)).set_pkce_challenge(challenge);
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if again {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        let (address, _, _) = request.url();
        Ok(Begun { address: address.to_string(), secrets })
    }

    /// Finishes a sign-in: `secrets` are the browser's, `state` and `code` what the provider sent it back with.
    ///
    /// # Errors
    /// An answer that this browser did not ask for, a token that does not hold, a provider that does not answer.
    pub async fn finish(&self, secrets: &str, state: &str, code: &str) -> Result<Vouched, OpenIdError> {
        let refused = |why: String| OpenIdError::Refused(why);
        let [expected, nonce, verifier] = parts(secrets).ok_or_else(|| refused("no sign-in was begun in this browser".to_owned()))?;
        if !same(expected, state) {
            return Err(refused("the answer belongs to another browser".to_owned()));
        }
        let client = self.client().await?;
        let ask = self.asking();
        let exchange =
            client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(|error| OpenIdError::Silent(error.to_string()))?;
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        let tokens = exchange.request_async(&ask).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(said) => {
                refused(format!("the provider does not take the code: {}", said.error().as_ref()))
            }
            other => OpenIdError::Silent(text(&other)),
        })?;
        let token = tokens.id_token().ok_or_else(|| refused("the provider gave no ID token".to_owned()))?;
        let claims = match token.claims(&client.id_token_verifier(), &Nonce::new(nonce.to_owned())) {
            Ok(claims) => claims,
            Err(error) => {
                // Signed with a key that was not there when we looked: the next attempt looks again.
                self.known.lock().await.take();
                return Err(refused(format!("the ID token does not hold: {}", text(&error))));
            }
        };
        let name = claims.preferred_username().map(|name| name.as_str().to_owned());
        let name = name
            .or_else(|| claims.email().map(|mail| mail.as_str().to_owned()))
            .ok_or_else(|| refused("the ID token names nobody".to_owned()))?;
        let groups = claims.additional_claims().all.get(&self.settings.groups_claim).map(groups_of).unwrap_or_default();
        // A subject is unique within its issuer only (Core, 2).
        let subject = format!("{} {}", claims.issuer().as_str(), claims.subject().as_str());
        Ok(Vouched { person: Person { name, subject, groups }, authenticated_s: claims.auth_time().map(|at| at.timestamp()) })
    }

    async fn client(&self) -> Result<Asking, OpenIdError> {
        let metadata = self.metadata().await?;
        let silent = |error: String| OpenIdError::Silent(error);
        let redirect = RedirectUrl::new(self.settings.callback.clone()).map_err(|error| silent(error.to_string()))?;
        let secret = secret_of(&self.settings).map_err(silent)?.map(ClientSecret::new);
        Ok(Asking::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), secret).set_redirect_uri(redirect))
    }

    /// Returns the provider's description and keys: asked for by one visitor at a time, and not again for a while.
    async fn metadata(&self) -> Result<CoreProviderMetadata, OpenIdError> {
        let mut known = self.known.lock().await;
        if let Some((at, found)) = &*known
            && at.elapsed() < if found.is_ok() { FRESH } else { REST }
        {
            return found.clone();
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| OpenIdError::Silent(error.to_string()))?;
        let ask = self.asking();
        let found = CoreProviderMetadata::discover_async(issuer, &ask).await.map_err(|error| OpenIdError::Silent(text(&error)));
        *known = Some((Instant::now(), found.clone()));
        found
    }

    fn asking(
        &self,
    ) -> impl Fn(HttpRequest) -> std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, AskError>> + Send>> + Send + Sync + use<> {
        let http = self.http.clone();
        move |request| Box::pin(ask(http.clone(), request))
    }
}

/// Why a request to the provider failed.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{}", text(.0))]
    Http(#[from] reqwest::Error),
    #[error("no answer that HTTP knows")]
    Answer(#[from] http::Error),
    #[error("an answer of more than {LARGEST} bytes")]
    TooLong,
}

async fn ask(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, AskError> {
    let mut answer = client.execute(reqwest::Request::try_from(request)?).await?;
    let mut made = http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        made = made.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            return Err(AskError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(made.body(body)?)
}

fn secret_of(settings: &config::OpenId) -> Result<Option<String>, String> {
    let Some(path) = &settings.client_secret_file else { return Ok(None) };
    let secret = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(secret.trim().to_owned()))
}

/// Reads the three secrets of a cookie.
fn parts(secrets: &str) -> Option<[&str; 3]> {
    let parts: Vec<&str> = secrets.split('.').collect();
    let whole = |part: &&str| part.len() == DIGITS && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    <[&str; 3]>::try_from(parts).ok().filter(|parts| parts.iter().all(whole))
}

/// Compares in the same time wherever they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// Reads a claim that lists groups: a list of names, or one.
fn groups_of(claim: &serde_json::Value) -> Vec<String> {
    match claim {
        serde_json::Value::String(one) => vec![one.clone()],
        serde_json::Value::Array(several) => several.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Writes an error with what caused it.
fn text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_three_and_whole() {
        let one = "0123456789abcdef".repeat(4);
        let whole = [one.as_str(); 3].join(".");
        assert_eq!(parts(&whole), Some([one.as_str(); 3]));
        for broken in ["", "..", &one, &format!("{whole}."), &format!("{whole}.{one}"), &whole.replace('0', "x")] {
            assert_eq!(parts(broken), None, "{broken}");
        }
        assert!(same(&one, &one) && !same(&one, "") && !same(&one, &one.replace('0', "1")));
    }

    #[test]
    fn groups_are_a_list_or_one_name() {
        assert_eq!(groups_of(&serde_json::json!(["a", 1, "b"])), ["a", "b"]);
        assert_eq!(groups_of(&serde_json::json!("a")), ["a"]);
        assert!(groups_of(&serde_json::json!({ "a": true })).is_empty());
    }
}
