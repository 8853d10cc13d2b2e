//! `/session`, `/sessions` and `/logout`: the session of this browser, the account's other sessions, and tokens for
//! scripts.

use http::{StatusCode, header};
use maud::{PreEscaped, html};
use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    OpenApi,
    param::Path,
    payload::Json,
    registry::{MetaMediaType, MetaResponse},
    types::Type,
};

use super::{
    RequestContext, Tag,
    shared::{
        extract::{OptionalSession, Session},
        pages::{self, bilingual, goes_on, json_or_page, responses, see_other},
        problems::{self, described, described_as, problems},
    },
};
use crate::{
    domain::gateway::{
        controllers::{oauth::OAuthController, session::SessionController},
        schemas::{
            oauth::OAuthProviders,
            session::{OpenSessions, SessionDocument, SessionProvider, SessionsEnded, SignedOut},
            token::TokenPair,
        },
    },
    texts::pages as text,
};

problems! {
    /// Problems of an operation that requires the session of a browser.
    SignedInProblems: 401, 403, 500, 503;
}

#[derive(Clone)]
pub(super) struct SessionApi {
    sessions: SessionController,
    vault: OAuthController,
}

impl SessionApi {
    pub(super) fn new(sessions: SessionController, vault: OAuthController) -> Self {
        Self { sessions, vault }
    }
}

#[OpenApi(tag = "Tag::SignIn")]
impl SessionApi {
    /// Get the session of this browser
    ///
    /// Returns the signed-in person, the expiry of the session, and the person's identities at providers. A browser gets a
    /// page, or a redirect to the sign-in page if nobody is signed in.
    #[oai(path = "/session", method = "get", operation_id = "get_session")]
    async fn show(&self, request: &Request, caller: Session) -> SessionResponse {
        let wants_page = pages::is_wanted(request);
        SessionResponse(match self.sessions.show(&caller.0).await {
            Ok(session) if wants_page => own_page(&session, &self.vault.providers(), &here(request)),
            Ok(session) => Json(session).into_response(),
            Err(problem) if wants_page && problem.status() == StatusCode::UNAUTHORIZED => {
                see_other(&format!("login?return_to={}", here(request)))
            }
            Err(problem) => problems::document(problem, &RequestContext::of(request)),
        })
    }

    /// Create tokens for the session of this browser
    ///
    /// Returns an access token and a refresh token, for scripts of a page that call `/api/…` directly. The tokens belong to
    /// the session: they do not outlive it, and a sign-out revokes them at once. A call of `/tokens/refresh` counts as use
    /// of the session.
    ///
    /// To try it in the browser's console, run
    /// `fetch('/session/token', {method: 'POST'}).then(it => it.json()).then(console.log)`. A page of `ALLOWED_ORIGINS` must
    /// add `credentials: 'include'`.
    #[oai(path = "/session/token", method = "post", operation_id = "create_session_token")]
    async fn tokens(&self, caller: Session) -> Result<Json<TokenPair>, SignedInProblems> {
        Ok(Json(self.sessions.tokens(&caller.0).await?))
    }

    /// List your sessions
    ///
    /// Returns all sessions of the account, including the current one. To tell them apart, each has the kind of the browser
    /// and the network that it signed in from. The gateway stores neither the `User-Agent` nor the address.
    #[oai(path = "/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(&self, caller: Session) -> Result<Json<OpenSessions>, SignedInProblems> {
        Ok(Json(self.sessions.list(&caller.0).await?))
    }

    /// Sign out everywhere else
    ///
    /// Ends all other sessions of the account and revokes their tokens. This browser stays signed in.
    #[oai(path = "/sessions", method = "delete", operation_id = "end_other_sessions")]
    async fn end_others(&self, caller: Session) -> Result<Json<SessionsEnded>, SignedInProblems> {
        Ok(Json(self.sessions.end_others(&caller.0).await?))
    }

    /// Sign out of one session
    ///
    /// Ends a session of your account and revokes its tokens.
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "end_session")]
    async fn end_one(
        &self,
        request: &Request,
        caller: Session,
        /// Id of the session, from `GET /sessions`.
        id: Path<String>,
    ) -> EndedResponse {
        EndedResponse(match self.sessions.end_one(&caller.0, &id.0).await {
            Ok((ended, forget)) => {
                let mut response = Json(ended).into_response();
                if let Some(forget) = forget.and_then(|forget| forget.try_into().ok()) {
                    response.headers_mut().insert(header::SET_COOKIE, forget);
                }
                response
            }
            Err(problem) => problems::document(problem, &RequestContext::of(request)),
        })
    }

    /// Sign out
    ///
    /// Ends the session of this browser and revokes its tokens. A repeated sign-out has no effect.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn end(&self, request: &Request, caller: OptionalSession) -> SignedOutResponse {
        SignedOutResponse(match self.sessions.end(&caller.0).await {
            Ok(forget) => {
                let response =
                    if pages::is_wanted(request) { see_other("./") } else { Json(SignedOut::now()).into_response() };
                response.with_header(header::SET_COOKIE, forget).into_response()
            }
            Err(problem) => problems::document(problem, &RequestContext::of(request)),
        })
    }
}

