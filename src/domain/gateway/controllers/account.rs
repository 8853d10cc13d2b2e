//! Accounts: schema → service → schema.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono_tz::Tz;
use http::StatusCode;

use super::{
    caller::{Callers, Credentials, Sender},
    failed,
    oauth::reason,
};
use crate::{
    domain::gateway::{
        models::{
            access::{Accepted, Denied},
            account::{Email, Password, Profile},
        },
        schemas::{
            account::{
                AccountDeleted, AccountDocument, ChangePasswordRequest, DeleteAccountRequest, GrantTakenBack,
                LogInRequest, PasswordChanged, ProviderUnlinked, SignUpRequest,
            },
            cookie::{Cookies, encoded},
            validated,
        },
        services::{
            account::{
                AccountService, LogInError, PasswordChange, PasswordError, Proof, ProofError, RemoveError, SignUp,
                SignUpError, SignedIn, TRUSTED_FOR, TakenBack, TooManyAttempts, UnlinkError, Visitor,
            },
            session::SessionService,
        },
    },
    problem::{FieldError, Problem},
};

/// The calls about accounts.
#[derive(Clone)]
pub struct AccountController {
    accounts: AccountService,
    sessions: Arc<SessionService>,
    callers: Arc<Callers>,
    cookies: Cookies,
    timezone: Tz,
}

/// An answer that changes what the browser keeps.
pub struct WithCookie<T> {
    /// The answer.
    pub answer: T,
    /// `Set-Cookie`
    pub cookies: Vec<String>,
}

impl AccountController {
    /// Times go out with the offset of `timezone`.
    pub fn new(
        accounts: AccountService,
        sessions: Arc<SessionService>,
        callers: Arc<Callers>,
        cookies: Cookies,
        timezone: Tz,
    ) -> Self {
        Self { accounts, sessions, callers, cookies, timezone }
    }

