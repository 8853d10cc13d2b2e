//! An access token. The first byte chooses: an arbitrary text, an edit of a valid token, or a claims set alone. Only
//! the valid token itself is accepted, and a parsed claims set serialises to the same text.
#![no_main]

use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use gateway::{adapters::jwt::AwsLcKeysmith, domain::gateway::{models::{values::id::{FamilyId, TokenId}, signing_key::{SigningAlgorithm, SigningKey}, token::AccessClaims}, services::ports::{KeyPair, KeyRing, Keysmith}}};

struct Issued {
    keys: Arc<dyn KeyRing>,
    claims: AccessClaims,
    tokens: Vec<String>,
}

static ISSUED: LazyLock<Issued> = LazyLock::new(|| {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let claims = AccessClaims {
        issuer: "us".into(),
        subject: "alice".into(),
        audience: vec!["us".into()],
        client_id: "fuzz".into(),
        scope: "read".parse().unwrap(),
        token_id: TokenId::from_random([1; 16]),
        family: FamilyId::from_random([2; 16]),
        issued_at: now,
        not_before: None,
        expires_at: now + chrono::TimeDelta::hours(1),
        extra: serde_json::Map::default(),
    };
    let loaded: Vec<_> = [SigningAlgorithm::Es256, SigningAlgorithm::Hs256, SigningAlgorithm::Rs256, SigningAlgorithm::EdDsa]
        .into_iter()
        .map(|algorithm| {
            let KeyPair { kid, private_key, public_jwk } = AwsLcKeysmith.generate(algorithm).unwrap();
            let sealed_private_key = Vec::new();
            let key = SigningKey {
                kid,
                algorithm,
                generation: 1,
                sealed_private_key,
                public_jwk,
                created_at: now,
                signs_from: now,
            };
            (key, private_key)
        })
        .collect();
    let keys = AwsLcKeysmith.load(&loaded).unwrap();
    let tokens = loaded.iter().map(|(key, _)| keys.sign(&key.kid, &claims).unwrap()).collect();
    Issued { keys, claims, tokens }
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [choice, rest @ ..] = bytes else { return };
    let Issued { keys, claims, tokens } = &*ISSUED;
    let text = match choice % 4 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 | 2 => {
            let [high, low, length, inserted @ ..] = rest else { return };
            let token = &tokens[usize::from(choice / 4) % tokens.len()];
            let at = usize::from(u16::from_be_bytes([*high, *low])) % (token.len() + 1);
            let until = (at + usize::from(*length)).min(token.len());
            format!("{}{}{}", &token[..at], String::from_utf8_lossy(inserted), &token[until..])
        }
        _ => {
            if let Ok(read) = AccessClaims::parse(rest) {
                assert_eq!(AccessClaims::parse(read.to_json().to_string().as_bytes()), Ok(read));
            }
            return;
        }
    };
    match keys.verify(&text) {
        Ok(found) => assert!(tokens.contains(&text) && found == *claims, "forged: {text}"),
        Err(_) => assert!(!tokens.contains(&text), "refused: {text}"),
    }
});
