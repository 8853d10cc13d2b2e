//! Apple. It needs a private key instead of a client secret: the gateway makes a secret for each request.

use rustls::{
    SignatureScheme,
    crypto::aws_lc_rs::sign::any_ecdsa_type,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use url::Url;

use super::{
    Common, Prompt, ProviderKind, ProviderSettings,
    asking::{authorize_endpoint, parameter, read_more_scopes, read_scopes, read_switch},
    member,
    values::endpoint,
};
use crate::{
    config::{
        Environment,
        reading::reader::Reader,
        variables::{APPLE_APP_ID, APPLE_CLIENT_ID, APPLE_KEY_ID, APPLE_PRIVATE_KEY, APPLE_TEAM_ID, Variable},
    },
    domain::gateway::models::{provider::AppleRegistration, values::secret::Secret},
};

pub(super) const PREFIX: &str = "APPLE";
/// The suffixes besides those of the ids and the key.
pub(super) const SUFFIXES: [&str; 7] =
    ["_SCOPES", "_MORE_SCOPES", "_PKCE", "_AUTHORIZE_URL", "_TOKEN_URL", "_REVOKE_URL", "_JWKS_URL"];

const SCOPES: &str = "name email";
const AUTHORIZE: &str = "https://appleid.apple.com/auth/authorize";
const TOKEN: &str = "https://appleid.apple.com/auth/token";
const REVOKE: &str = "https://appleid.apple.com/auth/revoke";
const JWKS: &str = "https://appleid.apple.com/auth/keys";
/// The length of team ids and key ids.
const ID_LENGTH: usize = 10;
/// The maximum length of an identifier.
const LONGEST_IDENTIFIER: usize = 255;

/// Reads the provider. `None` if it is off, or if a mistake was noted.
pub(super) fn read(reader: &mut Reader<'_>, common: &Common<'_>) -> Option<ProviderSettings> {
    let client_id = reader.read(&APPLE_CLIENT_ID, |text| optional(text, identifier));
    let team_id = reader.read(&APPLE_TEAM_ID, |text| optional(text, short_id));
    let key_id = reader.read(&APPLE_KEY_ID, |text| optional(text, short_id));
    let private_key = reader.read_lines(&APPLE_PRIVATE_KEY, |text| optional(text, private_key));
    let app_id = reader.read(&APPLE_APP_ID, |text| optional(text, identifier));
    let environment = common.environment;
    let authorize = member(reader, "APPLE_AUTHORIZE_URL", AUTHORIZE, |text| authorize_without_scope(text, environment));
    let [token, revoke, jwks] = [("_TOKEN_URL", TOKEN), ("_REVOKE_URL", REVOKE), ("_JWKS_URL", JWKS)]
        .map(|(suffix, usual)| member(reader, &format!("{PREFIX}{suffix}"), usual, |text| endpoint(text, environment)));
    let scopes = read_scopes(reader, PREFIX, SCOPES, false);
    let more_scopes = read_more_scopes(reader, PREFIX, authorize.as_ref());
    let pkce = read_switch(reader, PREFIX, "_PKCE", true);
    let (client_id, team_id, key_id, private_key) = match (client_id?, team_id?, key_id?, private_key?) {
        (None, None, None, None) => return None,
        (Some(client_id), Some(team_id), Some(key_id), Some(private_key)) => (client_id, team_id, key_id, private_key),
        (client_id, team_id, key_id, private_key) => {
            let parts: [(&Variable, bool); 4] = [
                (&APPLE_CLIENT_ID, client_id.is_some()),
                (&APPLE_TEAM_ID, team_id.is_some()),
                (&APPLE_KEY_ID, key_id.is_some()),
                (&APPLE_PRIVATE_KEY, private_key.is_some()),
            ];
            needs_all(reader, &parts);
            return None;
        }
    };
    if client_id.split_once('.').is_some_and(|(first, _)| first == team_id) {
        let rule = "must be the identifier of the Services ID alone; remove the team id in front of it";
        reader.wrong(&APPLE_CLIENT_ID, rule);
        return None;
    }
    let name = PREFIX.to_ascii_lowercase().parse().ok()?;
    let (callback, redirect_uris) = common.redirects("apple");
    Some(ProviderSettings {
        name,
        display_name: "Apple".to_owned(),
        kind: ProviderKind::Apple(AppleRegistration {
            authorize: authorize?,
            token: token?,
            revoke: revoke?,
            jwks: jwks?,
            team_id,
            key_id,
            app_id: app_id?,
        }),
        client_id,
        client_secret: private_key,
        scopes: scopes?,
        more_scopes: more_scopes?,
        // Apple does not know the parameter, and every code yields a refresh token.
        prompt: Prompt::Never,
        pkce: pkce?,
        callback,
        redirect_uris,
        // Its id tokens contain a nonce.
        takes_unbound_codes: false,
    })
}

/// Notes which of the four variables are missing.
fn needs_all(reader: &mut Reader<'_>, parts: &[(&Variable, bool)]) {
    let there: Vec<_> = parts.iter().filter(|(_, is_set)| *is_set).map(|(variable, _)| variable.name).collect();
    let (there, verb) = (there.join(" and "), if there.len() == 1 { "is" } else { "are" });
    for (variable, _) in parts.iter().filter(|(_, is_set)| !is_set) {
        reader.required(
            variable,
            format!(
                "because {there} {verb} set; Apple needs APPLE_CLIENT_ID, APPLE_TEAM_ID, APPLE_KEY_ID and APPLE_PRIVATE_KEY"
            ),
        );
    }
}

fn optional<T>(text: &str, parse: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

/// A Services ID or an App ID.
fn identifier(text: &str) -> Result<String, String> {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let good = text.len() <= LONGEST_IDENTIFIER && text.contains('.') && text.split('.').all(part);
    good.then(|| text.to_owned()).ok_or_else(|| "must be an identifier such as com.example.web".to_owned())
}

/// The id of a team or a key.
fn short_id(text: &str) -> Result<String, String> {
    let good = text.len() == ID_LENGTH && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    good.then(|| text.to_owned())
        .ok_or_else(|| "must be 10 upper-case letters and digits, such as ABCDE12345".to_owned())
}

/// The text of a `.p8` file. Settings often hold `\n` where the file has line ends.
fn private_key(text: &str) -> Result<Secret, String> {
    let pem = text.replace("\\r", "").replace("\\n", "\n");
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        "must be the text of the key's .p8 file, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----; its line ends \
         may be written \\n"
            .to_owned()
    })?;
    let is_p256 =
        any_ecdsa_type(&key).is_ok_and(|key| key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).is_some());
    if is_p256 {
        Ok(Secret::new(pem))
    } else {
        Err("must be a private key over P-256, as in every .p8 file from Apple".to_owned())
    }
}

/// The scopes determine how Apple sends browsers back, so only the settings may name them.
fn authorize_without_scope(text: &str, environment: Environment) -> Result<Url, String> {
    let url = authorize_endpoint(text, environment)?;
    let decided = ["scope", "response_mode"].into_iter().find(|name| parameter(&url, name).is_some());
    match decided {
        None => Ok(url),
        Some(name) => Err(format!(
            "must be a URL without the parameter {name}; APPLE_SCOPES decides what is requested and how it is returned"
        )),
    }
}
