//! Signing in with Apple: the browser returns with a form, from another site.

use crate::{
    certificate::Certificate,
    common::{Gateway, stand_in::StandIn},
    driver::Browser,
};

/// The example of RFC 6979 §A.2.5, the gateway's key at the stand-in.
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\\n\
    MIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHkwdwIBAQQgya+p2EW6dRZrXCFX\\n\
    Z7HWk05Qw9s26JsSe4piKxIPZyGgCgYIKoZIzj0DAQehRANCAARg/tS6JVqdMclh\\n\
    63TGNW1owEm4kjth+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXej\\n\
    wpTURiKZ\\n-----END PRIVATE KEY-----";

/// A gateway on localhost, and a stand-in for Apple at 127.0.0.1, which is another site for a browser.
struct Scene {
    gateway: Gateway,
    /// The gateway that started the stand-in.
    _other: Gateway,
    browser: Browser,
    origin: String,
    apple: String,
}

impl Scene {
    fn start() -> Self {
        Self::with("http", &[], Browser::start())
    }

    fn with(scheme: &str, more: &[(&str, &str)], browser: Browser) -> Self {
        let other = Gateway::start();
        let apple = format!("http://{}/apple/", StandIn::of(&other).address);
        let [authorize, token, revoke, keys] =
            ["authorize", "token", "revoke", "keys"].map(|path| format!("{apple}{path}"));
        let settings = [
            ("APPLE_CLIENT_ID", "com.example.stand-in"),
            ("APPLE_TEAM_ID", "STANDIN001"),
            ("APPLE_KEY_ID", "STANDINKEY"),
            ("APPLE_PRIVATE_KEY", PRIVATE_KEY),
            ("APPLE_AUTHORIZE_URL", &authorize),
            ("APPLE_TOKEN_URL", &token),
            ("APPLE_REVOKE_URL", &revoke),
            ("APPLE_JWKS_URL", &keys),
        ];
        let gateway = Gateway::on_localhost_with(&[&settings, more].concat());
        let origin = format!("{scheme}://localhost:{}", gateway.address.port());
        Self { gateway, _other: other, browser, origin, apple }
    }

    #[track_caller]
    fn arrives_at(&self, path: &str, words: &str) {
        let page = format!("{}{path}", self.origin);
        self.browser.wait_for(&format!("{words} at {page}"), || {
            (self.browser.url() == page && self.browser.page_text().contains(words)).then_some(())
        });
    }

    /// Opens a page with a link to Apple, and follows that.
    #[track_caller]
    fn goes_to_apple(&self, page: &str, link: &str) {
        self.browser.open(&format!("{}{page}", self.origin));
        self.browser.click_link(link);
        self.is_at_apple();
    }

    #[track_caller]
    fn is_at_apple(&self) {
        self.browser.wait_for("Apple's page", || self.browser.text_of("button[value=alice]").map(drop));
        assert!(self.browser.url().starts_with(&self.apple), "{}", self.browser.url());
    }

    /// The callback is a form and a navigation, and no URL contains the code or the name.
    #[track_caller]
    fn came_back_by_form(&self) {
        let requests = self.browser.requests();
        let callback = format!("{}/login/apple/callback", self.origin);
        let came: Vec<_> = requests.iter().filter(|url| url.starts_with(&callback)).collect();
        assert!(came.len() == 2 && *came[0] == callback, "{requests:?}");
        assert!(came[1].starts_with(&format!("{callback}?posted=")), "{requests:?}");
        assert!(!requests.iter().any(|url| url.contains("code=") || url.contains("Alice")), "{requests:?}");
    }
}

fn signs_in_again_and_out(scene: &Scene) {
    let link = "Apple(으)로 로그인 · Sign in with Apple";
    scene.goes_to_apple("/login?return_to=%2Fsession", link);
    scene.browser.requests();
    scene.browser.click("button[value=alice]");
    scene.arrives_at("/session", "Signed in as Alice");
    scene.came_back_by_form();
    // The second time Apple sends no name.
    scene.goes_to_apple("/login?return_to=%2Fsession", link);
    scene.browser.click("button[value=alice]");
    scene.arrives_at("/session", "Signed in as Alice");
    // Another person, who hides their address: the session is theirs from now on.
    scene.goes_to_apple("/login?return_to=%2Fsession", link);
    scene.browser.click("button[value=carol]");
    scene.arrives_at("/session", "carol@privaterelay.appleid.com · 비공개 릴레이 · private relay");
    scene.goes_to_apple("/login?return_to=%2Fsession", link);
    scene.browser.click("button[name=cancel]");
    scene.browser.wait_for("why nobody is signed in", || {
        scene.browser.page_text().contains("you did not agree at the provider").then_some(())
    });
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_signs_in_with_apple_on_localhost() {
    let scene = Scene::start();
    signs_in_again_and_out(&scene);
    scene.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_signs_in_with_apple_by_tls() {
    let certificate = Certificate::of_localhost();
    let scene = Scene::with("https", &certificate.settings(), Browser::that_trusts_anybody());
    signs_in_again_and_out(&scene);
    assert!(!scene.gateway.console().contains("ERROR"), "{}", scene.gateway.console());
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn apple_is_added_to_the_account_that_is_signed_in() {
    let scene = Scene::start();
    scene.browser.open(&format!("{}/signup?return_to=%2Fsession", scene.origin));
    scene.browser.type_into("#email", "mina@example.com");
    scene.browser.type_into("#password", "correct horse battery staple");
    scene.browser.click("form button");
    scene.arrives_at("/session", "mina@example.com");
    scene.browser.click_link("Apple 로그인 추가 · Add Apple to this account");
    scene.browser.type_into("#password", "correct horse battery staple");
    scene.browser.click("form button");
    scene.is_at_apple();
    scene.browser.requests();
    scene.browser.click("button[value=alice]");
    scene.arrives_at("/session", "Alice · alice@example.com");
    scene.came_back_by_form();
    assert!(scene.browser.page_text().contains("mina@example.com"), "{}", scene.browser.page_text());
    scene.gateway.is_unharmed();
}
