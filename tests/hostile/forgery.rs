//! Forged tokens.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};

/// A parsed token.
pub(crate) struct Parts {
    pub(crate) header: Map<String, Value>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// A forged token, and the reason that `/tokens/verify` gives for refusing it.
pub(crate) struct Forgery {
    pub(crate) what: String,
    pub(crate) token: String,
    pub(crate) reason: &'static str,
}

impl Parts {
    pub(crate) fn of(token: &str) -> Self {
        let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let header = serde_json::from_slice(&parts[0]).unwrap();
        Self { header, payload: parts[1].clone(), signature: parts[2].clone() }
    }

    fn header_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.header).unwrap()
    }

    /// The header with changed values; `null` removes one.
    fn header_with(&self, changes: &Value) -> Vec<u8> {
        let mut header = self.header.clone();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                header.remove(name);
            } else {
                header.insert(name.clone(), value.clone());
            }
        }
        serde_json::to_vec(&header).unwrap()
    }

    /// The same signature under another header.
    fn under(&self, header: &[u8]) -> String {
        joined(header, &self.payload, &self.signature)
    }
}

fn message(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn joined(header: &[u8], payload: &[u8], signature: &[u8]) -> String {
    format!("{}.{}", message(header, payload), URL_SAFE_NO_PAD.encode(signature))
}

/// All forgeries from a valid token and the published key (a P-256 one).
pub(crate) fn forgeries(good: &str, jwk: &Value) -> Vec<Forgery> {
    let parts = Parts::of(good);
    let mut all = headers(&parts);
    all.extend(shapes(good, &parts));
    all.extend(hmacs(&parts, jwk));
    all.extend(signatures(&parts, good));
    all
}

fn forgery(what: impl Into<String>, token: String, reason: &'static str) -> Forgery {
    Forgery { what: what.into(), token, reason }
}

/// Changed headers.
fn headers(parts: &Parts) -> Vec<Forgery> {
    let mut all: Vec<Forgery> = [
        (json!({"typ": "JWT"}), "malformed"),
        (json!({"typ": "dpop+jwt"}), "malformed"),
        (json!({"typ": null}), "malformed"),
        (json!({"typ": 5}), "malformed"),
        (json!({"kid": null}), "malformed"),
        (json!({"kid": 5}), "malformed"),
        (json!({"kid": ["x"]}), "malformed"),
        (json!({"kid": ""}), "unknown_key"),
        (json!({"kid": "unknown"}), "unknown_key"),
        (json!({"kid": "../../../../dev/null"}), "unknown_key"),
        (json!({"kid": "file:///proc/self/environ"}), "unknown_key"),
        (json!({"kid": "' OR '1'='1' --"}), "unknown_key"),
        (json!({"kid": "x' UNION SELECT 'AA'; --"}), "unknown_key"),
        (json!({"kid": "a\u{0}b\r\nX-User-Id: admin\u{1b}[31m"}), "unknown_key"),
        (json!({"kid": "k".repeat(3000)}), "unknown_key"),
        (json!({"crit": ["exp"]}), "malformed"),
        (json!({"crit": []}), "malformed"),
        (json!({"crit": "b64"}), "malformed"),
        (json!({"crit": ["b64"], "b64": false}), "malformed"),
        (json!({"b64": false}), "bad_signature"),
        (json!({"alg": null}), "malformed"),
        (json!({"alg": 5}), "malformed"),
        (json!({"alg": "none"}), "bad_signature"),
        (json!({"alg": "es256"}), "bad_signature"),
        (json!({"alg": "ES384"}), "bad_signature"),
        (json!({"alg": "RS256"}), "bad_signature"),
        (json!({"alg": "PS256"}), "bad_signature"),
        (json!({"alg": "EdDSA"}), "bad_signature"),
        (json!({"alg": "HS256"}), "bad_signature"),
        (json!({"alg": ""}), "bad_signature"),
        (json!({"zip": "DEF"}), "bad_signature"),
        (json!({"jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/x5u"}), "bad_signature"),
    ]
    .into_iter()
    .map(|(changes, reason)| forgery(changes.to_string(), parts.under(&parts.header_with(&changes)), reason))
    .collect();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = parts.header_with(&json!({"alg": alg}));
        all.push(forgery(format!("{alg} unsigned"), joined(&header, &parts.payload, b""), "bad_signature"));
    }
    let whole = parts.header_bytes();
    let twice = [&whole[..whole.len() - 1], br#","alg":"none"}"#].concat();
    all.push(forgery("alg twice", joined(&twice, &parts.payload, b""), "malformed"));
    for header in ["", "null", "5", "[]", "{}", "\"ES256\"", "{", "\u{feff}{}", &"[".repeat(6000)] {
        all.push(forgery(format!("header {header:.9}"), parts.under(header.as_bytes()), "malformed"));
    }
    let values = format!("[\"ES256\", {}, \"at+jwt\", null]", parts.header["kid"]);
    all.push(forgery("header as an array", parts.under(values.as_bytes()), "malformed"));
    all
}

/// Texts that are not three parts of base64url.
fn shapes(good: &str, parts: &Parts) -> Vec<Forgery> {
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let jwe = message(br#"{"alg":"dir","enc":"A256GCM","typ":"at+jwt"}"#, b"");
    [
        "x".to_owned(),
        ".".into(),
        "..".into(),
        "...".into(),
        "null".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}={}", ""),
        format!("{good}, Bearer {good}"),
        format!("{good},{good}"),
        format!("Bearer {good}"),
        good.replace('.', "%2e"),
        good.replace('.', ";"),
        format!("{header} .{payload}.{signature}"),
        format!("{jwe}.AAAA.AAAA.AAAA"),
        format!("{good}.AAAA.AAAA"),
        STANDARD.encode(parts.header_bytes()) + "=." + payload + "." + signature,
        "토큰.토큰.토큰".into(),
        "a".repeat(9_000),
        format!("{good}{}", "A".repeat(6_000)),
    ]
    .into_iter()
    .map(|token| {
        // Empty or long parts are still parts.
        let unsigned = token == format!("{header}.{payload}.") || token == format!("{header}..{signature}");
        let reason = if unsigned || token.ends_with("AAAAAAAAA") { "bad_signature" } else { "malformed" };
        forgery(format!("{token:.60}…"), token, reason)
    })
    .collect()
}

/// The public key as a shared secret, in every form that an attacker could have.
fn hmacs(parts: &Parts, jwk: &Value) -> Vec<Forgery> {
    let [x, y] = ["x", "y"].map(|name| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap());
    let point = [&[4], x.as_slice(), &y].concat();
    // SubjectPublicKeyInfo of a P-256 key up to the point (RFC 5480).
    let info =
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let der = [info.as_slice(), &point].concat();
    let lines = STANDARD
        .encode(&der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect::<Vec<_>>();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let secrets = [
        ("the JWK", jwk.to_string().into_bytes()),
        ("the JWK set", json!({"keys": [jwk]}).to_string().into_bytes()),
        ("x and y", [x.as_slice(), &y].concat()),
        ("x", x.clone()),
        ("x in base64", jwk["x"].to_string().trim_matches('"').as_bytes().to_vec()),
        ("the point", point),
        ("DER", der.clone()),
        ("DER in base64", STANDARD.encode(&der).into_bytes()),
        ("PEM", pem.clone().into_bytes()),
        ("PEM and a line feed", format!("{pem}\n").into_bytes()),
        ("PEM with CR LF", pem.replace('\n', "\r\n").into_bytes()),
        ("the kid", parts.header["kid"].as_str().unwrap().as_bytes().to_vec()),
        ("nothing", vec![]),
        ("a zero", vec![0]),
    ];
    let algorithms = [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];
    let mut all = Vec::new();
    for (what, secret) in &secrets {
        for (name, algorithm) in algorithms {
            // With our key's id, and with none that could select the right one.
            for (kid, reason) in
                [(json!(parts.header["kid"]), "bad_signature"), (json!("x"), "unknown_key"), (json!(null), "malformed")]
            {
                let header = parts.header_with(&json!({"alg": name, "kid": kid}));
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), message(&header, &parts.payload).as_bytes());
                let token = joined(&header, &parts.payload, tag.as_ref());
                all.push(forgery(format!("{name} with {what}, kid {kid}"), token, reason));
            }
        }
    }
    all
}

