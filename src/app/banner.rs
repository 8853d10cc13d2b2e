//! The message after the start: addresses, development features, and first steps. In JSON format it is an ordinary line
//! of the log.

use std::net::SocketAddr;

use tracing::{field, info};

use crate::{
    app::{development::Helpers, logging},
    config::{Database, Environment, LogFormat, Settings},
    domain::gateway::models::service::{DeclaredService, ServiceUrl},
};

pub(super) fn show(settings: &Settings, address: SocketAddr, admin: SocketAddr, helpers: &Helpers) {
    match settings.log_format {
        LogFormat::Text => logging::stdout().push(text(settings, address, admin, helpers).as_bytes()),
        LogFormat::Json => log(settings, address, admin, helpers),
    }
}

fn log(settings: &Settings, address: SocketAddr, admin: SocketAddr, helpers: &Helpers) {
    let services: Vec<String> =
        settings.services.iter().map(|service| format!("{}: {}", service.name.as_str(), instances(service))).collect();
    info!(
        %address,
        admin_address = %admin,
        public_url = settings.public.base(),
        store = store(settings),
        services = services.join("; "),
        sample_service = helpers.sample_service.map(field::display),
        sign_in_by_hand = helpers.sign_in.as_ref().map(|sign_in| sign_in.url.as_str()),
        "the gateway serves"
    );
}

fn text(settings: &Settings, address: SocketAddr, admin: SocketAddr, helpers: &Helpers) -> String {
    let base = format!("{}://{}", settings.scheme(), reachable(address));
    let mut lines = vec![String::new(), format!("  Gateway of {}", settings.public.domain())];
    if let Some(url) = elsewhere(settings, &base) {
        lines.push(format!("  public at {url}, the address in cookies, tokens and sign-in callbacks"));
    }
    lines.extend([
        String::new(),
        format!("    {base}/         the gateway; its own API also under {}/", settings.public.api_prefix.as_str()),
        format!("    {base}/docs     Swagger"),
        format!("    {base}/login    sign in"),
        format!("    http://{admin}/readyz   for operators, and /status"),
        format!("    store                      {}", store(settings)),
    ]);
    for service in &settings.services {
        lines.push(format!("    service {:<18} {}", service.name.as_str(), instances(service)));
    }
    if settings.environment == Environment::Development {
        lines.push(String::new());
        lines.push("  Development only (GATEWAY_ENV=development):".into());
        lines.push("    tokens can be created without a credential, and any text can be a dummy token".into());
        if let Some(sample) = helpers.sample_service {
            lines.push(format!("    the AUTH service at {sample} is a sample; set AUTH_SERVICE_URL to use your own"));
        }
        if let Some(sign_in) = &helpers.sign_in {
            lines.push(format!("    the stand-in provider signs in any person without a password: {base}/login"));
            lines.push("    for a code by hand open".into());
            lines.push(format!("      {}", sign_in.url));
            lines.push(format!(
                "      and exchange it: POST /oauth {{\"provider\": \"stand-in\", \"code\": …, \"code_verifier\": \"{}\", \"nonce\": \"{}\"}}",
                sign_in.code_verifier, sign_in.nonce
            ));
        }
        lines.push(String::new());
        lines.push("  Try:".into());
        lines.push(format!("    curl {base}/api/users"));
        lines.push(format!(
            "    TOKEN=$(curl -s {base}/tokens/create -H 'Content-Type: application/json' -d '{{\"subject\": \"alice\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ));
        lines.push(format!("    curl {base}/api/users/me -H \"Authorization: Bearer $TOKEN\""));
    }
    lines.push(String::new());
    lines.push(String::new());
    lines.join("\n")
}

fn store(settings: &Settings) -> &'static str {
    match settings.database {
        Database::Memory => "in memory: all data is lost when the gateway stops",
        Database::Url { .. } => "DATABASE_URL",
    }
}

fn instances(service: &DeclaredService) -> String {
    let instances: Vec<String> = service.urls.iter().map(ServiceUrl::authority).collect();
    instances.join(", ")
}

/// The URL for browsers, if it differs from the URL on this machine. A port that the system chooses is not public.
fn elsewhere<'s>(settings: &'s Settings, here: &str) -> Option<&'s str> {
    let public = &settings.public;
    (public.url.port() != Some(0) && public.base() != here).then(|| public.base())
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    /// The banner of a gateway that listens on port 8080 of this address, with these variables set.
    fn banner(address: [u8; 4], variables: &[(&str, &str)]) -> String {
        let sources = Sources::default().with_environment(variables.iter().copied());
        let settings = Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        text(&settings, (address, 8080).into(), ([127, 0, 0, 1], 9090).into(), &Helpers::default())
    }

    fn public_line(banner: &str) -> Option<&str> {
        banner.lines().find_map(|line| line.strip_prefix("  public at "))
    }

    #[test]
    fn a_public_address_is_shown_beside_the_one_on_this_machine() {
        let development = ("GATEWAY_ENV", "development");
        let behind = banner([0; 4], &[development, ("PUBLIC_URL", "https://www.example.com/e/")]);
        let expected = "https://www.example.com/e, the address in cookies, tokens and sign-in callbacks";
        assert_eq!(public_line(&behind), Some(expected));
        assert!(
            behind.contains("\n    http://localhost:8080/docs ")
                && behind.contains("\n    curl http://localhost:8080/")
        );
        assert!(!behind.contains("curl https"), "{behind}");

        let production = [
            ("DOMAIN", "www.example.com"),
            ("DATABASE_URL", "sqlite://gateway.db"),
            ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE="),
        ];
        let by_domain = banner([0; 4], &production);
        assert!(public_line(&by_domain).unwrap().starts_with("https://www.example.com, "), "{by_domain}");
        // Browsers at the default of `PUBLIC_URL` cannot reach this address.
        let one_address = banner([192, 168, 1, 5], &[development]);
        assert!(public_line(&one_address).unwrap().starts_with("http://localhost:8080, "), "{one_address}");
    }

    #[test]
    fn one_address_is_shown_once() {
        for address in [[0; 4], [127, 0, 0, 1]] {
            for url in ["", "http://localhost:8080", "http://localhost:8080/"] {
                let shown = banner(address, &[("GATEWAY_ENV", "development"), ("PUBLIC_URL", url)]);
                assert_eq!(public_line(&shown), None, "{shown}");
            }
        }
        let any_port = banner([127, 0, 0, 1], &[("GATEWAY_ENV", "development"), ("PORT", "0")]);
        assert_eq!(public_line(&any_port), None, "{any_port}");
    }
}
