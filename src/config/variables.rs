//! Every variable of the gateway: its name, its default, and its meaning. Settings are read through this table,
//! `docs/configuration.md` and `.env` are tested against it, and a name in `.env` that nearly matches one of these is a
//! mistake.

/// One variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The default.
    pub fallback: Fallback,
    /// Its meaning, in a sentence for `docs/configuration.md` and `.env`.
    pub meaning: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// The default of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This text, parsed like a value.
    Text(&'static str),
    /// A default that depends on other settings, or none; the words describe it.
    Derived(&'static str),
}

impl Fallback {
    /// The default as `docs/configuration.md` shows it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Text(words) | Self::Derived(words) => words,
        }
    }
}

use Fallback::{Derived, Text};

/// Defines each variable once: as a constant, and as a row of [`ALL`].
macro_rules! variables {
    ($($name:ident, $fallback:expr, $meaning:literal $(, secret: $secret:literal)?;)+) => {
        $(
            #[doc = $meaning]
            pub const $name: Variable =
                Variable { name: stringify!($name), fallback: $fallback, meaning: $meaning, secret: false $(|| $secret)? };
        )+
        /// Every variable with a fixed name, in the order of `docs/configuration.md` and `.env`.
        pub const ALL: &[Variable] = &[$($name),+];
    };
}

