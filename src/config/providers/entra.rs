//! Microsoft Entra: enabled when its client id and secret are set. Everything else depends on the tenant.

use std::collections::BTreeSet;

use super::{
    Common,
    asking::{read_more_scopes, read_prompt, read_scopes, read_switch},
    member,
    values::{client_id_or_none, issuer, secret_or_none},
    wants_both,
};
use crate::{
    config::{
        Environment,
        reading::reader::{Reader, entries},
        variables::{ENTRA_ALLOWED_TENANTS, ENTRA_CLIENT_ID, ENTRA_CLIENT_SECRET, ENTRA_GROUPS, ENTRA_TENANT},
    },
    domain::gateway::models::provider::{
        ProviderKind, ProviderSettings,
        entra::{AllowedTenants, DirectoryId, EntraSettings, EntraTenant},
    },
};

/// The prefix of its variables.
pub(super) const PREFIX: &str = "ENTRA";
/// The suffixes without a row of their own.
pub(super) const SUFFIXES: [&str; 5] = ["_SCOPES", "_MORE_SCOPES", "_PROMPT", "_PKCE", "_AUTHORITY_URL"];
/// Without the last one there is no refresh token.
const SCOPES: &str = "openid profile email offline_access";
/// Without `none`: see [`super::known::Known`].
const PROMPTS: [&str; 3] = ["login", "consent", "select_account"];
const AUTHORITY: &str = "https://login.microsoftonline.com";
const ANY: &str = "any";

/// Reads the provider. `None` if it is off, or if a mistake was noted.
pub(super) fn read(reader: &mut Reader<'_>, common: &Common<'_>) -> Option<ProviderSettings> {
    let client_id = reader.read(&ENTRA_CLIENT_ID, client_id_or_none);
    let client_secret = reader.read(&ENTRA_CLIENT_SECRET, secret_or_none);
    let tenant = reader.read(&ENTRA_TENANT, tenant_or_none);
    let tenants = reader.read(&ENTRA_ALLOWED_TENANTS, tenants);
    let groups = reader.read(&ENTRA_GROUPS, groups);
    let authority = member(reader, &format!("{PREFIX}_AUTHORITY_URL"), AUTHORITY, |text| {
        issuer(text, common.environment).map(|text| text.trim_end_matches('/').to_owned())
    });
    let scopes = read_scopes(reader, PREFIX, SCOPES, true);
    let more_scopes = read_more_scopes(reader, PREFIX, None);
    let prompt = read_prompt(reader, PREFIX, Some(&PROMPTS), None);
    let pkce = read_switch(reader, PREFIX, "_PKCE", true);
    let (client_id, client_secret) = match (client_id?, client_secret?) {
        (Some(client_id), Some(client_secret)) => (client_id, client_secret),
        (None, None) => return None,
        (Some(_), None) => return wants_both(reader, &ENTRA_CLIENT_SECRET, &ENTRA_CLIENT_ID),
        (None, Some(_)) => return wants_both(reader, &ENTRA_CLIENT_ID, &ENTRA_CLIENT_SECRET),
    };
    let Some(tenant) = tenant? else {
        reader.required(&ENTRA_TENANT, format!("because ENTRA_CLIENT_ID is set: {TENANT}"));
        return None;
    };
    let tenants = allowed(reader, &tenant, tenants?, common.environment)?;
    let name = PREFIX.to_ascii_lowercase().parse().ok()?;
    let (callback, redirect_uris) = common.redirects(PREFIX.to_ascii_lowercase().as_str());
    Some(ProviderSettings {
        name,
        // The name that people know.
        display_name: "Microsoft".to_owned(),
        kind: ProviderKind::Entra(EntraSettings { authority: authority?, tenant, tenants, groups: groups? }),
        client_id,
        client_secret,
        scopes: scopes?,
        more_scopes: more_scopes?,
        prompt: prompt?,
        pkce: pkce?,
        callback,
        redirect_uris,
        // Its id tokens contain a nonce.
        takes_unbound_codes: false,
    })
}

const TENANT: &str =
    "the id or a domain of your tenant, organizations (every tenant), consumers (personal accounts) or common (both)";

fn tenant_or_none(text: &str) -> Result<Option<EntraTenant>, String> {
    if text.is_empty() {
        Ok(None)
    } else {
        EntraTenant::parse(text).map(Some).ok_or_else(|| format!("must be {TENANT}"))
    }
}

fn tenants(text: &str) -> Result<Option<AllowedTenants>, String> {
    let ids = || entries(text).map(DirectoryId::parse).collect::<Option<BTreeSet<_>>>().filter(|ids| !ids.is_empty());
    match text {
        "" => Ok(None),
        ANY => Ok(Some(AllowedTenants::Any)),
        _ => ids().map(|ids| Some(AllowedTenants::Listed(ids))).ok_or_else(|| {
            format!("must be ids of tenants, such as 72f988bf-86f1-41af-91ab-2d7cd011db47, separated by commas, or {ANY} alone")
        }),
    }
}

/// The tenants whose people may sign in. The administrator of a tenant can write anything about its people, and anyone
/// can create a tenant, so in production admitting every tenant must be explicit.
fn allowed(
    reader: &mut Reader<'_>,
    tenant: &EntraTenant,
    said: Option<AllowedTenants>,
    environment: Environment,
) -> Option<AllowedTenants> {
    match (tenant.is_many(), said) {
        (false, None) => Some(AllowedTenants::Any),
        (true, Some(tenants)) => Some(tenants),
        (true, None) if environment == Environment::Development => Some(AllowedTenants::Any),
        (true, None) => {
            let need = format!(
                "the ids of the tenants whose people may sign in, separated by commas, or {ANY} if people of every tenant may"
            );
            let hint = format!("ENTRA_TENANT is {}", tenant.segment());
            reader.wrong_in_production(&ENTRA_ALLOWED_TENANTS, &need, &hint);
            None
        }
        (false, Some(_)) => {
            reader.wrong(&ENTRA_ALLOWED_TENANTS, "must be unset; ENTRA_TENANT is one tenant already");
            None
        }
    }
}

/// A list without entries would admit everyone.
fn groups(text: &str) -> Result<BTreeSet<String>, String> {
    let groups: BTreeSet<_> = entries(text).map(str::to_lowercase).collect();
    if groups.is_empty() && !text.is_empty() {
        return Err("must be ids of groups, separated by commas".to_owned());
    }
    Ok(groups)
}