/// Signatures of another key, missing ones, and ones of another format; and one changed bit in each byte.
fn signatures(parts: &Parts, good: &str) -> Vec<Forgery> {
    let header = parts.header_bytes();
    let rng = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let theirs = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
    let point = theirs.public_key().as_ref();
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..])});
    let mut all = Vec::new();
    for (changes, reason) in [
        (json!({}), "bad_signature"),
        (json!({"jwk": jwk}), "bad_signature"),
        (json!({"jwk": jwk, "kid": null}), "malformed"),
        (json!({"jwk": jwk, "kid": "theirs"}), "unknown_key"),
        (json!({"x5c": [STANDARD.encode(point)]}), "bad_signature"),
    ] {
        let header = parts.header_with(&changes);
        let signed = theirs.sign(&rng, message(&header, &parts.payload).as_bytes()).unwrap();
        let what = format!("another's key, {}", String::from_utf8_lossy(&header));
        all.push(forgery(what, joined(&header, &parts.payload, signed.as_ref()), reason));
    }
    let (r, s) = parts.signature.split_at(32);
    let der = [&[0x30, 70, 2, 33, 0], r, &[2, 33, 0], s].concat();
    let zeroes = [0; 64];
    let ones = [0xff; 64];
    let swapped = [s, r].concat();
    let longer = [parts.signature.as_slice(), &[0]].concat();
    for (what, signature) in [
        ("zeroes", zeroes.as_slice()),
        ("ones", &ones),
        ("r and s swapped", &swapped),
        ("DER", &der),
        ("one byte more", &longer),
        ("one byte less", &parts.signature[..63]),
        ("no bytes", b""),
    ] {
        all.push(forgery(format!("signature: {what}"), joined(&header, &parts.payload, signature), "bad_signature"));
    }
    let claims: Value = serde_json::from_slice(&parts.payload).unwrap();
    for changes in [json!({"sub": "admin"}), json!({"scope": "tokens:issue"}), json!({"exp": 9_999_999_999_i64})] {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let token = joined(&header, claims.to_string().as_bytes(), &parts.signature);
        all.push(forgery(format!("claims {changes}"), token, "bad_signature"));
    }
    all.extend(bits(good));
    all
}

/// One bit of each byte of each part, each time another one.
fn bits(good: &str) -> Vec<Forgery> {
    let parts: Vec<Vec<u8>> = good.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let mut all = Vec::new();
    for part in 0..3 {
        for at in 0..parts[part].len() {
            let mut altered = parts.clone();
            altered[part][at] ^= 1 << (at % 8);
            let token = joined(&altered[0], &altered[1], &altered[2]);
            // A changed header may become anything.
            let reason = if part == 0 { "" } else { "bad_signature" };
            all.push(forgery(format!("part {part}, byte {at}"), token, reason));
        }
    }
    // Bits of the last letter that decode to nothing: the same bytes, another text.
    let (rest, last) = good.split_at(good.len() - 1);
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        if !last.starts_with(letter) {
            all.push(forgery(format!("last letter {letter}"), format!("{rest}{letter}"), ""));
        }
    }
    all
}
