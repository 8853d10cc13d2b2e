use super::*;

#[test]
fn a_slip_is_found() {
    for (name, meant) in [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASE_ULR", "DATABASE_URL"),
        ("DATABASEURL", "DATABASE_URL"),
        ("database_url", "DATABASE_URL"),
        ("GATEWAY_EVN", "GATEWAY_ENV"),
        ("GATEAWY_ENV", "GATEWAY_ENV"),
        ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("VAULTKEY", "VAULT_KEY"),
        ("VUALT_KEY", "VAULT_KEY"),
        ("GOOGLE_CLIENT_SECERT", "GOOGLE_CLIENT_SECRET"),
        ("GOGLE_CLIENT_ID", "GOOGLE_CLIENT_ID"),
        ("GITHUB_SCOPE", "GITHUB_SCOPES"),
        ("KAKAO_AUTORIZE_URL", "KAKAO_AUTHORIZE_URL"),
        ("GOOGLE_JWK_URL", "GOOGLE_JWKS_URL"),
        ("AUTH_SERVICES_URL", "AUTH_SERVICE_URL"),
        ("auth_service_url", "AUTH_SERVICE_URL"),
        ("USER_PROFILE_SERVICE_URI", "USER_PROFILE_SERVICE_URL"),
        ("AUTH_SERVICE_OPENPAI", "AUTH_SERVICE_OPENAPI"),
        ("OIDC_OKTA_ISUER", "OIDC_OKTA_ISSUER"),
        ("OIDC_MY_OKTA_CLIENT_SECERT", "OIDC_MY_OKTA_CLIENT_SECRET"),
        ("OICD_OKTA_ISSUER", "OIDC_OKTA_ISSUER"),
    ] {
        assert_eq!(meant_by(name).as_deref(), Some(meant), "{name}");
    }
}

#[test]
fn two_letters_that_were_swapped_are_found_in_every_name_of_several_words() {
    for known in ALL.iter().map(|variable| variable.name).filter(|name| name.contains('_')) {
        for at in 1..known.len() - 1 {
            let mut letters = known.as_bytes().to_vec();
            letters.swap(at, at + 1);
            let name = String::from_utf8(letters).unwrap();
            let (first, second) = (&known[at..=at], &known[at + 1..at + 2]);
            let begins_a_word = &known[at - 1..at] == "_";
            if first == second || first == "_" || second == "_" || begins_a_word {
                continue;
            }
            assert_eq!(meant_by(&name).as_deref(), Some(known), "{name}");
        }
    }
}

#[test]
fn our_own_names_are_no_slips() {
    let own = ["AUTH_SERVICE_URL", "AUTH_SERVICE_OPENAPI", "OIDC_OKTA_ISSUER", "GITHUB_SCOPES", "GOOGLE_JWKS_URL"];
    for name in ALL.iter().map(|variable| variable.name).chain(own) {
        assert_eq!(meant_by(name), None, "{name}");
    }
}

#[test]
fn a_name_without_a_service_or_a_provider_in_it_is_no_slip() {
    for name in ["SERVICES_URL", "_SERVICES_URL", "OIDC_ISUER", "OIDC__ISUER", "", "_", "__"] {
        assert_eq!(meant_by(name), None, "{name}");
    }
}

/// What shells, containers, platforms and other programs set, or are set by.
#[test]
fn other_programs_names_are_no_slips() {
    let names = include_str!("usual_names.txt").lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for name in names.flat_map(str::split_whitespace) {
        assert_eq!(meant_by(name), None, "{name}");
        count += 1;
    }
    assert!(count > 500, "{count}");
}
