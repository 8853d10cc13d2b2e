//! Microsoft Entra: which of its tenants' people may sign in.

use std::{collections::BTreeSet, fmt};

use uuid::{Uuid, uuid};

/// The tenant of personal Microsoft accounts.
const CONSUMERS: DirectoryId = DirectoryId(uuid!("9188040d-6c67-4c5b-b112-36a304b66dad"));

/// How we are registered at Entra, and whom we let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntraSettings {
    /// Where Entra is, without a slash at the end: national clouds have addresses of their own.
    pub authority: String,
    /// Whose people it sends.
    pub tenant: EntraTenant,
    /// The tenants whose people may sign in.
    pub tenants: AllowedTenants,
    /// The groups of which one must be the person's, if it is not all the same: as the claim `groups` names them.
    pub groups: BTreeSet<String>,
}

/// The tenants whose people may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedTenants {
    /// All whose people Entra sends.
    Any,
    /// These.
    Listed(BTreeSet<DirectoryId>),
}

/// Whose people Entra sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntraTenant {
    /// Those of one tenant.
    Id(DirectoryId),
    /// Those of the tenant that has this domain.
    Domain(String),
    /// People with a personal account.
    Consumers,
    /// Those of every tenant.
    Organizations,
    /// All of them.
    Common,
}

impl EntraTenant {
    /// Reads a tenant; `None` if it is none.
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

    /// Names it in an address.
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

    /// The tenant, where there is one and it is known beforehand.
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
    /// Reads one as Entra writes it, with hyphens; in upper case or lower.
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