variables! {
    GATEWAY_ENV, Text("production"), "`development` or `production`. Development opens `/tokens/create`, accepts dummy tokens and starts the sample AUTH service";
    HOST, Derived("127.0.0.1 in development, 0.0.0.0 in production"), "The address to listen on";
    PORT, Text("8080"), "The port to listen on";
    ADMIN_ADDR, Text("127.0.0.1:9090"), "The address and port for operators";
    TLS_CERTIFICATE, Derived("none: plain HTTP"), "The file with the gateway's certificate in PEM, followed by those of its issuers. With `TLS_KEY` it turns TLS on. A replaced file takes effect within seconds";
    TLS_KEY, Derived("none"), "The file with the private key of that certificate in PEM: PKCS#8, SEC1 or PKCS#1, without a passphrase";
    DOMAIN, Derived("the host of PUBLIC_URL"), "The gateway's name in its welcome. In production browsers reach it at `https://DOMAIN`, unless `PUBLIC_URL` says otherwise";
    PUBLIC_URL, Derived("http://localhost:PORT in development (https with TLS), https://DOMAIN in production"), "The gateway's URL for browsers, and the issuer of its tokens. Production requires https. Add a path (`https://app.jinmini.com/e`) only if your front end forwards that path to the gateway (to `API_PREFIX`)";
    API_PREFIX, Text("/e"), "The gateway serves its own API at the root and also under this path";
    TIMEZONE, Text("UTC"), "Times in responses have the offset of this zone: an IANA name such as `Asia/Seoul`";
    DATABASE_URL, Derived("in memory"), "The store: `sqlite://data/gateway.db?mode=rwc` or `postgres://user:password@host/database`. Without `mode=rwc` the file must exist. If it is unset, all data is lost when the gateway stops. Required in production", secret: true;
    DATABASE_SCHEMA, Text("gateway"), "The schema of the gateway's tables in PostgreSQL, created if it is missing. Services that share the database keep their tables in other schemas";
    STARTUP_TIMEOUT, Text("60s"), "The start waits this long for a store that is not available yet";
    REDIS_URL, Derived("the store of DATABASE_URL"), "The store for browsers' sessions, and for the rate limits that replicas share: `redis://host:6379`, or `rediss://…` for TLS. A password is written `redis://:password@host`, and a number behind the host (`/2`) selects the database. If it is unset, sessions are in the store of `DATABASE_URL`", secret: true;
    VAULT_KEY, Derived("none"), "Seals the secrets in the store: 32 bytes as base64 (`openssl rand -base64 32`). Several keys are separated by commas: the first seals, all open. Required with `DATABASE_URL` and in production", secret: true;
    TOKEN_ALGORITHM, Text("ES256"), "The algorithm that signs access tokens: `ES256`, `RS256`, `EdDSA` or `HS256`";
    TOKEN_AUDIENCE, Derived("PUBLIC_URL"), "Accepted tokens must contain this in their `aud`. New tokens have it by default";
    ACCESS_TOKEN_TTL, Text("15m"), "Default lifetime of an access token";
    ACCESS_TOKEN_MAX_TTL, Text("24h"), "Longest lifetime that can be requested for an access token";
    REFRESH_TOKEN_TTL, Text("30d"), "A refresh token expires after this time without use";
    TOKEN_FAMILY_TTL, Text("90d"), "Total lifetime of a refresh token and its successors; then the person signs in again";
    REFRESH_GRACE, Text("10s"), "A used refresh token still gets the same successor for this time, while the successor is unused. Later use revokes its family";
    SESSION_TTL, Text("30d"), "Total lifetime of a browser's session";
    SESSION_IDLE_TTL, Text("24h"), "A browser's session expires after this time without use";
    ALLOWED_ORIGINS, Derived("none"), "Your other sites, such as `https://app.jinmini.com`, separated by commas: a sign-in may return there, and their pages may act for the signed-in person. Entries are exact origins; or for previews `https://*-team.vercel.app`, whose pages may call and read, but never with a session";
    KEY_ROTATION, Text("30d"), "A key signs for this time; then the next key does";
    HEAD_TIMEOUT, Text("10s"), "Time limit for a client to send a request's head; with TLS, for the handshake and the first head";
    IDLE_TIMEOUT, Text("75s"), "Time limit for a connection to wait for its next request, and for a body or a WebSocket to wait for its next byte";
    DRAIN_GRACE, Text("5s"), "After SIGTERM the gateway reports that it is not ready, and accepts requests for this time: until a balancer in front has noticed. Choose more than the interval of its probes times the failures that it waits for";
    DRAIN_TIMEOUT, Text("20s"), "Time limit for requests in flight to end after that";
    MAX_CONNECTIONS, Text("10000"), "Maximum number of connections; further ones are refused";
    MAX_CONNECTIONS_PER_CLIENT, Text("1000"), "Maximum number of connections of one client address. Behind a proxy that is the proxy's address: raise this to `MAX_CONNECTIONS`";
    MAX_REQUESTS_PER_CLIENT, Text("1000"), "Maximum number of requests in flight of one client address, each stream and WebSocket included; further ones get 503 `overloaded`. Requests to the gateway's own paths are counted separately. Behind a proxy raise this, too, unless `TRUSTED_PROXIES` names the proxy";
    TRUSTED_PROXIES, Derived("none"), "The proxies in front of the gateway that are trusted with the address, scheme and host of their clients: addresses or CIDRs separated by commas";
    CLIENT_ADDRESS_HEADER, Text("X-Forwarded-For"), "The header in which these proxies send the address: `X-Forwarded-For` (`X-Real-IP` if a request has neither that nor `Forwarded`), or `X-Real-IP` alone. Choose the one that your proxy writes itself";
    DNS_SERVERS, Derived("the system's"), "The name servers that know the names of services: addresses, with a port if it is not 53, separated by commas, such as `127.0.0.1:8600` for Consul. Each must know every name";
    DOCKER_URL, Derived("none: containers are not followed"), "The container engine whose containers are services by their labels: `unix:///var/run/docker.sock`, or `tcp://host:port` without TLS. Only the image, and a build with `--features docker`, can follow one";
    CONNECT_TIMEOUT, Text("2s"), "Time limit for connecting to a service";
    FIRST_BYTE_TIMEOUT, Text("30s"), "Time limit for a service, from the end of the request to the head of its response";
    UPSTREAM_IDLE_TIMEOUT, Text("4s"), "An unused connection to a service is closed after this time, or earlier if the service says so (`Keep-Alive: timeout=5`). Choose less than the service's own limit: uvicorn and Node close theirs after 5 seconds, and a request that is then on its way is lost";
    MAX_REQUESTS_PER_SERVICE, Text("10000"), "Maximum number of requests in flight to one service, each stream and WebSocket included; further ones get 503 `overloaded`";
    SERVICE_CIDRS, Text("10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.0/8,fc00::/7,::1/128"), "The networks in which instances may register themselves, as CIDRs separated by commas: by default the private and loopback ones. Link-local addresses and metadata services of clouds are never accepted";
    GOOGLE_CLIENT_ID, Derived("off"), "The client id from console.cloud.google.com. With its secret it enables Google";
    GOOGLE_CLIENT_SECRET, Derived("off"), "The client secret for Google", secret: true;
    GOOGLE_HOSTED_DOMAIN, Derived("no restriction"), "Only people of this one Google Workspace domain may sign in with Google";
    GITHUB_CLIENT_ID, Derived("off"), "The client id from github.com/settings/developers. With its secret it enables GitHub";
    GITHUB_CLIENT_SECRET, Derived("off"), "A client secret for GitHub", secret: true;
    GITHUB_WEBHOOK_SECRET, Derived("off"), "The webhook secret of a GitHub App, with which GitHub signs its notices. It turns the webhook on", secret: true;
    FACEBOOK_CLIENT_ID, Derived("off"), "The app id from developers.facebook.com. With its secret it enables Facebook";
    FACEBOOK_CLIENT_SECRET, Derived("off"), "The app secret for Facebook", secret: true;
    NAVER_CLIENT_ID, Derived("off"), "The client id from developers.naver.com. With its secret it enables Naver";
    NAVER_CLIENT_SECRET, Derived("off"), "The client secret for Naver", secret: true;
    KAKAO_CLIENT_ID, Derived("off"), "The REST API key from developers.kakao.com. With its secret it enables Kakao";
    KAKAO_CLIENT_SECRET, Derived("off"), "The client secret for Kakao", secret: true;
    KAKAO_ADMIN_KEY, Derived("off"), "The primary admin key, which proves Kakao's notices. It turns the unlink webhook on", secret: true;
    LINE_CLIENT_ID, Derived("off"), "The channel id from developers.line.biz. With its secret it enables LINE";
    LINE_CLIENT_SECRET, Derived("off"), "The channel secret of LINE, which also signs its id tokens", secret: true;
    DISCORD_CLIENT_ID, Derived("off"), "The client id from discord.com/developers. With its secret it enables Discord";
    DISCORD_CLIENT_SECRET, Derived("off"), "The client secret for Discord", secret: true;
    X_CLIENT_ID, Derived("off"), "The OAuth 2.0 client id from console.x.com. With its secret it enables X";
    X_CLIENT_SECRET, Derived("off"), "The OAuth 2.0 client secret for X", secret: true;
    ENTRA_CLIENT_ID, Derived("off"), "The application (client) id from entra.microsoft.com. With its secret and a tenant it enables Microsoft Entra";
    ENTRA_CLIENT_SECRET, Derived("off"), "A client secret for Entra", secret: true;
    ENTRA_TENANT, Derived("none"), "The tenant whose people sign in: its id or a domain; or `organizations` (every tenant), `consumers` (personal accounts) or `common` (both)";
    ENTRA_ALLOWED_TENANTS, Derived("every tenant; required in production with `organizations` and `common`"), "With `organizations` and `common`: the ids of the tenants whose people may sign in, separated by commas, or `any` for all tenants";
    ENTRA_GROUPS, Derived("no restriction"), "Only members of one of these groups may sign in with Entra: object ids, or what the claim `groups` contains, separated by commas";
    APPLE_CLIENT_ID, Derived("off"), "The identifier of the Services ID from developer.apple.com. With the next three it enables Apple";
    APPLE_TEAM_ID, Derived("off"), "The id of the team at Apple: 10 letters and digits";
    APPLE_KEY_ID, Derived("off"), "The id of the key for Sign in with Apple: 10 letters and digits";
    APPLE_PRIVATE_KEY, Derived("off"), "The text of that key's `.p8` file, with its line ends or with `\\n` instead. The gateway makes its client secrets from it, so you need not renew any", secret: true;
    APPLE_APP_ID, Derived("none"), "The App ID of the Services ID; Apple may address its notices to it";
    FACEBOOK_API_VERSION, Text("v26.0"), "The version of Facebook's Graph API. The log and `gateway check` warn two months before it is retired";
    OAUTH_REDIRECT_URIS, Derived("none: `POST /oauth` exchanges only codes of the stand-in provider in development"), "The redirect URIs of your front ends, separated by commas: exact strings. `POST /oauth` exchanges codes that were sent there, and never codes that were sent to the gateway's own callback";
    OAUTH_REFRESH_AHEAD, Text("10m"), "A provider's token is refreshed this long before it expires, even without a request for it: at most a quarter of its lifetime before, and for Facebook 10 days before. With `0s` it is refreshed only on request";
    LOG_FORMAT, Derived("text in development, json in production"), "`text` for people, or `json` with one object per line";
    GATEWAY_CONFIG, Derived("gateway.toml, if it exists"), "The file with the routes and services";
}

