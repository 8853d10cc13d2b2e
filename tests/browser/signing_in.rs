//! Signing in like a person would, at the stand-in provider of a plain `cargo run`.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::{
    certificate::Certificate,
    common::{Gateway, eventually, stand_in::StandIn},
    driver::Browser,
    swagger::Swagger,
};

/// A browser in front of a gateway.
struct Scene {
    gateway: Gateway,
    browser: Browser,
    origin: String,
}

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

impl Scene {
    fn start() -> Self {
        let gateway = Gateway::on_localhost();
        let origin = format!("http://localhost:{}", gateway.address.port());
        Self { gateway, browser: Browser::start(), origin }
    }

    /// A gateway that accepts calls from pages of another origin.
    fn allowing(origin: &str) -> Self {
        let gateway = Gateway::on_localhost_with(&[("ALLOWED_ORIGINS", origin)]);
        let origin = format!("http://localhost:{}", gateway.address.port());
        Self { gateway, browser: Browser::start(), origin }
    }

    fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.origin));
    }

    /// Waits for a page of the gateway that shows this text.
    #[track_caller]
    fn arrives_at(&self, path: &str, words: &str) {
        let page = format!("{}{path}", self.origin);
        self.browser.wait_for(&format!("{words} at {page}"), || {
            (self.browser.url() == page && self.browser.page_text().contains(words)).then_some(())
        });
    }

    /// Waits for the stand-in provider's page.
    #[track_caller]
    fn arrives_at_the_provider(&self) {
        self.browser.wait_for("the provider's page", || self.browser.text_of("button[value=alice]").map(drop));
    }

    /// Follows the links from the welcome page to the provider.
    #[track_caller]
    fn leaves_for_the_provider(&self) {
        self.open("/");
        self.browser.click_link("로그인 · Sign in");
        self.arrives_at("/login?return_to=%2Fsession", "Sign in with Stand-in");
        self.browser.click_link("Stand-in(으)로 로그인 · Sign in with Stand-in");
        self.arrives_at_the_provider();
    }

    /// Follows a sign-in link that redirects at once.
    fn goes_to_the_provider(&self, link: &str) {
        self.open(link);
        self.arrives_at_the_provider();
    }

    #[track_caller]
    fn signs_in_as_alice(&self) {
        self.leaves_for_the_provider();
        self.browser.click("button[value=alice]");
        self.arrives_at("/session", "Signed in as Alice");
    }

    #[track_caller]
    fn signs_in_under_the_name(&self, name: &str) {
        self.leaves_for_the_provider();
        self.browser.type_into("#name", name);
        self.browser.click("#name + button");
        self.arrives_at("/session", &format!("Signed in as {name}"));
    }

    #[track_caller]
    fn signs_out(&self) {
        self.browser.click("form[action=logout] button");
        self.arrives_at("/", "Welcome to the gateway");
        self.open("/session");
        self.arrives_at("/login?return_to=%2Fsession", "Sign in with Stand-in");
    }

    #[track_caller]
    fn nothing_was_complained_about(&self) {
        assert_eq!(self.browser.complaints(), [""; 0]);
        self.gateway.is_unharmed();
    }

    /// As above, after a document that is no page, which makes the browser request an icon.
    #[track_caller]
    fn nothing_but_an_icon_was_complained_about(&self) {
        let mut complaints = self.browser.complaints();
        complaints.retain(|complaint| !complaint.contains("/favicon.ico"));
        assert_eq!(complaints, [""; 0]);
        self.gateway.is_unharmed();
    }
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_signs_in_uses_the_vault_in_swagger_and_signs_out() {
    let scene = Scene::start();
    scene.signs_in_as_alice();
    assert!(scene.browser.page_text().contains("Alice · alice@example.com"), "{}", scene.browser.page_text());
    scene.browser.click_link("Swagger");
    scene.arrives_at("/docs", "Sign in");

    // Never *Authorize*: the browser sends the session by itself.
    let swagger = Swagger::open(&scene.browser, &format!("{}/docs", scene.origin));
    swagger.try_it_out("list_oauth_grants");
    let listed = swagger.execute("list_oauth_grants");
    assert_eq!(listed.status, "200", "{}", listed.body);
    assert!(!listed.curl.contains("Authorization"), "{}", listed.curl);
    let grants = listed.json();
    assert_eq!(grants["grants"].as_array().unwrap().len(), 1, "{grants}");
    let grant = |call: &str| -> Value {
        swagger.try_it_out(call);
        swagger.fill_in(call, "id", grants["grants"][0]["id"].as_str().unwrap());
        let response = swagger.execute(call);
        assert_eq!(response.status, "200", "{call}: {}", response.body);
        response.json()
    };
    let found = grant("get_oauth_grant");
    let refreshed = grant("refresh_oauth_grant");
    assert!(found["access_token"].is_string() && refreshed["access_token"].is_string(), "{found} {refreshed}");
    assert_ne!(found["access_token"], refreshed["access_token"]);
    assert_eq!(grant("delete_oauth_grant"), json!({"revoked_at_provider": true}));
    swagger.clear("list_oauth_grants");
    assert_eq!(swagger.execute("list_oauth_grants").json()["grants"], json!([]));

    swagger.try_it_out("get_session");
    assert_eq!(swagger.execute("get_session").json()["name"], "Alice");

    scene.open("/session");
    scene.signs_out();
    scene.nothing_was_complained_about();
}

