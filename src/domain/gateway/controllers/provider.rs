//! Descriptions of providers' failures for callers.

use crate::{
    domain::gateway::services::oauth::{AdmissionRule, ProviderError},
    texts::{Text, sign_in as text},
};

/// The part of the error that a caller may know.
pub(super) fn reason(error: &ProviderError) -> String {
    match error {
        ProviderError::InvalidGrant { code } => format!("the provider says that the grant is no longer valid ({code})"),
        ProviderError::Misconfigured { .. } => {
            "the provider does not accept the gateway at the moment, and only the operator can fix that; try again later"
                .to_owned()
        }
        ProviderError::Refused { code } => format!("the provider refuses the request: {code}"),
        ProviderError::Unavailable(_) => "the provider cannot be reached at the moment; try again later".to_owned(),
        ProviderError::Throttled(_) => "the provider limits the rate of requests; try again later".to_owned(),
        ProviderError::BadResponse(_) | ProviderError::NonceMismatch => {
            "the provider's response is invalid; the gateway's log gives the reason".to_owned()
        }
        ProviderError::NoIdToken { remedy } => format!(
            "the provider returned no id token; send the scope openid in the authorization request, or as the operator {remedy}"
        ),
        ProviderError::NotAdmitted(rule) => not_admitted(*rule).en.into_owned(),
        ProviderError::Unsupported => "the provider does not support this operation".to_owned(),
    }
}

/// The reason why the settings do not admit a person.
pub(super) fn not_admitted(rule: AdmissionRule) -> Text {
    match rule {
        AdmissionRule::HostedDomain => text::HOSTED_DOMAIN_REQUIRED,
        AdmissionRule::Tenant => text::TENANT_NOT_ALLOWED,
        AdmissionRule::Group => text::GROUP_REQUIRED,
        AdmissionRule::GroupsElsewhere => text::TOO_MANY_GROUPS,
    }
}
