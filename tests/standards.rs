//! The standards for tokens and sign-in, one case per clause, over a socket of the real binary. The table below names
//! the clause and its demand; each row is a test. `clients` has further standards for machine clients, `transport`
//! those for https.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

#[path = "standards/clients.rs"]
mod clients;
#[path = "standards/sign_in.rs"]
mod sign_in;
#[path = "standards/tokens.rs"]
mod tokens;
#[path = "standards/transport.rs"]
mod transport;

/// Each row: its number, the clause, its demand, and the case.
macro_rules! clauses {
    ($($number:literal, $clause:literal, $wants:literal => $folder:ident::$case:ident;)+) => {
        /// The rows of the table.
        const ROWS: &[(u32, &str, &str)] = &[$(($number, $clause, $wants)),+];

        mod clause {
            $(#[test]
            fn $case() {
                println!("{} {}: {}", $number, $clause, $wants);
                super::$folder::$case();
            })+
        }
    };
}

clauses! {
    1, "RFC 9700 §2.1", "redirect URIs are compared as exact strings" => sign_in::redirect_uris_are_exact_strings;
    2, "RFC 7636 §4.1-4.2", "PKCE by S256; a verifier has 43 to 128 characters" => sign_in::pkce_is_s256_and_a_verifier_has_its_length;
    3, "RFC 9700 §4.8.2", "a PKCE downgrade is refused, either way" => sign_in::a_pkce_downgrade_is_refused;
    4, "RFC 6749 §10.12, RFC 9700 §4.7.1", "a state is used once and is bound to the browser" => sign_in::a_state_is_used_once_in_its_browser;
    5, "OpenID Connect Core §3.1.3.7", "an id token of another attempt is refused" => sign_in::an_id_token_has_the_nonce_of_its_attempt;
    6, "RFC 9207 §2.4, RFC 9700 §4.4.2", "an answer of another provider is refused" => sign_in::a_response_is_of_the_provider_that_was_asked;
    7, "RFC 9700 §2.1.2, §2.4", "no implicit and no password grant" => tokens::there_is_no_implicit_and_no_password_grant;
    8, "RFC 6749 §4.1.2", "an authorization code is good once" => sign_in::a_code_is_good_once;
    9, "RFC 9700 §2.2.2, §4.14.2", "refresh tokens rotate, and reuse ends the family" => tokens::reuse_of_a_refresh_token_ends_the_family;
    10, "RFC 6749 §6", "an answer without a refresh token keeps the old one" => sign_in::a_refresh_response_without_a_token_keeps_the_old_one;
    11, "RFC 6749 §5.1", "answers with tokens are not kept by anybody" => tokens::responses_with_tokens_are_not_kept;
    12, "RFC 6749 §5.2", "errors have registered codes" => tokens::errors_have_registered_codes;
    13, "RFC 9700 §4.2.4, §4.3.2, RFC 6750 §2.3", "no token travels in a URL" => sign_in::no_token_travels_in_a_url;
    14, "RFC 9700 §4.11", "nobody is redirected to a place of an attacker's choice" => sign_in::there_is_no_open_redirector;
    15, "RFC 9700 §4.12", "303 behind a POST, never 307" => sign_in::what_follows_a_post_is_303;
    17, "RFC 9700 §4.16", "our pages cannot be framed" => sign_in::no_page_can_be_framed;
    18, "RFC 7009 §2.2", "revoking an unknown token: 200" => tokens::revoking_an_unknown_token_succeeds;
    19, "RFC 7009 §2.1", "revoking a refresh token ends its access tokens" => tokens::revoking_a_refresh_token_ends_its_access_tokens;
    20, "RFC 7662 §2.1-2.2", "introspection is authenticated, and says no more of a bad token than that" => tokens::introspection_is_authenticated_and_tight_lipped;
    21, "RFC 8414 §3", "metadata lies at its path, and its issuer is the tokens'" => tokens::metadata_is_found_and_true;
    22, "RFC 7517 §4-5", "our key set has unique kids and nothing private" => tokens::the_key_set_is_public;
    23, "RFC 8725 §3", "the algorithm is the key's, and the type is checked" => tokens::the_algorithm_is_the_keys;
    24, "RFC 9068 §2", "access tokens say what they must" => tokens::access_tokens_say_what_they_must;
    25, "RFC 6750 §3.1", "invalid_token is 401, insufficient_scope 403" => tokens::refusals_have_their_status;
    26, "RFC 9110 §11.6.1", "every 401 has a challenge" => tokens::every_401_has_a_challenge;
    27, "RFC 8414 §3.1", "the path of an issuer stands behind the well-known one" => tokens::metadata_is_found_by_the_path_of_the_issuer;
}

/// Row 16 concerns the headers that services see, which tests/hostile tests.
#[test]
fn no_row_is_missing() {
    let numbers: Vec<_> = ROWS.iter().map(|(number, ..)| *number).collect();
    let wanted: Vec<_> = (1..=15).chain(17..=27).collect();
    assert_eq!(numbers, wanted);
    assert!(ROWS.iter().all(|(_, clause, wants)| clause.contains('§') && !wants.is_empty()));
}
