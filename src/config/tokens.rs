//! Settings of tokens and the keys that sign them.

use std::time::Duration;

use super::{
    PublicSettings, TokenSettings,
    reading::{reader::Reader, units},
    variables::{
        ACCESS_TOKEN_MAX_TTL, ACCESS_TOKEN_TTL, KEY_ROTATION, REFRESH_GRACE, REFRESH_TOKEN_TTL, TOKEN_ALGORITHM,
        TOKEN_AUDIENCE, TOKEN_FAMILY_TTL,
    },
};
use crate::domain::gateway::models::signing_key::UnknownAlgorithm;

/// Time claims count whole seconds.
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
/// Within the grace period a stolen refresh token is valid, too.
const LONGEST_GRACE: Duration = Duration::from_mins(5);
/// Ten years: far from any overflow of dates.
const LONGEST: Duration = Duration::from_hours(3650 * 24);

/// Reads the token settings. The default audience is the gateway itself.
pub(super) fn read(reader: &mut Reader<'_>, public: Option<&PublicSettings>) -> Option<TokenSettings> {
    let algorithm =
        reader.read(&TOKEN_ALGORITHM, |text| text.parse().map_err(|rule: UnknownAlgorithm| format!("must be {rule}")));
    let audience = reader.read_or(&TOKEN_AUDIENCE, public.map_or("", PublicSettings::base), |text| Ok(text.to_owned()));
    let access_ttl = reader.duration(&ACCESS_TOKEN_TTL, SECOND..=LONGEST);
    let access_ttl_max = reader.duration(&ACCESS_TOKEN_MAX_TTL, SECOND..=LONGEST);
    let refresh_ttl = reader.duration(&REFRESH_TOKEN_TTL, SECOND..=LONGEST);
    let family_ttl = reader.duration(&TOKEN_FAMILY_TTL, SECOND..=LONGEST);
    let refresh_grace = reader.duration(&REFRESH_GRACE, Duration::ZERO..=LONGEST_GRACE);
    let key_rotation = reader.duration(&KEY_ROTATION, MINUTE..=LONGEST);
    if let (Some(usual), Some(longest)) = (access_ttl, access_ttl_max)
        && usual > longest
    {
        let (usual, longest) = (units::show(usual), units::show(longest));
        if reader.value(&ACCESS_TOKEN_TTL).is_some() {
            reader.wrong(&ACCESS_TOKEN_TTL, format!("must be at most ACCESS_TOKEN_MAX_TTL ({longest})"));
        } else {
            reader.wrong(&ACCESS_TOKEN_MAX_TTL, format!("must be at least ACCESS_TOKEN_TTL ({usual})"));
        }
    }
    Some(TokenSettings {
        algorithm: algorithm?,
        audience: audience?,
        access_ttl: access_ttl?,
        access_ttl_max: access_ttl_max?,
        refresh_ttl: refresh_ttl?,
        family_ttl: family_ttl?,
        refresh_grace: refresh_grace?,
        key_rotation: key_rotation?,
    })
}