/// Prints the person's own tokens in the browser's console.
const SCRIPT: &str = r#"
document.getElementById("tokens").onclick = async () => {
  const response = await fetch("session/token", { method: "POST" });
  const body = await response.json();
  if (!response.ok) return console.error(body.detail);
  console.log(`access_token: ${body.access_token}`);
  console.log(`refresh_token: ${body.refresh_token}`);
};
"#;

/// The hash by which the page's policy allows that script, and no other.
const SCRIPT_HASH: &str = "sha256-jGtnAU2Be+eyOBxrfKeyBNN1or+dAfv3eYn35lFzN80=";

/// The page of a signed-in person: it may do what any page may, run that script, and call this gateway.
fn own_page(session: &SessionDocument, providers: &OAuthProviders, here: &str) -> Response {
    let response = pages::page_response(StatusCode::OK, person(session, providers, here));
    pages::with_policy(response, format!("{}; script-src '{SCRIPT_HASH}'; connect-src 'self'", pages::policy()))
}

/// The path of this page, as a parameter value: under the prefix of the request.
fn here(request: &Request) -> String {
    format!("{}/session", RequestContext::of(request).prefix).replace('/', "%2F")
}

fn person(session: &SessionDocument, providers: &OAuthProviders, here: &str) -> String {
    let has = |name: &str| session.providers.iter().any(|known| known.provider == name);
    let main = html! {
        h1 { (bilingual(&text::session_of(session.shown_name()))) }
        dl {
            @if let Some(email) = &session.email {
                dt { (bilingual(&text::EMAIL)) } dd { (email) }
            }
            @for SessionProvider { provider, name, email, email_is_relay, .. } in &session.providers {
                dt { (provider) }
                dd { (name.as_deref().unwrap_or_default()) @if name.is_some() && email.is_some() { " · " } (email.as_deref().unwrap_or_default()) @if email_is_relay.is_some() { " · " (bilingual(&text::PRIVATE_RELAY)) } }
            }
            dt { (bilingual(&text::ACCOUNT)) } dd { code { (session.subject) } }
            dt { (bilingual(&text::VALID_UNTIL)) } dd { (session.idle_until.format("%Y-%m-%d %H:%M %:z")) }
        }
        @for provider in providers.providers.iter().filter(|provider| !has(&provider.name)) {
            a.choice href={ "login/" (provider.name) "/link?return_to=" (here) } {
                (bilingual(&text::add_to_this_account(&provider.display_name)))
            }
        }
        form method="post" action="logout" { button { (bilingual(&text::SIGN_OUT)) } }
        button #tokens type="button" { (bilingual(&text::SHOW_TOKENS)) }
        script { (PreEscaped(SCRIPT)) }
        p { a href="docs" { "Swagger" } " · " a href="./" { (bilingual(&text::WELCOME)) } }
    };
    pages::page(&text::SESSION.both(), &main)
}

responses! {
    /// Response of `GET /session`.
    SessionResponse(SessionDocument): good(json_or_page::<SessionDocument>("The session of this browser.")), described: 401, 403, 500, 503;
    /// Response of `DELETE /sessions/{id}`.
    EndedResponse(SessionsEnded): [ended()], described: 401, 403, 404, 500, 503;
    /// Response of `POST /logout`.
    SignedOutResponse(SignedOut): good(json_or_page::<SignedOut>("The browser is signed out.")), described: 403, 500, 503;
}

fn ended() -> MetaResponse {
    let json = MetaMediaType { content_type: "application/json", schema: SessionsEnded::schema_ref() };
    described_as(200, "The session has ended.", vec![json])
}

/// Adds the redirect.
fn good(one: MetaResponse) -> Vec<MetaResponse> {
    vec![one, goes_on()]
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_knows_the_script() {
        let hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
        assert_eq!(SCRIPT_HASH, format!("sha256-{hash}"), "write this hash into SCRIPT_HASH");
    }
}
