//! Facebook's data deletion callback through the real binary, and the page about its progress.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::json;

use crate::{
    FORM,
    common::{Gateway, Response, eventually},
    gateway, kakao,
};

const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml");

/// Signs like Facebook.
fn signed(person: &str) -> String {
    // Later than any grant of this test: it counts as now.
    let payload = json!({"algorithm": "HMAC-SHA256", "issued_at": 4_000_000_000_u64, "user_id": person});
    let payload = BASE64.encode(payload.to_string());
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"s3cret/client"), payload.as_bytes());
    format!("signed_request={}.{payload}", BASE64.encode(signature))
}

fn ask(gateway: &Gateway, provider: &str, form: &str) -> Response {
    gateway.call("POST", &format!("/oauth/webhooks/{provider}/deletion"), &[FORM], form.as_bytes())
}

#[test]
fn a_deletion_at_facebook_is_carried_out_here_and_shows_its_progress() {
    let facebook = kakao();
    let [token, userinfo] = ["token", "userinfo"].map(|endpoint| format!("{facebook}/{endpoint}"));
    let gateway = gateway(&[("FACEBOOK_TOKEN_URL", &token), ("FACEBOOK_USERINFO_URL", &userinfo)]);
    let request = json!({"provider": "facebook", "code": "10158"});
    let signed_in = gateway.post("/oauth", &request).expect(200).json();
    let access = signed_in["tokens"]["access_token"].as_str().unwrap();
    gateway.get_with_token("/api/users/me", access).expect(200);

    ask(&gateway, "facebook", &signed("10158").replace("signed_request=", "signed_request=A"))
        .expect_problem(403, "notice_not_verified");
    ask(&gateway, "facebook", "signed_request=").expect_problem(400, "malformed_request");
    ask(&gateway, "facebook", "").expect_problem(400, "malformed_request");
    for provider in ["naver", "kakao", "github", "nobody"] {
        ask(&gateway, provider, &signed("10158")).expect_problem(404, "not_found");
    }
    let asked = ask(&gateway, "facebook", &signed("10158")).expect(200).json();
    let code = asked["confirmation_code"].as_str().unwrap();
    assert_eq!(asked["url"], format!("https://www.jinmini.com/oauth/deletions/{code}"));
    assert_eq!(code.len(), 22);

    let path = format!("/oauth/deletions/{code}");
    eventually("it is done", || gateway.get(&path).expect(200).json()["status"] == "done");
    let status = gateway.get(&path).json();
    assert!(status["received_at"].as_str().unwrap() <= status["done_at"].as_str().unwrap(), "{status}");
    for path in [path.clone(), format!("/e{path}")] {
        let page = gateway.call("GET", &path, &[PAGE], b"").expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let page = page.text();
        assert!(
            page.contains("The deletion is complete") && page.contains("삭제가 끝났습니다") && !page.contains("10158"),
            "{page}"
        );
    }
    // Facebook was the only way to sign in.
    eventually("the token is refused", || gateway.get_with_token("/api/users/me", access).status == 401);
    let again = gateway.post("/oauth", &request).expect(200).json();
    assert_ne!(again["id"], signed_in["id"], "whoever comes back is somebody new");

    for unknown in ["1111111111111111111111", "x", &code[1..]] {
        let path = format!("/oauth/deletions/{unknown}");
        gateway.get(&path).expect_problem(404, "deletion_not_found");
        let page = gateway.call("GET", &path, &[PAGE], b"").expect(404);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.text().contains("이 코드의 삭제 요청이 없거나"), "{}", page.text());
    }
    gateway.is_unharmed();
}
