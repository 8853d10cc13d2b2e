//! Notices of Naver, Kakao and Facebook through the real binary: a person revoked the grant.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

#[path = "webhooks/deletion.rs"]
mod deletion;
#[path = "webhooks/events.rs"]
mod events;
#[path = "webhooks/store_away.rs"]
mod store_away;

use std::io::{BufReader, Write};

use common::{Gateway, Response, eventually, recorder::read_request};
use serde_json::json;

const SECRET: &str = "s3cret";
const ADMIN_KEY: &str = "s3cret-admin-key";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const KNOWN: (&str, &str) = ("Authorization", "KakaoAK s3cret-admin-key");

/// A Kakao that identifies every code with that number. Returns its address.
fn kakao() -> String {
    let address = common::upstream(|stream| {
        let mut reader = BufReader::new(&stream);
        while let Some(request) = read_request(&mut reader) {
            let response = if request.line.contains("/token") {
                let form: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
                let (_, code) = form.iter().find(|(name, _)| name == "code").unwrap();
                json!({"access_token": format!("s3cret-a{code}"), "refresh_token": "s3cret-r", "expires_in": 43199})
            } else {
                let number: u64 =
                    request.all("authorization")[0].trim_start_matches("Bearer s3cret-a").parse().unwrap();
                json!({"id": number, "kakao_account": {}})
            }
            .to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", response.len());
            (&stream).write_all(format!("{head}{response}").as_bytes()).unwrap();
        }
    });
    format!("http://{address}")
}

fn gateway(more: &[(&str, &str)]) -> Gateway {
    let kakao = kakao();
    let [token, userinfo] = ["token", "userinfo"].map(|endpoint| format!("{kakao}/{endpoint}"));
    let ids = [
        ("OAUTH_REDIRECT_URIS", "https://app.jinmini.com/callback"),
        ("KAKAO_OIDC", "off"),
        ("KAKAO_CLIENT_ID", "kakao-id"),
        ("KAKAO_CLIENT_SECRET", "s3cret-kakao"),
        ("KAKAO_TOKEN_URL", &token),
        ("KAKAO_USERINFO_URL", &userinfo),
        ("NAVER_CLIENT_ID", "client:1"),
        ("NAVER_CLIENT_SECRET", "s3cret/client"),
        ("FACEBOOK_CLIENT_ID", "client:1"),
        ("FACEBOOK_CLIENT_SECRET", "s3cret/client"),
        ("GITHUB_CLIENT_ID", "github-id"),
        ("GITHUB_CLIENT_SECRET", "s3cret-github"),
    ];
    Gateway::with(&[&ids, more].concat())
}

fn notify(gateway: &Gateway, provider: &str, headers: &[(&str, &str)], form: &str) -> Response {
    gateway.call("POST", &format!("/oauth/webhooks/{provider}"), headers, form.as_bytes())
}

#[test]
fn unlinking_at_kakao_revokes_the_grant() {
    let gateway = gateway(&[("KAKAO_ADMIN_KEY", ADMIN_KEY)]);
    let request = json!({"provider": "kakao", "code": "123456789", "code_verifier": "v".repeat(43)});
    let sign_in = || gateway.post("/oauth", &request).expect(200).json();
    let told = "app_id=1&user_id=123456789&referrer_type=UNLINK_FROM_APPS";
    for by_get in [false, true] {
        let signed_in = sign_in();
        let token = signed_in["tokens"]["access_token"].as_str().unwrap().to_owned();
        let path = format!("/oauth/{}", signed_in["id"].as_str().unwrap());
        notify(&gateway, "kakao", &[FORM, ("Authorization", "KakaoAK wrong")], told)
            .expect_problem(403, "notice_not_verified");
        gateway.get_with_token(&path, &token).expect(200);

        // A repetition, as after a lost response, and a notice about an unknown person.
        for form in [told, told, "app_id=1&user_id=7&referrer_type=ACCOUNT_DELETE"] {
            let response = if by_get {
                gateway.call("GET", &format!("/oauth/webhooks/kakao?{form}"), &[KNOWN], b"")
            } else {
                notify(&gateway, "kakao", &[FORM, KNOWN], form)
            };
            assert_eq!((response.status, response.text().as_str()), (200, ""));
        }
        eventually("the notice is worked off", || gateway.get_with_token(&path, &token).status == 409);
        let told = gateway.get_with_token(&path, &token).expect_problem(409, "reauthorization_required").json();
        assert!(told["detail"].as_str().unwrap().contains("revoked this grant"), "{told}");
        let listed = gateway.get_with_token("/oauth", &token).expect(200).json();
        assert_eq!(listed["grants"][0]["status"], "revoked");

        assert_eq!(sign_in()["id"], signed_in["id"]);
        gateway.get_with_token(&path, &token).expect(200);
    }
    assert!(!gateway.console().contains(SECRET));
    gateway.is_unharmed();
}

