//! Microsoft Entra: the tenants whose people may sign in.

use std::{collections::BTreeSet, fmt};

use uuid::{Uuid, uuid};

/// The tenant of personal Microsoft accounts.
const CONSUMERS: DirectoryId = DirectoryId(uuid!("9188040d-6c67-4c5b-b112-36a304b66dad"));

/// Our registration at Entra, and the people that may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntraSettings {
    /// The base URL of Entra, without a slash at the end: national clouds have their own.
    pub authority: String,
    /// The tenant that people sign in at.
    pub tenant: EntraTenant,
    /// The tenants whose people may sign in.
    pub tenants: AllowedTenants,
    /// The groups of which the person must be in one, as the claim `groups` names them. Empty: groups do not matter.
    pub groups: BTreeSet<String>,
}

/// The tenants whose people may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedTenants {
    /// All tenants that Entra accepts.
    Any,
    /// Only these.
    Listed(BTreeSet<DirectoryId>),
}

/// The tenant that people sign in at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntraTenant {
    /// One tenant, by id.
    Id(DirectoryId),
    /// The tenant that has this domain.
    Domain(String),
    /// Personal accounts.
    Consumers,
    /// Every tenant.
    Organizations,
    /// Every tenant, and personal accounts.
    Common,
}

impl EntraTenant {
    /// Parses a tenant; `None` if the text is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let label = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match text {
            "common" => Some(Self::Common),
            "organizations" => Some(Self::Organizations),
            "consumers" => Some(Self::Consumers),
            _ => DirectoryId::parse(text)
                .map(|id| if id == CONSUMERS { Self::Consumers } else { Self::Id(id) })
                .or_else(|| {
                    let is_domain = text.contains('.') && text.split('.').all(label);
                    is_domain.then(|| Self::Domain(text.to_ascii_lowercase()))
                }),
        }
    }

    /// Its path segment in URLs.
    pub fn segment(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Domain(domain) => domain.clone(),
            Self::Consumers => "consumers".to_owned(),
            Self::Organizations => "organizations".to_owned(),
            Self::Common => "common".to_owned(),
        }
    }

    /// Whether people of more than one tenant may come.
    pub fn is_many(&self) -> bool {
        matches!(self, Self::Organizations | Self::Common)
    }

    /// The id of the tenant, if it is a single one and known beforehand.
    pub fn id(&self) -> Option<DirectoryId> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Consumers => Some(CONSUMERS),
            Self::Domain(_) | Self::Organizations | Self::Common => None,
        }
    }
}

/// The id of a tenant, or of a person in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryId(Uuid);

impl DirectoryId {
    /// Parses an id as Entra writes it, with hyphens; in upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        const LENGTH: usize = 36;
        Uuid::try_parse(text).ok().filter(|_| text.len() == LENGTH).map(Self)
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_an_id_a_domain_or_a_kind() {
        for (text, segment, is_many) in [
            ("72F988BF-86f1-41af-91ab-2d7cd011db47", Some("72f988bf-86f1-41af-91ab-2d7cd011db47"), false),
            ("Contoso.onmicrosoft.com", Some("contoso.onmicrosoft.com"), false),
            ("consumers", Some("consumers"), false),
            ("9188040d-6c67-4c5b-b112-36a304b66dad", Some("consumers"), false),
            ("organizations", Some("organizations"), true),
            ("common", Some("common"), true),
            ("", None, false),
            ("Common", None, false),
            ("contoso", None, false),
            ("contoso.com/../common", None, false),
            ("{tenantid}", None, false),
            ("72f988bf86f141af91ab2d7cd011db47", None, false),
        ] {
            let tenant = EntraTenant::parse(text);
            assert_eq!(tenant.as_ref().map(EntraTenant::segment).as_deref(), segment, "{text}");
            assert_eq!(tenant.is_some_and(|tenant| tenant.is_many()), is_many, "{text}");
        }
    }
}