/// The other gateway's stand-in provider imitates these providers.
#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_signs_in_at_naver_kakao_and_microsoft() {
    let scene = signs_in_at_each("http", &[], Browser::start());
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_signs_in_at_naver_kakao_and_microsoft_by_tls() {
    let certificate = Certificate::of_localhost();
    let scene = signs_in_at_each("https", &certificate.settings(), Browser::that_trusts_anybody());
    assert!(!scene.gateway.console().contains("ERROR"), "{}", scene.gateway.console());
}

fn signs_in_at_each(scheme: &str, more: &[(&str, &str)], browser: Browser) -> Scene {
    let host = Gateway::start();
    let settings = StandIn::of(&host).settings_of_others();
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let settings: Vec<_> = settings.chain(more.iter().copied()).collect();
    let gateway = Gateway::on_localhost_with(&settings);
    let origin = format!("{scheme}://localhost:{}", gateway.address.port());
    let scene = Scene { gateway, browser, origin };
    for name in ["Naver", "Kakao", "Microsoft"] {
        scene.open("/login?return_to=%2Fsession");
        scene.browser.click_link(&format!("{name}(으)로 로그인 · Sign in with {name}"));
        scene.arrives_at_the_provider();
        scene.browser.click("button[value=alice]");
        scene.arrives_at("/session", "Signed in as Alice");
        scene.browser.click("form[action=logout] button");
        scene.arrives_at("/", "Welcome to the gateway");
    }
    scene
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_second_tab_does_not_disturb_the_first() {
    let scene = Scene::start();
    let first = scene.browser.tab();
    scene.leaves_for_the_provider();
    scene.browser.open_tab();
    scene.signs_in_under_the_name("Bob");
    scene.browser.look_at(&first);
    scene.browser.click("button[value=alice]");
    scene.arrives_at("/session", "Signed in as Alice");
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn of_six_tabs_the_oldest_gives_way() {
    let scene = Scene::start();
    let oldest = scene.browser.tab();
    scene.goes_to_the_provider("/login/stand-in?return_to=%2Fsession");
    scene.browser.open_tab();
    let second = scene.browser.tab();
    scene.goes_to_the_provider("/login/stand-in?return_to=%2Fsession");
    scene.browser.open_tab();
    for _ in 0..4 {
        scene.goes_to_the_provider("/login/stand-in?return_to=%2Fsession");
    }
    scene.nothing_was_complained_about();
    scene.browser.look_at(&oldest);
    scene.browser.click("button[value=bob]");
    scene.browser.wait_for("why nobody is signed in", || {
        scene.browser.page_text().contains("this sign-in was not started in this browser").then_some(())
    });
    scene.browser.look_at(&second);
    scene.browser.click("button[value=alice]");
    scene.arrives_at("/session", "Signed in as Alice");
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn swagger_leads_to_the_sign_in_and_back() {
    let scene = Scene::start();
    for (docs, login) in [("/docs", "/login"), ("/e/docs", "/e/login")] {
        Swagger::open(&scene.browser, &format!("{}{docs}", scene.origin));
        let groups =
            scene.browser.script("return [...document.querySelectorAll('.opblock-tag')].map(it => it.dataset.tag)");
        assert_eq!(
            groups,
            json!([
                "Playground",
                "auth",
                "Tokens",
                "Sign in",
                "Accounts",
                "OAuth",
                "Machine clients",
                "Services",
                "Welcome",
                "Discovery",
                "Health"
            ])
        );
        let link = scene.browser.script(
            "return [...document.querySelectorAll('.information-container a')].find(it => it.innerText == 'sign in').href",
        );
        assert_eq!(link, json!(format!("{}{login}?return_to=%2Fdocs", scene.origin)));
        scene.browser.open(link.as_str().unwrap());
        scene.browser.click_link("Stand-in(으)로 로그인 · Sign in with Stand-in");
        scene.arrives_at_the_provider();
        scene.browser.click("button[value=alice]");
        scene.arrives_at("/docs", "List your grants");
    }
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn cancelling_is_explained_in_both_languages_and_can_be_retried() {
    let scene = Scene::start();
    scene.leaves_for_the_provider();
    scene.nothing_was_complained_about();
    scene.browser.click("button[name=cancel]");
    scene.browser.wait_for("why nobody is signed in", || {
        let page = scene.browser.page_text();
        ["로그인하지 못했습니다", "동의하지 않아", "The sign-in failed", "you did not agree"]
            .iter()
            .all(|words| page.contains(words))
            .then_some(())
    });
    // A browser reports every 403 by itself; the page has no errors of its own.
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("status of 403")), "{complaints:?}");
    scene.browser.click_link("다시 로그인 · Sign in again");
    scene.arrives_at("/login?return_to=%2Fsession", "Sign in with Stand-in");
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_name_is_text_and_fits_on_a_phone() {
    let scene = Scene::start();
    scene.browser.set_width(320);
    let unbroken = "W".repeat(100);
    for name in ["<script>alert(1)</script>한국", "\"><img src=x onerror=alert(1)>", "&lt;b&gt;", &unbroken] {
        scene.signs_in_under_the_name(name);
        let fits = scene.browser.script("return document.documentElement.scrollWidth <= window.innerWidth");
        assert_eq!(fits, json!(true), "{name} is wider than the screen");
        scene.signs_out();
    }
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_keyboard_is_enough() {
    let scene = Scene::start();
    // The focused element is outlined, so that it is visible.
    let press_at = |words: &str| {
        scene.browser.wait_for(&format!("the focus on {words}"), || {
            scene.browser.press_keys(TAB);
            let outlined = scene.browser.script(
                "const it = document.activeElement; return getComputedStyle(it).outlineStyle == 'none' ? '' : it.innerText",
            );
            outlined.as_str().unwrap().contains(words).then_some(())
        });
        scene.browser.press_keys(ENTER);
    };
    scene.open("/");
    press_at("Sign in");
    scene.arrives_at("/login?return_to=%2Fsession", "Sign in with Stand-in");
    press_at("Sign in with Stand-in");
    scene.arrives_at_the_provider();
    press_at("Alice");
    scene.arrives_at("/session", "Signed in as Alice");
    press_at("Sign out");
    scene.arrives_at("/", "Welcome to the gateway");
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn no_page_lets_itself_be_framed() {
    let scene = Scene::start();
    scene.signs_in_as_alice();
    scene.nothing_was_complained_about();
    for path in [
        "/",
        "/login",
        "/login/nobody",
        "/login/stand-in",
        "/login/stand-in/link",
        "/login/stand-in/callback",
        "/session",
        "/docs",
    ] {
        // The enclosing page is another site's, on this machine: a page from elsewhere may not load anything from this
        // machine.
        scene.browser.open(&format!("http://{}/api/users", scene.gateway.address));
        scene.browser.complaints();
        scene.browser.script(&format!(
            "const frame = document.createElement('iframe'); frame.src = '{}{path}'; document.body.append(frame)",
            scene.origin
        ));
        let complaint = scene.browser.wait_for(&format!("the complaint about a frame of {path}"), || {
            scene.browser.complaints().into_iter().find(|complaint| complaint.contains("frame-ancestors"))
        });
        assert!(complaint.contains("'none'"), "{complaint}");
    }
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_sees_their_tokens_in_the_console_and_they_open_a_route() {
    let scene = Scene::start();
    scene.signs_in_as_alice();
    scene.browser.console();
    scene.browser.click("#tokens");
    let seen = RefCell::new(Vec::new());
    let shown = scene.browser.wait_for("the tokens on the console", || {
        seen.borrow_mut().extend(scene.browser.console());
        let seen = seen.borrow();
        let find = |name: &str| {
            let line = seen.iter().find_map(|line| line.split_once(&format!("{name}: ")))?;
            Some(line.1.trim_end_matches('"').to_owned())
        };
        Some((find("access_token")?, find("refresh_token")?))
    });
    assert!(shown.1.starts_with("gwr_"), "{seen:?}");
    scene.gateway.get_with_token("/api/users/me", &shown.0).expect(200);

    // The same as a page's own script would do, or a person in the console.
    let opened = scene.browser.script(
        "return fetch('/session/token', {method: 'POST'}).then(it => it.json()).then(pair => \
           (console.log(JSON.stringify(pair)), fetch('/api/users/me', {headers: {Authorization: `Bearer ${pair.access_token}`}})) \
         ).then(async it => ({status: it.status, me: await it.json()}))",
    );
    let session = scene.browser.script("return fetch('/session').then(it => it.json())");
    assert_eq!((&opened["status"], &opened["me"]["subject"]), (&json!(200), &session["subject"]), "{opened}");
    let logged = scene.browser.console().concat();
    assert!(logged.contains("access_token") && logged.contains("refresh_token"), "{logged}");

    // No other script runs there, and no other host is contacted.
    scene.browser.script("const more = document.createElement('script'); more.textContent = 'window.ran = true'; document.body.append(more)");
    assert_eq!(scene.browser.script("return window.ran === true"), json!(false));

    scene.signs_out();
    scene.gateway.get_with_token("/api/users/me", &shown.0).expect_problem(401, "invalid_token");
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_page_of_an_allowed_origin_gets_tokens_and_another_does_not() {
    // Two ports of localhost are one site with two origins: the cookie is sent, and the rest is CORS.
    let pages = Gateway::on_localhost();
    let allowed = format!("http://localhost:{}", pages.address.port());
    let others = Gateway::on_localhost();
    let scene = Scene::allowing(&allowed);
    scene.signs_in_as_alice();
    let ask = format!(
        "return fetch('{}/session/token', {{method: 'POST', credentials: 'include', headers: {{'Content-Type': \
         'application/json'}}}}).then(it => it.json()).then(it => it.token_type, it => 'refused')",
        scene.origin
    );
    // A service behind the gateway, by the session alone, with a header that requires a preflight.
    let ask_service = format!(
        "return fetch('{}/api/users/me', {{credentials: 'include', headers: {{'X-Shop': '1'}}}}).then(it => it.json()).then(it => \
         it.email, it => 'refused')",
        scene.origin
    );
    for (page, outcome, served) in [(&pages, "Bearer", "alice@example.com"), (&others, "refused", "refused")] {
        // A page without a policy of its own that would block it.
        scene.browser.open(&format!("http://localhost:{}/api/users", page.address.port()));
        assert_eq!(scene.browser.script(&ask), json!(outcome));
        assert_eq!(scene.browser.script(&ask_service), json!(served));
    }
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_adds_a_provider_with_their_password_and_signs_in_with_it() {
    let scene = Scene::start();
    // A page without a policy of its own.
    scene.open("/api/users");
    let signed_up = scene.browser.script(
        "return fetch('/accounts/signup', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: \
         JSON.stringify({email: 'jane@example.com', password: 'correct horse', name: 'Jane'})}).then(it => it.status)",
    );
    assert_eq!(signed_up, json!(200));
    scene.open("/session");
    scene.browser.click_link("Stand-in 로그인 추가 · Add Stand-in to this account");
    scene.arrives_at("/login/stand-in/link?return_to=%2Fsession", "Add Stand-in to your account");
    scene.browser.type_into("input[name=password]", "correct horse");
    scene.nothing_but_an_icon_was_complained_about();
    scene.browser.click("form button");
    scene.arrives_at_the_provider();
    scene.browser.click("button[value=alice]");
    scene.arrives_at("/session", "Alice · alice@example.com");
    let account = scene.browser.script("return fetch('/session').then(it => it.json()).then(it => it.subject)");
    scene.signs_out();
    scene.leaves_for_the_provider();
    scene.browser.click("button[value=alice]");
    scene.arrives_at("/session", "Signed in as Jane");
    let again = scene.browser.script("return fetch('/session').then(it => it.json()).then(it => it.subject)");
    assert_eq!(again, account);
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_person_signs_up_and_in_with_a_password_and_ends_where_they_began() {
    let front_end = Gateway::on_localhost();
    let front_end = format!("http://localhost:{}", front_end.address.port());
    let scene = Scene::allowing(&front_end);
    scene.open(&format!("/login?return_to={front_end}/livez"));
    scene.browser.click_link("계정 만들기 · Create an account");
    scene.arrives_at(&format!("/signup?return_to={}", encoded(&format!("{front_end}/livez"))), "Create an account");
    scene.browser.type_into("#email", "mina@example.com");
    scene.browser.type_into("#name", "미나");
    scene.browser.type_into("#password", "correct horse");
    scene.nothing_was_complained_about();
    scene.browser.click("button.main");
    scene.browser.wait_for("the front end", || (scene.browser.url() == format!("{front_end}/livez")).then_some(()));

    scene.open("/");
    scene.arrives_at("/", "미나 님으로 로그인되어 있습니다. · You are signed in as 미나.");
    // Back from there, and again at the sign-in page: it names the signed-in person.
    scene.open("/login");
    scene.arrives_at("/login", "You are signed in as 미나.");
    scene.browser.click_link("계속하기 · Continue");
    scene.arrives_at("/", "You are signed in as 미나.");
    scene.browser.go_back();
    scene.arrives_at("/login", "You are signed in as 미나.");
    scene.browser.click("form[action=logout] button");
    scene.arrives_at("/", "Welcome to the gateway");
    scene.browser.complaints();

    scene.browser.click_link("로그인 · Sign in");
    scene.arrives_at("/login?return_to=%2Fsession", "Password");
    scene.browser.type_into("#email", "mina@example.com");
    scene.browser.type_into("#password", "wrong horse");
    scene.browser.press_keys(ENTER);
    scene.arrives_at("/login", "이메일 또는 비밀번호가 맞지 않습니다. · the e-mail or the password is wrong");
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("status of 401")), "{complaints:?}");
    scene.browser.type_into("#password", "correct horse");
    scene.browser.click("button.main");
    scene.arrives_at("/session", "Signed in as 미나");
    scene.nothing_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn going_back_to_the_provider_after_a_sign_in_leads_on() {
    let scene = Scene::start();
    scene.signs_in_as_alice();
    scene.browser.go_back();
    scene.arrives_at_the_provider();
    scene.browser.go_forward();
    scene.arrives_at("/session", "Signed in as Alice");
    scene.nothing_was_complained_about();
}

/// Encoded as the value of a parameter.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_page_full_of_sign_ins_leaves_the_browser_as_it_was() {
    // Another port of localhost is the same site: responses that it loads from the gateway may set cookies.
    let (pages, scene) = (Gateway::on_localhost(), Scene::start());
    scene.browser.open(&format!("http://localhost:{}/api/users", pages.address.port()));
    let responses = scene.browser.script(&format!(
        "return Promise.all([...Array(20).keys()].map(n => new Promise(done => {{ const image = new Image(); \
         image.onload = image.onerror = () => done(n); image.src = '{}/login/stand-in?return_to=/' + n + 'a'.repeat(480); }}))) \
         .then(all => all.length)",
        scene.origin
    ));
    assert_eq!(responses, json!(20));
    let refused = |line: &&str| line.contains(" /login/stand-in") && line.contains("  403 GET ");
    eventually("each of them was refused", || scene.gateway.console().lines().filter(refused).count() == 20);
    // A browser reports every 403 by itself.
    scene.browser.complaints();
    scene.signs_in_as_alice();
    scene.nothing_but_an_icon_was_complained_about();
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn no_page_of_another_site_makes_a_dummy_token() {
    let scene = Scene::start();
    // Another host, so another site. Plain text needs no preflight; the response cannot be read, and does not matter.
    scene.browser.open(&format!("http://{}/api/users", scene.gateway.address));
    scene.browser.script(&format!(
        "return fetch('{}/tokens/dummy', {{method: 'POST', mode: 'no-cors', body: 'typed elsewhere'}}).then(() => 1, () => 0)",
        scene.origin
    ));
    let verified = scene.gateway.post("/tokens/verify", &json!({"token": "typed elsewhere"})).expect(200).json();
    assert_eq!(verified["active"], json!(false));
}