/// The family of variables that define services.
pub const SERVICE_URL: Variable = Variable {
    name: "<NAME>_SERVICE_URL",
    fallback: Derived("none; development starts the sample AUTH service"),
    meaning: "The address of a service: `AUTH_SERVICE_URL=http://localhost:8001` makes the service `auth`, `USER_PROFILE_SERVICE_URL` the service `user-profile`. Every address of a name is an instance. Several URLs are separated by commas",
    secret: false,
};

/// The family of variables with the paths of the OpenAPI documents of services.
pub const SERVICE_OPENAPI: Variable = Variable {
    name: "<NAME>_SERVICE_OPENAPI",
    fallback: Text("/openapi.json"),
    meaning: "The path of the service's OpenAPI document (3.1, 3.0 or Swagger 2.0), which Swagger shows. With `off` it is not fetched. Springdoc has it at `/v3/api-docs`",
    secret: false,
};

/// The families of variables that define or change providers.
pub const PROVIDER_FAMILIES: &[Variable] = &[
    family(
        "OIDC_<NAME>_ISSUER",
        "off",
        "The issuer of any OpenID Connect provider, exactly as in its id tokens: `OIDC_OKTA_ISSUER=https://example.okta.com` enables the provider `okta`. The gateway discovers all else there",
    ),
    family("OIDC_<NAME>_CLIENT_ID", "off", "The client id at that provider"),
    Variable { secret: true, ..family("OIDC_<NAME>_CLIENT_SECRET", "off", "The client secret at that provider") },
    family(
        "OIDC_<NAME>_ID_TOKEN_ALG",
        "the algorithm of the provider's published keys",
        "`HS256` if the client secret signs the id tokens; published keys are then not accepted",
    ),
    family(
        "<PROVIDER>_SCOPES",
        "the person's name and e-mail",
        "The scopes that a sign-in requests, sent as they are written here. Also `OIDC_<NAME>_SCOPES`",
    ),
    family(
        "<PROVIDER>_MORE_SCOPES",
        "none",
        "Further scopes that one sign-in may request with `GET /login/{provider}?scope=…`, separated by blanks or commas. Also `OIDC_<NAME>_MORE_SCOPES`",
    ),
    family(
        "<PROVIDER>_PROMPT",
        "none; then `consent` a second time, if no refresh token is stored, none was returned, and the provider may require it",
        "The parameter `prompt` of every sign-in at `GOOGLE`, `GITHUB`, `KAKAO`, `LINE`, `DISCORD` or `ENTRA`, in the provider's own words, such as `select_account`. With `never` there is none, and no second time. Also `OIDC_<NAME>_PROMPT`",
    ),
    family(
        "<PROVIDER>_PKCE",
        "on; off for Facebook, and for Naver with `NAVER_OIDC=off`",
        "PKCE, `on` or `off`; X requires it. Also `OIDC_<NAME>_PKCE`",
    ),
    family(
        "NAVER_OIDC",
        "on, unless `NAVER_AUTHORIZE_URL` or `NAVER_TOKEN_URL` belongs to the plain flow",
        "OpenID Connect at Naver, `on` or `off`. The nonce of its id token binds each sign-in to its browser. Its endpoints are not those of the plain flow",
    ),
    family(
        "KAKAO_OIDC",
        "on",
        "OpenID Connect at Kakao, `on` or `off`. The nonce of its id token binds each sign-in to its browser. It must be on in Kakao's console, too (OpenID Connect)",
    ),
    family(
        "DISCORD_OIDC",
        "on",
        "OpenID Connect at Discord, `on` or `off`. The nonce of its id token binds each sign-in to its browser",
    ),
    family(
        "<PROVIDER>_UNBOUND_CODES",
        "refuse; accept for Facebook",
        "Codes at `POST /oauth` of a provider that has neither PKCE nor a nonce, `accept` or `refuse`. If they are accepted, only the provider's own comparison of redirect URIs keeps out a code of a sign-in at `/login`",
    ),
    family(
        "<PROVIDER>_AUTHORIZE_URL",
        "the provider's",
        "The endpoint that browsers are sent to. `<PROVIDER>` is `GOOGLE`, `GITHUB`, `FACEBOOK`, `NAVER`, `KAKAO`, `LINE`, `DISCORD`, `X` or `APPLE`. Its own parameters, such as `prompt` or `scope`, take precedence over the gateway's. It must not have those that bind a sign-in, such as `state`",
    ),
    family(
        "<PROVIDER>_TOKEN_URL",
        "the provider's",
        "The endpoint that exchanges codes and refresh tokens for access tokens",
    ),
    family("<PROVIDER>_USERINFO_URL", "the provider's", "The endpoint that describes the person. Apple has none"),
    family("<PROVIDER>_REVOKE_URL", "the provider's", "The endpoint that revokes grants"),
    family(
        "ENTRA_AUTHORITY_URL",
        "https://login.microsoftonline.com",
        "The address of Entra; national clouds have addresses of their own",
    ),
    family("GOOGLE_JWKS_URL", "Google's", "The keys of Google's id tokens"),
    family("NAVER_JWKS_URL", "Naver's", "The keys of Naver's id tokens"),
    family("KAKAO_JWKS_URL", "Kakao's", "The keys of Kakao's id tokens"),
    family("DISCORD_JWKS_URL", "Discord's", "The keys of Discord's id tokens"),
    family("APPLE_JWKS_URL", "Apple's", "The keys of Apple's id tokens and notices"),
    family("GITHUB_EMAILS_URL", "GitHub's", "The person's e-mail addresses"),
    family(
        "GOOGLE_RISC_URL",
        "Google's",
        "The document that names the issuer of Google's security events and its keys",
    ),
    family("KAKAO_SSE_URL", "Kakao's", "The document that names the issuer of Kakao's security events and its keys"),
];

const fn family(name: &'static str, fallback: &'static str, meaning: &'static str) -> Variable {
    Variable { name, fallback: Derived(fallback), meaning, secret: false }
}
