//! Microsoft Entra: OpenID Connect with a tenant in every address. Each tenant is an issuer of its own: if several
//! tenants may sign in, the metadata contain a template for the issuer
//! (learn.microsoft.com/entra/identity-platform/v2-protocols-oidc).
//!
//! Subject: `sub` is made for this app. It changes with a new registration, and by the standard it is unique only
//! within one issuer, which is one tenant. `oid` with `tid` survives both, never changes, is never reassigned, and is
//! the directory's own id of the person. So it is the subject
//! (learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
//!
//! E-mail: `email` proves nothing, as the administrator of any tenant may write any address there. It counts only if
//! `xms_edov` says that the owner of the address's domain was verified
//! (learn.microsoft.com/entra/identity-platform/optional-claims-reference).

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    adapters::providers::{
        oidc::{Dialect, EmailVerdict, Oidc},
        protocol::{
            error_codes::{ErrorCodes, ErrorResponse},
            flow::Flow,
            id_token::{Issuers, TENANT},
            response::{email, text},
        },
    },
    domain::gateway::{
        models::provider::{
            IdTokenKey,
            entra::{AllowedTenants, DirectoryId, EntraSettings},
        },
        services::ports::{AdmissionRule, ProviderError},
    },
};

/// The error codes of the token endpoint
/// (learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#error-codes-for-token-endpoint-errors): the
/// person must take another step; the app may not do this in the person's tenant.
const CODES: ErrorCodes =
    ErrorCodes { grant: &["interaction_required"], client: &["unauthorized_client"], provider: &[] };

/// The specifics of Entra.
struct Entra(EntraSettings);

/// Creates the provider.
pub(super) fn entra(flow: Flow, settings: EntraSettings) -> Oidc {
    let entra = Entra(settings);
    let issuer = entra.issuer(&entra.0.tenant.segment());
    Oidc::discovered(flow.with_errors(error_of), issuer, IdTokenKey::Published, entra)
}

fn error_of(_: StatusCode, body: &Value) -> Option<ErrorResponse> {
    CODES.error(body)
}

impl Entra {
    /// The issuer of a tenant, or the template for all of them.
    fn issuer(&self, tenant: &str) -> String {
        format!("{}/{tenant}/v2.0", self.0.authority)
    }

    fn check_groups(&self, claims: &Value) -> Result<(), ProviderError> {
        if self.0.groups.is_empty() {
            return Ok(());
        }
        let is_listed =
            |group: &Value| group.as_str().is_some_and(|group| self.0.groups.contains(&group.to_lowercase()));
        let groups = claims.get("groups").and_then(Value::as_array);
        if groups.is_some_and(|groups| groups.iter().any(is_listed)) {
            return Ok(());
        }
        // For members of more than 200 groups the token contains only a link to the list.
        let is_elsewhere = claims.get("_claim_names").is_some_and(|names| names.get("groups").is_some());
        if is_elsewhere || claims.get("hasgroups").is_some() {
            return Err(ProviderError::NotAdmitted(AdmissionRule::GroupsElsewhere));
        }
        Err(ProviderError::NotAdmitted(AdmissionRule::Group))
    }
}

impl Dialect for Entra {
    fn issuers(&self, _: &str, told: &str) -> Option<Issuers> {
        let tenant = &self.0.tenant;
        if tenant.is_many() {
            return (told == self.issuer(TENANT)).then(|| Issuers::PerTenant(told.to_owned()));
        }
        // Entra names the tenant of a domain.
        let named = told.strip_prefix(&format!("{}/", self.0.authority))?.strip_suffix("/v2.0")?;
        let id = DirectoryId::parse(named).filter(|id| tenant.id().is_none_or(|own| own == *id))?;
        Some(Issuers::Named(vec![self.issuer(&id.to_string())])).filter(|_| named == id.to_string())
    }

    fn subject(&self, claims: &Value) -> Result<String, ProviderError> {
        let id = |claim: &str| {
            let flaw = || ProviderError::BadResponse(format!("it does not identify the person ({claim})"));
            text(claims, claim).as_deref().and_then(DirectoryId::parse).ok_or_else(flaw)
        };
        Ok(format!("{}.{}", id("tid")?, id("oid")?))
    }

    fn admit(&self, claims: &Value) -> Result<(), ProviderError> {
        let tenant = text(claims, "tid").as_deref().and_then(DirectoryId::parse);
        if let AllowedTenants::Listed(allowed) = &self.0.tenants
            && !tenant.is_some_and(|tenant| allowed.contains(&tenant))
        {
            let tenant = tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
            tracing::warn!(
                tenant,
                "ENTRA_ALLOWED_TENANTS does not contain the tenant of a person who tried to sign in"
            );
            return Err(ProviderError::NotAdmitted(AdmissionRule::Tenant));
        }
        self.check_groups(claims)
    }

    fn email(&self, claims: &Value) -> EmailVerdict {
        let is_proven = match claims.get("xms_edov") {
            Some(Value::Bool(it)) => *it,
            Some(Value::Number(it)) => it.as_u64() == Some(1),
            Some(Value::String(it)) => matches!(it.as_str(), "1" | "true"),
            _ => false,
        };
        EmailVerdict::Judged(email(claims, "email").filter(|_| is_proven))
    }

    /// `offline_access` is enough for a refresh token. `prompt=consent` fails where people may not consent
    /// (AADSTS90094).
    fn takes_consent(&self, _: bool) -> bool {
        false
    }
}
