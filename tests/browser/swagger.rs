//! Swagger, used like a person would.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use serde_json::Value;

use super::driver::Browser;

/// The result of one call.
pub(crate) struct Call {
    pub(crate) url: String,
    pub(crate) curl: String,
    pub(crate) status: String,
    pub(crate) body: String,
}

impl Call {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

pub(crate) struct Swagger<'a>(pub(crate) &'a Browser);

impl<'a> Swagger<'a> {
    /// Opens the page and waits until its operations are shown.
    #[track_caller]
    pub(crate) fn open(browser: &'a Browser, url: &str) -> Self {
        browser.open(url);
        let swagger = Self(browser);
        browser.wait_for("the list of operations", || (!swagger.operations().is_empty()).then_some(()));
        swagger
    }

    /// `POST /tokens/create` and so on, as listed.
    pub(crate) fn operations(&self) -> Vec<String> {
        let script = "return [...document.querySelectorAll('.opblock-summary')].map(line => \
                      line.querySelector('.opblock-summary-method').innerText + ' ' + \
                      line.querySelector('.opblock-summary-path').dataset.path)";
        let listed = self.0.script(script);
        listed.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    /// Expands an operation and presses *Try it out*.
    #[track_caller]
    pub(crate) fn try_it_out(&self, operation: &str) {
        self.0.click(&format!("{} .opblock-summary-control", block(operation)));
        self.0.click(&format!("{} .try-out__btn", block(operation)));
    }

    /// Replaces the request body with a pasted one.
    #[track_caller]
    pub(crate) fn paste_body(&self, operation: &str, body: &str) {
        self.0.paste_into(&format!("{} textarea.body-param__text", block(operation)), body);
    }

    /// Replaces the request body, key by key.
    #[track_caller]
    pub(crate) fn type_body(&self, operation: &str, body: &str) {
        self.0.type_into(&format!("{} textarea.body-param__text", block(operation)), body);
    }

    /// Fills in a parameter.
    #[track_caller]
    pub(crate) fn fill_in(&self, operation: &str, parameter: &str, value: &str) {
        self.0.type_into(&format!("{} tr[data-param-name='{parameter}'] input", block(operation)), value);
    }

    /// Chooses the media type of the request body.
    #[track_caller]
    pub(crate) fn choose_media_type(&self, operation: &str, media_type: &str) {
        self.0.click(&format!("{} .body-param-content-type option[value='{media_type}']", block(operation)));
    }

    /// Presses *Execute* and reads the result.
    #[track_caller]
    pub(crate) fn execute(&self, operation: &str) -> Call {
        self.0.click(&format!("{} .execute", block(operation)));
        self.0.wait_for(&format!("an answer to {operation}"), || {
            let shown = |css: &str| self.0.text_of(&format!("{} .responses-inner {css}", block(operation)));
            Some(Call {
                status: shown(".live-responses-table tbody .response-col_status")?,
                body: shown(".live-responses-table .highlight-code pre")?,
                curl: shown("pre.curl")?,
                url: shown(".request-url pre")?,
            })
        })
    }

    /// Clears the last response, so that the next one cannot be confused with it.
    #[track_caller]
    pub(crate) fn clear(&self, operation: &str) {
        self.0.click(&format!("{} .btn-clear", block(operation)));
        let table = format!("{} .live-responses-table", block(operation));
        self.0.wait_for("the answer is gone", || self.0.text_of(&table).is_none().then_some(()));
    }

    /// *Authorize*, paste, *Authorize*, *Close*.
    #[track_caller]
    pub(crate) fn authorize(&self, token: &str) {
        self.0.click(".auth-wrapper .btn.authorize");
        self.0.wait_for("the cursor where the token goes", || {
            (self.0.script("return document.activeElement.id") == "auth-bearer-value").then_some(())
        });
        self.0.paste_into("#auth-bearer-value", token);
        self.0.click(".auth-container button[type=submit]");
        self.0.click(".auth-container .btn-done");
        self.0.wait_for("authorized", || self.0.text_of(".auth-wrapper .btn.authorize.locked").map(drop));
    }
}

fn block(operation: &str) -> String {
    format!(".opblock[id$='-{operation}']")
}
