//! The response of `GET /`.

use poem_openapi::Object;

/// The welcome, with links to the rest of the API.
#[derive(Debug, Clone, Object)]
pub struct Welcome {
    /// Name of this gateway, for people.
    pub message: String,
    /// Path of Swagger UI.
    pub docs: String,
    /// Path of the OpenAPI document.
    pub openapi: String,
    /// Path of the readiness check.
    pub health: String,
    /// Path of the sign-in page.
    pub login: String,
    /// Path of an example call to a service.
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

    /// The welcome with its paths under a prefix, where the whole API is served, too.
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