    /// `POST /accounts/signup`
    pub async fn sign_up(
        &self,
        request: SignUpRequest,
        credentials: &Credentials,
        sender: &Sender,
    ) -> Result<WithCookie<AccountDocument>, Problem> {
        self.callers.refuse_other_sites(credentials)?;
        let device = self.callers.device_cookie(credentials);
        let visitor = self.visitor(credentials, sender, device.as_deref());
        let request = validated(request)?;
        let wish = SignUp {
            email: email("email", &request.email)?,
            password: chosen("password", request.password)?,
            name: request.name,
        };
        match self.accounts.sign_up(wish, visitor).await {
            Ok(signed_in) => Ok(self.signed_in(signed_in)),
            Err(SignUpError::EmailTaken) => Err(email_taken()),
            Err(SignUpError::TooMany(too_many)) => Err(too_many_attempts(too_many)),
            Err(SignUpError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `POST /accounts/login`
    pub async fn log_in(
        &self,
        request: LogInRequest,
        credentials: &Credentials,
        sender: &Sender,
    ) -> Result<WithCookie<AccountDocument>, Problem> {
        self.callers.refuse_other_sites(credentials)?;
        let device = self.callers.device_cookie(credentials);
        let visitor = self.visitor(credentials, sender, device.as_deref());
        let request = validated(request)?;
        let (email, password) = (email("email", &request.email)?, Password::presented(request.password));
        match self.accounts.log_in(&email, password, visitor).await {
            Ok(signed_in) => Ok(self.signed_in(signed_in)),
            Err(LogInError::InvalidCredentials) => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "the e-mail or the password is wrong",
            )),
            Err(LogInError::TooMany(too_many)) => Err(too_many_attempts(too_many)),
            Err(LogInError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `GET /accounts/me`
    pub async fn show(&self, credentials: &Credentials) -> Result<AccountDocument, Problem> {
        let (profile, _) = self.caller(credentials, None).await?;
        Ok(AccountDocument::from_model(profile, self.timezone))
    }

    /// `POST /accounts/password`
    pub async fn change_password(
        &self,
        request: ChangePasswordRequest,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<PasswordChanged, Problem> {
        let request = validated(request)?;
        let (profile, proof) = self.caller(credentials, client).await?;
        let change = PasswordChange {
            new: chosen("new_password", request.new_password)?,
            email: request.email.map(|text| email("email", &text)).transpose()?,
        };
        let proof = Proof { password: request.current_password.map(Password::presented), ..proof };
        match self.accounts.change_password(profile.account.id, change, proof).await {
            Ok(()) => Ok(PasswordChanged::now()),
            Err(PasswordError::NoAccount) => Err(no_account()),
            Err(PasswordError::Proof(error)) => Err(unproven(error, "current_password")),
            Err(PasswordError::EmailMissing) => {
                Err(field("email", "required", "write what to sign in with: the account has no e-mail yet"))
            }
            Err(PasswordError::OtherEmail) => {
                Err(field("email", "other_email", "leave it out: the account signs in with another e-mail"))
            }
            Err(PasswordError::EmailTaken) => Err(email_taken()),
            Err(PasswordError::ChangedMeanwhile) => Err(Problem::new(
                StatusCode::CONFLICT,
                "password_changed",
                "the password was changed while this was under way; sign in with the new one",
            )),
            Err(PasswordError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `DELETE /accounts/me`
    pub async fn remove(
        &self,
        request: DeleteAccountRequest,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<WithCookie<AccountDeleted>, Problem> {
        let request = validated(request)?;
        let (profile, proof) = self.caller(credentials, client).await?;
        let proof = Proof { password: request.password.map(Password::presented), ..proof };
        match self.accounts.remove(profile.account.id, proof).await {
            Ok(taken) => Ok(WithCookie {
                answer: AccountDeleted { deleted: true, grants: taken.iter().map(grant).collect() },
                cookies: vec![self.cookies.forget(&self.cookies.session())],
            }),
            Err(RemoveError::NoAccount) => Err(no_account()),
            Err(RemoveError::Proof(error)) => Err(unproven(error, "password")),
            Err(RemoveError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// `DELETE /accounts/me/providers/{provider}`
    pub async fn unlink(&self, provider: &str, credentials: &Credentials) -> Result<ProviderUnlinked, Problem> {
        let (profile, proof) = self.caller(credentials, None).await?;
        if proof.session.is_none() {
            return Err(session_missing());
        }
        match self.accounts.unlink(profile.account.id, provider).await {
            Ok(taken) => {
                Ok(ProviderUnlinked { provider: provider.to_owned(), grants: taken.iter().map(grant).collect() })
            }
            Err(UnlinkError::NotLinked) => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "provider_not_linked",
                "your account has nothing at this provider; GET /accounts/me lists where it has",
            )),
            Err(UnlinkError::LastWayIn) => Err(Problem::new(
                StatusCode::CONFLICT,
                "last_way_in",
                "you could not sign in any more: set a password (POST /accounts/password) or add another provider first",
            )),
            Err(UnlinkError::Failed(failure)) => Err(failed(&failure)),
        }
    }

    /// Whose account it is, and what the caller shows for it so far.
    async fn caller(&self, credentials: &Credentials, client: Option<IpAddr>) -> Result<(Profile, Proof), Problem> {
        let (identity, session) = if credentials.bearer.is_some() {
            (self.callers.required(credentials).await?, None)
        } else {
            let session = self.callers.session(credentials).await?;
            let session =
                session.ok_or_else(|| Problem::denied(Denied::CredentialMissing(Accepted::TokenOrSession)))?;
            (session.identity(), Some(session.id))
        };
        match self.accounts.of_caller(&identity).await {
            Ok(Some(profile)) => Ok((profile, Proof { password: None, session, client })),
            Ok(None) => Err(no_account()),
            Err(failure) => Err(failed(&failure)),
        }
    }

    fn visitor<'c>(&self, credentials: &'c Credentials, sender: &'c Sender, device: Option<&'c [u8]>) -> Visitor<'c> {
        let old_session = self.callers.session_cookie(credentials);
        Visitor { client: sender.address, user_agent: sender.user_agent.as_deref(), old_session, device }
    }

    fn signed_in(&self, signed_in: SignedIn) -> WithCookie<AccountDocument> {
        let life = self.sessions.limits().total.to_std().unwrap_or(Duration::ZERO);
        let remembered = TRUSTED_FOR.to_std().unwrap_or(Duration::ZERO);
        WithCookie {
            answer: AccountDocument::from_model(signed_in.profile, self.timezone),
            cookies: vec![
                self.cookies.keep(&self.cookies.session(), signed_in.session.expose(), life),
                self.cookies.keep(&self.cookies.device(), &encoded(&signed_in.device), remembered),
            ],
        }
    }
}

/// Validated just now, by the same rule.
fn email(name: &str, text: &str) -> Result<Email, Problem> {
    Email::parse(text).map_err(|invalid| field(name, "email", &invalid.to_string()))
}

/// Validated just now, by the same rule.
fn chosen(name: &str, text: String) -> Result<Password, Problem> {
    Password::chosen(text).map_err(|unfit| field(name, "length", &unfit.to_string()))
}

fn grant(taken: &TakenBack) -> GrantTakenBack {
    GrantTakenBack {
        provider: taken.provider.to_string(),
        revoked_at_provider: taken.deletion.not_revoked.is_none(),
        reason: taken.deletion.not_revoked.as_ref().map(reason),
    }
}

fn unproven(error: ProofError, password: &str) -> Problem {
    match error {
        ProofError::PasswordMissing => field(password, "required", "write the password of the account"),
        ProofError::WrongPassword => {
            Problem::new(StatusCode::FORBIDDEN, "wrong_password", "this is not the password of the account")
        }
        ProofError::SessionMissing => session_missing(),
        ProofError::TooMany(too_many) => too_many_attempts(too_many),
        ProofError::Failed(failure) => failed(&failure),
    }
}

fn too_many_attempts(TooManyAttempts { wait }: TooManyAttempts) -> Problem {
    // A whole second more rather than one less: whoever comes back in time is to get in.
    let seconds = wait.num_seconds().saturating_add(1).unsigned_abs();
    Problem {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_attempts",
            format!("there were too many attempts; try again in {seconds} seconds"),
        )
    }
}

fn email_taken() -> Problem {
    Problem::new(StatusCode::CONFLICT, "email_taken", "somebody signed up with this e-mail; sign in, or take another")
}

fn no_account() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "no_account",
        "your token is not that of a person who signed up or in, or the account is gone",
    )
}

fn session_missing() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "session_required",
        "this changes who can sign in, so it takes the session of a browser that is signed in, not a token",
    )
}

fn field(name: &str, code: &str, message: &str) -> Problem {
    Problem::invalid_fields(vec![FieldError { field: name.into(), code: code.into(), message: message.into() }])
}
