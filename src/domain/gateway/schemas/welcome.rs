//! The welcome over the wire.

use poem_openapi::Object;

/// Where you are, and where to go from here.
#[derive(Debug, Clone, Object)]
pub struct Welcome {
    /// Where you are.
    pub message: String,
    /// Swagger UI: everything that can be called.
    pub docs: String,
    /// The OpenAPI document.
    pub openapi: String,
    /// Whether the gateway is ready.
    pub health: String,
    /// Where people sign in.
    pub login: String,
    /// A call that goes through to a service.
    pub try_it: String,
}

impl Welcome {
    /// The welcome to the gateway of `domain`.
    pub fn to(domain: &str) -> Self {
        Self {
            message: format!("Welcome to the gateway of {domain}"),
            docs: "/docs".into(),
            openapi: "/openapi.json".into(),
            health: "/readyz".into(),
            login: "/login".into(),
            try_it: "/api/users".into(),
        }
    }

    /// The same to somebody who came by a prefix: all else is there, too.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Self {
        let at = |path: &String| format!("{prefix}{path}");
        Self {
            message: self.message.clone(),
            docs: at(&self.docs),
            openapi: at(&self.openapi),
            health: at(&self.health),
            login: at(&self.login),
            try_it: at(&self.try_it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_domain() {
        assert_eq!(Welcome::to("www.jinmini.com").message, "Welcome to the gateway of www.jinmini.com");
    }
}
