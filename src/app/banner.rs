//! What is said when the gateway has started: what runs where, what is for development only, what to try. For machines it is one
//! line of the log like any other.

use std::net::SocketAddr;

use tracing::{field, info};

use super::{development::Helpers, logging};
use crate::{
    config::{Database, Environment, LogFormat, Settings},
    domain::gateway::models::service::Service,
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
        lines.push("    anybody may create tokens, and any text can be a dummy token".into());
        if let Some(sample) = helpers.sample_service {
            lines.push(format!("    the AUTH service at {sample} is a sample; set AUTH_SERVICE_URL to use your own"));
        }
        if let Some(sign_in) = &helpers.sign_in {
            lines.push(format!("    anybody can sign in as anybody at the stand-in provider: {base}/login"));
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
            "    TOKEN=$(curl -s {base}/tokens/create --json '{{\"subject\": \"alice\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ));
        lines.push(format!("    curl {base}/api/users/me -H \"Authorization: Bearer $TOKEN\""));
    }
    lines.push(String::new());
    lines.push(String::new());
    lines.join("\n")
}

fn store(settings: &Settings) -> &'static str {
    match settings.database {
        Database::Memory => "in memory: everything is gone when the gateway ends",
        Database::Url { .. } => "DATABASE_URL",
    }
}

fn instances(service: &Service) -> String {
    let instances: Vec<String> = service.instances.iter().map(|instance| instance.authority()).collect();
    instances.join(", ")
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}
