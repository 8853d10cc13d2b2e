//! Accounts: schema → service → schema.

pub(super) mod control;

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono_tz::Tz;
use http::StatusCode;

use self::control::{Proof, no_account, too_many_attempts};
use super::{
    caller::{Callers, Credentials, Sender},
    failed,
    provider::reason,
};
use crate::{
    domain::gateway::{
        models::account::{LogIn, PasswordChange, SignUp},
        schemas::{
            account::{
                AccountDeleted, AccountDocument, ChangePasswordRequest, DeleteAccountRequest, GrantTakenBack,
                LogInRequest, PasswordChanged, ProviderUnlinked, SignUpRequest, UnlinkProviderRequest,
            },
            converted,
            cookie::{Cookies, encoded},
            validated,
        },
        services::{
            account::{
                AccountService, LogInError, PasswordError, SignUpError, SignedIn, TRUSTED_FOR, TakenBack, UnlinkError,
                Visitor,
            },
            session::SessionService,
        },
    },
    problem::Problem,
};

/// The account endpoints.
#[derive(Clone)]
pub struct AccountController {
    accounts: AccountService,
    sessions: Arc<SessionService>,
    callers: Arc<Callers>,
    cookies: Cookies,
    timezone: Tz,
}

/// A response that sets cookies.
pub struct WithCookie<T> {
    /// The body of the response.
    pub response: T,
    /// `Set-Cookie`
    pub cookies: Vec<String>,
}

impl AccountController {
    /// Times are written with the offset of `timezone`.
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
        self.callers.check_new_session(credentials)?;
        let device = self.callers.device_cookie(credentials);
        let visitor = self.visitor(credentials, sender, device.as_deref());
        let wish: SignUp = converted(request)?;
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
        self.callers.check_new_session(credentials)?;
        let device = self.callers.device_cookie(credentials);
        let visitor = self.visitor(credentials, sender, device.as_deref());
        let LogIn { email, password } = converted(request)?;
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
        let caller = self.callers.required(credentials).await?;
        match self.accounts.of_caller(&caller).await {
            Ok(Some(profile)) => Ok(AccountDocument::from_model(profile, self.timezone)),
            Ok(None) => Err(no_account()),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `POST /accounts/password`
    pub async fn change_password(
        &self,
        request: ChangePasswordRequest,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<PasswordChanged, Problem> {
        let mut request = validated(request)?;
        let password = request.current_password.take();
        let change: PasswordChange = converted(request)?;
        let proof = Proof { credentials, password, field: "current_password", client };
        let control = proof.control(&self.callers, &self.accounts).await?;
        match self.accounts.change_password(control, change, client).await {
            Ok(()) => Ok(PasswordChanged::now()),
            Err(PasswordError::NoAccount) => Err(no_account()),
            Err(PasswordError::TooMany(too_many)) => Err(too_many_attempts(too_many)),
            Err(PasswordError::EmailMissing) => Err(Problem::invalid_field(
                "email",
                "required",
                "must be the e-mail to sign in with, because the account has none yet",
            )),
            Err(PasswordError::OtherEmail) => Err(Problem::invalid_field(
                "email",
                "other_email",
                "must be left out, because the account signs in with another e-mail",
            )),
            Err(PasswordError::EmailTaken) => Err(email_taken()),
            Err(PasswordError::ChangedMeanwhile) => Err(Problem::new(
                StatusCode::CONFLICT,
                "password_changed",
                "the password was changed during this request; sign in with the new one",
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
        let proof = Proof { credentials, password: request.password, field: "password", client };
        let control = proof.control(&self.callers, &self.accounts).await?;
        match self.accounts.remove(control).await {
            Ok(taken) => Ok(WithCookie {
                response: AccountDeleted { deleted: true, grants: taken.iter().map(grant).collect() },
                cookies: vec![self.cookies.forget(&self.cookies.session())],
            }),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `DELETE /accounts/me/providers/{provider}`
    pub async fn unlink(
        &self,
        provider: &str,
        request: UnlinkProviderRequest,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<ProviderUnlinked, Problem> {
        let request = validated(request)?;
        let proof = Proof { credentials, password: request.password, field: "password", client };
        let control = proof.control(&self.callers, &self.accounts).await?;
        match self.accounts.unlink(control, provider).await {
            Ok(taken) => {
                Ok(ProviderUnlinked { provider: provider.to_owned(), grants: taken.iter().map(grant).collect() })
            }
            Err(UnlinkError::NotLinked) => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "provider_not_linked",
                "your account has no identity at this provider; GET /accounts/me lists its providers",
            )),
            Err(UnlinkError::LastWayIn) => Err(Problem::new(
                StatusCode::CONFLICT,
                "last_way_in",
                "this provider is your only way to sign in; first set a password (POST /accounts/password) or add another provider",
            )),
            Err(UnlinkError::Failed(failure)) => Err(failed(&failure)),
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
            response: AccountDocument::from_model(signed_in.profile, self.timezone),
            cookies: vec![
                self.cookies.keep(&self.cookies.session(), signed_in.session.expose(), life),
                self.cookies.keep(&self.cookies.device(), &encoded(&signed_in.device), remembered),
            ],
        }
    }
}

fn grant(taken: &TakenBack) -> GrantTakenBack {
    GrantTakenBack {
        provider: taken.provider.to_string(),
        revoked_at_provider: taken.deletion.not_revoked.is_none(),
        reason: taken.deletion.not_revoked.as_ref().map(reason),
    }
}

fn email_taken() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "email_taken",
        "an account with this e-mail already exists; sign in, or use another e-mail",
    )
}
