//! A headless Chromium, driven over `WebDriver` (<https://www.w3.org/TR/webdriver2/>). Both programs end with the test,
//! also when it panics, and all their files are in a folder that is deleted afterwards.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::common::{self, PATIENCE, Response};

/// A name that the browser resolves to the gateway's address. Swagger behaves differently for a public name than for
/// localhost.
pub(crate) const PUBLIC_NAME: &str = "gateway.test";

const DEBIAN_CHROMIUM: &str = "/usr/bin/chromium";
const TO_INSTALL: &str =
    "please install chromium and chromium-driver (Debian: apt-get install chromium chromium-driver)";

/// The key of an element's id in `WebDriver`'s JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The errors of a page that is being redrawn; a person would try again.
const UNSETTLED: [&str; 4] =
    ["no such element", "element click intercepted", "element not interactable", "stale element reference"];

/// One of the window's tabs.
pub(crate) struct Tab(String);

/// One window with an empty profile.
pub(crate) struct Browser {
    driver: Driver,
    session: String,
}

impl Browser {
    pub(crate) fn start() -> Self {
        Self::with(false)
    }

    /// A browser that accepts self-signed certificates.
    pub(crate) fn that_trusts_anybody() -> Self {
        Self::with(true)
    }

    fn with(trusts_anybody: bool) -> Self {
        let driver = Driver::start();
        let profile = driver.folder.path().join("profile");
        let mut options = json!({"args": [
            "--headless",
            "--no-sandbox", // it does not start as root with one, as in a container
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--window-size=1280,1000",
            // No other host can be reached, whatever a page requests.
            format!(
                "--host-resolver-rules=MAP {PUBLIC_NAME} 127.0.0.1,MAP * ~NOTFOUND,EXCLUDE 127.0.0.1,EXCLUDE localhost"
            ),
            format!("--user-data-dir={}", profile.display()),
        ]});
        // On other systems than Debian the driver finds its browser by itself.
        if Path::new(DEBIAN_CHROMIUM).exists() {
            options["binary"] = DEBIAN_CHROMIUM.into();
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": trusts_anybody,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "goog:chromeOptions": options,
        }}});
        let session = driver
            .command("POST", "/session", &capabilities)
            .unwrap_or_else(|error| panic!("the browser did not start: {error}\n{TO_INSTALL}"));
        let browser = Self { driver, session: format!("/session/{}", session["sessionId"].as_str().unwrap()) };
        // A new window first shows a page of the browser itself.
        browser.open("about:blank");
        browser.requests();
        browser.complaints();
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url})).unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    pub(crate) fn url(&self) -> String {
        text(&self.get("/url"))
    }

    /// The visible text of the whole page.
    pub(crate) fn page_text(&self) -> String {
        text(&self.script("return document.body.innerText"))
    }

    /// The visible text of the first such element; empty if there is none.
    pub(crate) fn text_of(&self, css: &str) -> Option<String> {
        self.script_with("return document.querySelector(arguments[0])?.innerText", &json!([css]))
            .as_str()
            .map(str::to_owned)
    }

    /// The current tab.
    pub(crate) fn tab(&self) -> Tab {
        Tab(text(&self.get("/window")))
    }

    /// Opens another tab and switches to it.
    pub(crate) fn open_tab(&self) {
        let opened = self.post("/window/new", &json!({"type": "tab"})).unwrap();
        self.look_at(&Tab(text(&opened["handle"])));
    }

    pub(crate) fn look_at(&self, tab: &Tab) {
        self.post("/window", &json!({"handle": tab.0})).unwrap();
    }

    /// Sets the width of the pages; a phone has 360 or so.
    pub(crate) fn set_width(&self, width: u32) {
        let metrics = json!({"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": true});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        self.post("/goog/cdp/execute", &command).unwrap();
    }

    /// Adds these headers to every request of a page.
    pub(crate) fn send_along(&self, headers: &Value) {
        let command = json!({"cmd": "Network.setExtraHTTPHeaders", "params": {"headers": headers}});
        self.post("/goog/cdp/execute", &command).unwrap();
    }

    /// Presses keys in the focused element.
    pub(crate) fn press_keys(&self, keys: &str) {
        let keys = keys.chars().map(|key| key.to_string());
        let actions: Vec<_> =
            keys.flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key}))).collect();
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})).unwrap();
    }

    /// Clicks as soon as the element is clickable.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        self.on_element(css, "click", |element| self.post(&format!("{element}/click"), &json!({})));
    }

    /// Clicks a link by its text.
    #[track_caller]
    pub(crate) fn click_link(&self, words: &str) {
        let link = self.post("/element", &json!({"using": "link text", "value": words}));
        let link = link.unwrap_or_else(|error| self.fail(&format!("no link {words}: {error}")));
        self.post(&format!("/element/{}/click", text(&link[ELEMENT])), &json!({})).unwrap();
    }

    /// Replaces the content of a field, key by key.
    #[track_caller]
    pub(crate) fn type_into(&self, css: &str, words: &str) {
        self.empty(css);
        self.press(css, words);
        self.wait_for_value(css, words);
    }

    /// Replaces the content of a field, all at once.
    #[track_caller]
    pub(crate) fn paste_into(&self, css: &str, words: &str) {
        self.empty(css);
        self.post("/goog/cdp/execute", &json!({"cmd": "Input.insertText", "params": {"text": words}})).unwrap();
        self.wait_for_value(css, words);
    }

    #[track_caller]
    fn empty(&self, css: &str) {
        self.click(css);
        self.press(css, "\u{E009}a\u{E000}\u{E017}"); // Control and A, then nothing held, then Delete
        self.wait_for_value(css, "");
    }

    #[track_caller]
    fn press(&self, css: &str, keys: &str) {
        self.on_element(css, "type", |element| self.post(&format!("{element}/value"), &json!({"text": keys})));
    }

    #[track_caller]
    fn wait_for_value(&self, css: &str, wanted: &str) {
        self.wait_for(&format!("{wanted:?} in {css}"), || {
            let value = self.script_with("return document.querySelector(arguments[0]).value", &json!([css]));
            (value == wanted).then_some(())
        });
    }

    /// Waits until this returns a value.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > deadline {
                self.fail(what);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Goes back in the history, as the page itself may. The script ends first: chromedriver may run a command again when
    /// a navigation has interrupted it.
    pub(crate) fn go_back(&self) {
        self.script("setTimeout(() => history.back())");
    }

    pub(crate) fn go_forward(&self) {
        self.script("setTimeout(() => history.forward())");
    }

    pub(crate) fn script(&self, script: &str) -> Value {
        self.script_with(script, &json!([]))
    }

    /// Every URL that a page has requested since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        let events = self.log("performance");
        let events = events.iter().map(|entry| serde_json::from_str::<Value>(&text(&entry["message"])).unwrap());
        let requests = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        requests.map(|event| text(&event["message"]["params"]["request"]["url"])).collect()
    }

    /// Every warning and error in the page's console since the last call. Violations of a policy are included.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser");
        let bad = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| text(&entry["message"])).collect()
    }

    /// The console output of pages since the last call.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.log("browser");
        let written = entries.iter().filter(|entry| entry["source"] == "console-api");
        written.map(|entry| text(&entry["message"])).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", &json!({"type": kind})).unwrap().as_array().unwrap().clone()
    }

    fn script_with(&self, script: &str, arguments: &Value) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": arguments})).unwrap()
    }

    /// Retries until it succeeds.
    #[track_caller]
    fn on_element(&self, css: &str, what: &str, act: impl Fn(&str) -> Result<Value, String>) {
        self.wait_for(&format!("{what} {css}"), || {
            let found = self.post("/element", &json!({"using": "css selector", "value": css}));
            match found.and_then(|element| act(&format!("/element/{}", text(&element[ELEMENT])))) {
                Ok(_) => Some(()),
                Err(error) if UNSETTLED.iter().any(|known| error.starts_with(known)) => None,
                Err(error) => self.fail(&format!("{what} {css}: {error}")),
            }
        });
    }

    /// Describes the page, as text and as a picture.
    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{}.png", std::process::id()));
        let shot = BASE64_STANDARD.decode(text(&self.get("/screenshot"))).unwrap();
        std::fs::write(&picture, shot).unwrap();
        let page: String = self.page_text().chars().take(3000).collect();
        panic!("never came true: {what}\n{} ({}) shows:\n{page}", self.url(), picture.display());
    }

    fn get(&self, path: &str) -> Value {
        self.driver.command("GET", &format!("{}{path}", self.session), &Value::Null).unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.driver.command("POST", &format!("{}{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The response comes when the browser has ended. It may have crashed before; the driver ends the rest.
        let _ = self.driver.command("DELETE", &self.session, &Value::Null);
    }
}

/// chromedriver. It is killed when dropped.
struct Driver {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Driver {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .envs(["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"].map(|name| (name, folder.path())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| match error.kind() {
                ErrorKind::NotFound => panic!("there is no chromedriver: {TO_INSTALL}"),
                _ => panic!("chromedriver: {error}"),
            });
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        // "ChromeDriver was started successfully on port 42117."
        let port =
            lines.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        // Further output must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let Some(port) = port else {
            let _ = process.kill();
            panic!("chromedriver did not start: {:?}; {TO_INSTALL}", process.wait());
        };
        Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), folder }
    }

    /// The value of the response, or `error: message`.
    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = exchange(self.address, method, path, &body);
        let value = response.json()["value"].take();
        if response.status == 200 {
            Ok(value)
        } else {
            Err(format!("{}: {}", text(&value["error"]), text(&value["message"])))
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One request. chromedriver leaves the connection open, so the response ends at its declared length.
fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> Response {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let json = "Content-Type: application/json; charset=utf-8";
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{json}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let read = reader.read_until(b'\n', &mut bytes).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_ne!(read, 0, "chromedriver has ended: {method} {path}");
    }
    let length = common::parse(&bytes).header("content-length").unwrap().parse().unwrap();
    reader.take(length).read_to_end(&mut bytes).unwrap();
    common::parse(&bytes)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
