//! The cookies of the gateway: their names, and how they are written and read (RFC 6265). All apply to the whole host,
//! and scripts cannot read them. Requests from other sites carry them only when a person follows a link.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::domain::gateway::models::{http::credential, login::MAX_ATTEMPTS};

/// The names and attributes of cookies.
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    is_secure: bool,
}

const SESSION: &str = "gateway_session";
const DEVICE: &str = "gateway_device";
const LOGIN: &str = "gateway_login_";

impl Cookies {
    /// `is_secure`: browsers reach the gateway by https. Then no other host and no plain connection can set the gateway's
    /// cookies (`__Host-`).
    pub fn new(is_secure: bool) -> Self {
        Self { is_secure }
    }

    /// The name of the session's cookie.
    pub fn session(self) -> String {
        self.name(SESSION)
    }

    /// The name of the cookie that identifies a browser that has signed in before.
    pub fn device(self) -> String {
        self.name(DEVICE)
    }

    /// The name of the cookie of an attempt to sign in. There are only [`MAX_ATTEMPTS`] names, so the `Cookie` header stays
    /// small however many attempts begin at once.
    pub fn login(self, slot: usize) -> String {
        self.name(&format!("{LOGIN}{slot}"))
    }

    /// The values of the request's cookies for attempts to sign in, by slot.
    pub fn logins(self, cookies: &[String]) -> [Option<&str>; MAX_ATTEMPTS] {
        std::array::from_fn(|slot| sent(cookies, &self.login(slot)))
    }

    fn name(self, bare: &str) -> String {
        if self.is_secure { format!("__Host-{bare}") } else { bare.to_owned() }
    }

    /// The `Set-Cookie` value that sets a cookie. The cookie's value has only letters, digits, `-`, `_` and `.`.
    pub fn keep(self, name: &str, value: &str, life: Duration) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", life.as_secs())
    }

    /// The `Set-Cookie` value that deletes a cookie.
    pub fn forget(self, name: &str) -> String {
        self.keep(name, "", Duration::ZERO)
    }
}

/// Encodes bytes for a cookie.
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes the bytes of a cookie.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The bytes in a cookie of the request, if it was sent and can be decoded.
pub fn sent_bytes(cookies: &[String], name: &str) -> Option<Vec<u8>> {
    decoded(sent(cookies, name)?)
}

/// The value of a cookie that was sent along.
pub fn sent<'s>(cookies: &'s [String], name: &str) -> Option<&'s str> {
    let value = credential::cookie(cookies.iter().map(String::as_bytes), name.as_bytes())?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_production_no_other_host_can_set_them() {
        let [plain, secure] = [Cookies::new(false), Cookies::new(true)];
        assert_eq!(
            (plain.session().as_str(), secure.session().as_str()),
            ("gateway_session", "__Host-gateway_session")
        );
        assert_eq!(
            secure.keep(&secure.session(), "v", Duration::from_mins(1)),
            "__Host-gateway_session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(plain.forget(&plain.login(3)), "gateway_login_3=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn they_are_found_among_others() {
        let headers = ["a=1; gateway_session=s; gateway_login_0=1".to_owned(), "gateway_login_3=2;b".to_owned()];
        let cookies = Cookies::new(false);
        assert_eq!(sent(&headers, &cookies.session()), Some("s"));
        assert_eq!(sent(&headers, &Cookies::new(true).session()), None);
        assert_eq!(cookies.logins(&headers), [Some("1"), None, None, Some("2"), None]);
        assert_eq!(Cookies::new(true).logins(&headers), [None; MAX_ATTEMPTS]);
        assert_eq!(sent(&[], "a"), None);
    }
}