#[test]
fn naver_and_facebook_sign_what_they_tell() {
    let gateway = gateway(&[]);
    // Made with Python and OpenSSL for this client id and secret.
    let naver = "clientId=client%3A1&encryptUniqueId=AAECAwQFBgcICQoLDA0OD4VdbplMX_uvcO7cikD9sME&timestamp=1800000000\
                 &signature=n_vGQ6-GYfQAbwl94n4kSK9yHPYIWcKjIMmEhR5kMaQ";
    let facebook = "signed_request=Ukgu56MV_T_kBombjZqm5y-npPm-6JxAHjbVUKBWNhU.eyJhbGdvcml0aG0iOiAiSE1BQy1TSEEyNTYiLCAiaX\
                    NzdWVkX2F0IjogMTgwMDAwMDAwMCwgInVzZXJfaWQiOiAiMTAxNTgifQ";
    for (provider, form, status) in [("naver", naver, 204), ("facebook", facebook, 200)] {
        for prefix in ["", "/e"] {
            let path = format!("{prefix}/oauth/webhooks/{provider}");
            let response = gateway.call("POST", &path, &[FORM], form.as_bytes());
            assert_eq!((response.status, response.text().as_str()), (status, ""), "{provider}");
        }
        let forged = form.replace("AAECAwQ", "AAECAwR").replace("ZCI6", "ZCI7").replace("MTAxNTgifQ", "MTAxNTkifQ");
        assert_ne!(form, forged);
        notify(&gateway, provider, &[FORM], &forged).expect_problem(403, "notice_not_verified");
        let twice = format!("{form}&{form}");
        notify(&gateway, provider, &[FORM], &twice).expect_problem(400, "malformed_request");
        notify(&gateway, provider, &[FORM], "a=b").expect_problem(400, "malformed_request");
        notify(&gateway, provider, &[FORM], "").expect_problem(400, "malformed_request");
        notify(&gateway, provider, &[("Content-Type", "text/plain")], form)
            .expect_problem(415, "unsupported_media_type");
        let long = format!("{form}&more={}", "a".repeat(256 * 1024));
        notify(&gateway, provider, &[FORM], &long).expect_problem(413, "body_too_large");
    }
    gateway.is_unharmed();
}

#[test]
fn revoking_our_github_app_revokes_the_grant() {
    let github = kakao();
    let [token, userinfo] = ["token", "userinfo"].map(|endpoint| format!("{github}/{endpoint}"));
    let gateway = gateway(&[
        ("GITHUB_WEBHOOK_SECRET", "s3cret-webhook"),
        ("GITHUB_TOKEN_URL", &token),
        ("GITHUB_USERINFO_URL", &userinfo),
        ("GITHUB_EMAILS_URL", &userinfo),
    ]);
    let request = json!({"provider": "github", "code": "583231", "code_verifier": "v".repeat(43)});
    let signed_in = gateway.post("/oauth", &request).expect(200).json();
    let token = signed_in["tokens"]["access_token"].as_str().unwrap();
    let path = format!("/oauth/{}", signed_in["id"].as_str().unwrap());
    let body = r#"{"action":"revoked","sender":{"login":"octocat","id":583231}}"#;
    // Made with OpenSSL.
    let signature = "sha256=e07c064aad3c90c5fae8efe64eff218e3394570b74ee3d72e16724b949c2c693";
    let deliver = |event: &str, signature: &str| {
        let headers = [
            ("Content-Type", "application/json"),
            ("X-GitHub-Event", event),
            ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("X-Hub-Signature-256", signature),
        ];
        gateway.call("POST", "/oauth/webhooks/github", &headers, body.as_bytes())
    };
    deliver("github_app_authorization", &signature.replace("sha256=", "sha256=0"))
        .expect_problem(403, "notice_not_verified");
    assert_eq!(deliver("ping", signature).expect(200).text(), "");
    gateway.get_with_token(&path, token).expect(200);
    assert_eq!(deliver("github_app_authorization", signature).expect(200).text(), "");
    eventually("the notice is worked off", || gateway.get_with_token(&path, token).status == 409);
    gateway.is_unharmed();
}

#[test]
fn providers_without_events_have_no_receiver_and_invalid_events_are_refused() {
    let gateway = gateway(&[("KAKAO_SSE_URL", "http://127.0.0.1:1/events")]);
    let event = ("Content-Type", "application/secevent+jwt");
    let send = |provider: &str, content_type, body: &[u8]| {
        gateway.call("POST", &format!("/oauth/events/{provider}"), &[content_type], body)
    };
    // Google is off.
    for provider in ["google", "naver", "facebook", "github", "stand-in", "nobody", "Kakao"] {
        send(provider, event, b"a.b.c").expect_problem(404, "not_found");
    }
    let refused = send("kakao", event, b"\xff.b.c").expect(400);
    assert_eq!(
        (refused.header("content-type"), refused.header("content-language")),
        (Some("application/json; charset=utf-8"), Some("en"))
    );
    let refused = refused.json();
    assert_eq!(refused["err"], "invalid_request");
    assert!(refused["description"].as_str().unwrap().contains("must be a security event token"), "{refused}");
    send("kakao", ("Content-Type", "application/json"), b"{}").expect_problem(415, "unsupported_media_type");
    send("kakao", event, &vec![b'a'; 300 * 1024]).expect_problem(413, "body_too_large");
    // The keys cannot be fetched: the sender should repeat it.
    send("kakao", event, b"e30.e30.e30").expect(400);
    send("kakao", event, b"eyJhbGciOiJSUzI1NiJ9.e30.AAAA").expect_problem(503, "provider_unavailable");
    gateway.is_unharmed();
}

#[test]
fn providers_without_notices_have_no_webhook() {
    let gateway = gateway(&[]);
    // Kakao has one only with the admin key, GitHub only with the webhook secret.
    for provider in ["kakao", "github", "stand-in", "nobody", "Naver", "providers"] {
        notify(&gateway, provider, &[FORM, KNOWN], "user_id=1").expect_problem(404, "not_found");
        let query = format!("/oauth/webhooks/{provider}?user_id=1");
        gateway.call("GET", &query, &[KNOWN], b"").expect_problem(404, "not_found");
    }
    gateway.call("DELETE", "/oauth/webhooks/naver", &[], b"").expect_problem(405, "method_not_allowed");
    gateway.is_unharmed();
}
