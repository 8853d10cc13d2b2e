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
    GATEWAY_ENV, Text("production"), "`development` or `production`. Development opens `/tokens/create`, knows dummy tokens and starts the sample AUTH service";
    HOST, Derived("127.0.0.1 in development, 0.0.0.0 in production"), "The address to listen on";
    PORT, Text("8080"), "The port to listen on";
    ADMIN_ADDR, Text("127.0.0.1:9090"), "Where operators are served: address and port";
    TLS_CERTIFICATE, Derived("none: plain HTTP"), "Turns TLS on, with `TLS_KEY`: the file with the gateway's certificate in PEM, those of its issuers behind it. What replaces the file counts within seconds";
    TLS_KEY, Derived("none"), "The file with the private key of that certificate in PEM: PKCS#8, SEC1 or PKCS#1, without a passphrase";
    DOMAIN, Derived("the host of PUBLIC_URL"), "The name that the gateway welcomes by; in production browsers reach it at `https://DOMAIN`, unless `PUBLIC_URL` says otherwise";
    PUBLIC_URL, Derived("http://localhost:PORT in development (https with TLS), https://DOMAIN in production"), "How browsers reach the gateway, and the issuer of its tokens. Production wants https. It has a path (`https://app.jinmini.com/e`) where a front end passes requests on from there (to `API_PREFIX`)";
    API_PREFIX, Text("/e"), "The gateway's own API answers at the root and, the same, under this path";
    TIMEZONE, Text("UTC"), "The offset of times in answers: an IANA name such as `Asia/Seoul`";
    DATABASE_URL, Derived("in memory"), "The store: `sqlite://data/gateway.db?mode=rwc` or `postgres://user:password@host/database`. Unset, everything is forgotten at the end; production wants one", secret: true;
    DATABASE_SCHEMA, Text("gateway"), "The schema of a PostgreSQL that our tables are in, made if it is missing: services that share the database keep theirs in others";
    STARTUP_TIMEOUT, Text("60s"), "How long a store that is not there yet is waited for at the start";
    REDIS_URL, Derived("with everything else"), "Where sessions of browsers are kept: `redis://host:6379`, or `rediss://…` for TLS; a password as in `redis://:password@host`, a number behind it (`/2`) chooses the database. Unset, they are where `DATABASE_URL` says", secret: true;
    VAULT_KEY, Derived("none"), "Seals what is secret in the store: 32 bytes as base64 (`openssl rand -base64 32`). Several separated by commas: the first seals, all open. Needed with `DATABASE_URL` and in production", secret: true;
    TOKEN_ALGORITHM, Text("ES256"), "What signs access tokens: `ES256`, `RS256`, `EdDSA` or `HS256`";
    TOKEN_AUDIENCE, Derived("PUBLIC_URL"), "What the `aud` of a token must hold to pass here, and the default of new tokens";
    ACCESS_TOKEN_TTL, Text("15m"), "The life of an access token that was not asked for another";
    ACCESS_TOKEN_MAX_TTL, Text("24h"), "The longest life of an access token that can be asked for";
    REFRESH_TOKEN_TTL, Text("30d"), "How long a refresh token may lie unused";
    TOKEN_FAMILY_TTL, Text("90d"), "How long a refresh token and its successors are good in all; then the person signs in again";
    REFRESH_GRACE, Text("10s"), "How long a used refresh token still gets the same successor, while that is unused; later use revokes its family";
    SESSION_TTL, Text("30d"), "How long a browser's session may last in all";
    SESSION_IDLE_TTL, Text("24h"), "How long a browser's session may lie unused";
    ALLOWED_ORIGINS, Derived("none"), "Other sites of yours, such as `https://app.jinmini.com`, separated by commas: a sign-in may return there, and their pages may act for whoever is signed in. Exact origins; or for previews `https://*-team.vercel.app`, whose pages may call and read, but never with a session";
    KEY_ROTATION, Text("30d"), "How long a key signs before the next one does";
    HEAD_TIMEOUT, Text("10s"), "How long a client may take to send a request's head; with TLS, the handshake and the first head";
    IDLE_TIMEOUT, Text("75s"), "How long a connection may wait for its next request, and a body or a WebSocket for its next byte";
    DRAIN_TIMEOUT, Text("20s"), "How long requests under way may take to end after SIGTERM";
    MAX_CONNECTIONS, Text("10000"), "Connections in all; the newest is refused beyond";
    MAX_CONNECTIONS_PER_CLIENT, Text("1000"), "Connections of one client address. Behind a proxy that is the proxy's: raise it to `MAX_CONNECTIONS`";
    MAX_REQUESTS_PER_CLIENT, Text("1000"), "Requests in flight of one client address, each stream and WebSocket included; 503 `overloaded` beyond. The gateway's own paths count by themselves. Behind a proxy as above, unless `TRUSTED_PROXIES` names it";
    TRUSTED_PROXIES, Derived("none"), "The proxies in front that are believed about the address, scheme and host of their clients: addresses or CIDRs separated by commas";
    CLIENT_ADDRESS_HEADER, Text("X-Forwarded-For"), "Where they say the address: `X-Forwarded-For` (`X-Real-IP` where a request has neither that nor `Forwarded`), or `X-Real-IP` alone. Name the one that your proxy writes itself";
    CONNECT_TIMEOUT, Text("2s"), "How long a connection to a service may take";
    FIRST_BYTE_TIMEOUT, Text("30s"), "How long a service may take from the request's end to its answer's head";
    UPSTREAM_IDLE_TIMEOUT, Text("4s"), "How long an unused connection to a service is kept, unless it says less itself (`Keep-Alive: timeout=5`). Less than the service keeps it: uvicorn and Node close theirs after 5 seconds, and a request that is on its way then is lost";
    MAX_REQUESTS_PER_SERVICE, Text("10000"), "Requests in flight to one service, each stream and WebSocket included; 503 `overloaded` beyond";
    GOOGLE_CLIENT_ID, Derived("off"), "Turns Google on, with its secret: the client id from console.cloud.google.com";
    GOOGLE_CLIENT_SECRET, Derived("off"), "The client secret for Google", secret: true;
    GOOGLE_HOSTED_DOMAIN, Derived("anybody may"), "The one Google Workspace domain whose people may sign in with Google";
    GITHUB_CLIENT_ID, Derived("off"), "Turns GitHub on, with its secret: the client id from github.com/settings/developers";
    GITHUB_CLIENT_SECRET, Derived("off"), "A client secret for GitHub", secret: true;
    GITHUB_WEBHOOK_SECRET, Derived("off"), "Turns the webhook of a GitHub App on: the webhook secret, under which GitHub signs what it sends", secret: true;
    FACEBOOK_CLIENT_ID, Derived("off"), "Turns Facebook on, with its secret: the app id from developers.facebook.com";
    FACEBOOK_CLIENT_SECRET, Derived("off"), "The app secret for Facebook", secret: true;
    NAVER_CLIENT_ID, Derived("off"), "Turns Naver on, with its secret: the client id from developers.naver.com";
    NAVER_CLIENT_SECRET, Derived("off"), "The client secret for Naver", secret: true;
    KAKAO_CLIENT_ID, Derived("off"), "Turns Kakao on, with its secret: the REST API key from developers.kakao.com";
    KAKAO_CLIENT_SECRET, Derived("off"), "The client secret for Kakao", secret: true;
    KAKAO_ADMIN_KEY, Derived("off"), "Turns Kakao's unlink webhook on: the primary admin key, by which its requests are known", secret: true;
    LINE_CLIENT_ID, Derived("off"), "Turns LINE on, with its secret: the channel id from developers.line.biz";
    LINE_CLIENT_SECRET, Derived("off"), "The channel secret of LINE, which also signs its id tokens", secret: true;
    DISCORD_CLIENT_ID, Derived("off"), "Turns Discord on, with its secret: the client id from discord.com/developers";
    DISCORD_CLIENT_SECRET, Derived("off"), "The client secret for Discord", secret: true;
    X_CLIENT_ID, Derived("off"), "Turns X on, with its secret: the OAuth 2.0 client id from console.x.com";
    X_CLIENT_SECRET, Derived("off"), "The OAuth 2.0 client secret for X", secret: true;
    ENTRA_CLIENT_ID, Derived("off"), "Turns Microsoft Entra on, with its secret and a tenant: the application (client) id from entra.microsoft.com";
    ENTRA_CLIENT_SECRET, Derived("off"), "A client secret for Entra", secret: true;
    ENTRA_TENANT, Derived("none"), "Whose people Entra sends: the id or a domain of your tenant; or `organizations` (every tenant), `consumers` (personal accounts) or `common` (both)";
    ENTRA_ALLOWED_TENANTS, Derived("every tenant; with `organizations` and `common` production wants it"), "With `organizations` and `common`: the ids of the tenants whose people may sign in, separated by commas; `any` if all may";
    ENTRA_GROUPS, Derived("anybody may"), "The groups of which one must be the person's who signs in with Entra, separated by commas: their object ids, or what the claim `groups` holds";
    APPLE_CLIENT_ID, Derived("off"), "Turns Apple on, with the next three: the identifier of the Services ID from developer.apple.com";
    APPLE_TEAM_ID, Derived("off"), "The id of the team at Apple, 10 letters and digits";
    APPLE_KEY_ID, Derived("off"), "The id of the key for Sign in with Apple, 10 letters and digits";
    APPLE_PRIVATE_KEY, Derived("off"), "The text of that key's `.p8` file, with its line ends or with `\\n` in their place. The gateway makes its client secrets with it, so there is none to renew", secret: true;
    APPLE_APP_ID, Derived("none"), "The App ID that the Services ID belongs to: Apple's notices may be addressed to it";
    FACEBOOK_API_VERSION, Text("v26.0"), "The version of Facebook's Graph API; the log and `gateway check` warn two months before it is retired";
    OAUTH_REDIRECT_URIS, Derived("none: `POST /oauth` exchanges nothing, but for codes of the stand-in provider in development"), "The redirect URIs of front ends of yours, separated by commas: exact strings. `POST /oauth` exchanges codes that were sent there, and never those that were sent to the gateway's own callback";
    OAUTH_REFRESH_AHEAD, Text("10m"), "How long before its expiry a provider's token is refreshed though nobody asks for it, at most a quarter of its life; Facebook's 10 days. `0s`: only when somebody asks";
    LOG_FORMAT, Derived("text in development, json in production"), "`text` for people, `json` for one object a line";
    GATEWAY_CONFIG, Derived("gateway.toml, if there is one"), "The file with the routes";
}

/// The family of variables that make services.
pub const SERVICE_URL: Variable = Variable {
    name: "<NAME>_SERVICE_URL",
    fallback: Derived("none; development starts the sample AUTH service"),
    meaning: "Where a service answers: `AUTH_SERVICE_URL=http://localhost:8001` makes the service `auth`, `USER_PROFILE_SERVICE_URL` the service `user-profile`. Several instances separated by commas",
    secret: false,
};

/// The family of variables that say how services describe themselves.
pub const SERVICE_OPENAPI: Variable = Variable {
    name: "<NAME>_SERVICE_OPENAPI",
    fallback: Text("/openapi.json"),
    meaning: "The path at which the service has its OpenAPI document (3.1, 3.0 or Swagger 2.0), which Swagger shows; `off`: it is not asked. Springdoc has it at `/v3/api-docs`",
    secret: false,
};

/// The families of variables that make or change providers.
pub const PROVIDER_FAMILIES: &[Variable] = &[
    family(
        "OIDC_<NAME>_ISSUER",
        "off",
        "Turns any OpenID Connect provider on: `OIDC_OKTA_ISSUER=https://example.okta.com` makes the provider `okta`. Exactly as its id tokens write it; all else is found there",
    ),
    family("OIDC_<NAME>_CLIENT_ID", "off", "The client id at that provider"),
    Variable { secret: true, ..family("OIDC_<NAME>_CLIENT_SECRET", "off", "The client secret at that provider") },
    family(
        "OIDC_<NAME>_ID_TOKEN_ALG",
        "that of the provider's published keys",
        "`HS256` where the client secret signs the id tokens; then no published key will do",
    ),
    family(
        "<PROVIDER>_SCOPES",
        "the person's name and e-mail",
        "What people are asked to allow, sent as it is written here. Also `OIDC_<NAME>_SCOPES`",
    ),
    family(
        "<PROVIDER>_MORE_SCOPES",
        "none",
        "What one sign-in may ask for besides, by `GET /login/{provider}?scope=…`: words separated by blanks or commas. Also `OIDC_<NAME>_MORE_SCOPES`",
    ),
    family(
        "<PROVIDER>_PROMPT",
        "nothing; a second time `consent`, if no refresh token is held, none came, and the provider may want that",
        "What `GOOGLE`, `GITHUB`, `KAKAO`, `LINE`, `DISCORD` or `ENTRA` is to ask at every sign-in (`prompt`), such as `select_account`, in the provider's own words; `never`: nothing, and no second time. Also `OIDC_<NAME>_PROMPT`",
    ),
    family(
        "<PROVIDER>_PKCE",
        "on; off for Facebook, and for Naver with `NAVER_OIDC=off`",
        "Whether PKCE is used, `on` or `off`; X wants it. Also `OIDC_<NAME>_PKCE`",
    ),
    family(
        "NAVER_OIDC",
        "on, unless `NAVER_AUTHORIZE_URL` or `NAVER_TOKEN_URL` is one of the plain flow",
        "Whether Naver is asked for an id token, whose nonce binds each sign-in to its browser, `on` or `off`. Its OpenID Connect is at other endpoints than its plain flow",
    ),
    family(
        "KAKAO_OIDC",
        "on",
        "Whether Kakao is asked for an id token, whose nonce binds each sign-in to its browser, `on` or `off`. It needs a switch in Kakao's console (OpenID Connect)",
    ),
    family(
        "DISCORD_OIDC",
        "on",
        "Whether Discord is asked for an id token, whose nonce binds each sign-in to its browser, `on` or `off`",
    ),
    family(
        "<PROVIDER>_UNBOUND_CODES",
        "refuse; accept for Facebook",
        "Whether `POST /oauth` takes codes of a provider that has neither PKCE nor a nonce, `accept` or `refuse`. Nothing but the provider's own comparison of redirect URIs then keeps out a code of a sign-in at `/login`",
    ),
    family(
        "<PROVIDER>_AUTHORIZE_URL",
        "the provider's",
        "Where browsers are sent. `<PROVIDER>` is `GOOGLE`, `GITHUB`, `FACEBOOK`, `NAVER`, `KAKAO`, `LINE`, `DISCORD`, `X` or `APPLE`. Parameters of its own win over the gateway's, such as `prompt` or `scope`; those that bind a sign-in, such as `state`, it must not have",
    ),
    family("<PROVIDER>_TOKEN_URL", "the provider's", "Where codes and refresh tokens become access tokens"),
    family("<PROVIDER>_USERINFO_URL", "the provider's", "Who the person is. Apple has none"),
    family("<PROVIDER>_REVOKE_URL", "the provider's", "Where grants are taken back"),
    family(
        "ENTRA_AUTHORITY_URL",
        "https://login.microsoftonline.com",
        "Where Entra is: national clouds have addresses of their own",
    ),
    family("GOOGLE_JWKS_URL", "Google's", "The keys of Google's id tokens"),
    family("NAVER_JWKS_URL", "Naver's", "The keys of Naver's id tokens"),
    family("KAKAO_JWKS_URL", "Kakao's", "The keys of Kakao's id tokens"),
    family("DISCORD_JWKS_URL", "Discord's", "The keys of Discord's id tokens"),
    family("APPLE_JWKS_URL", "Apple's", "The keys of Apple's id tokens and notices"),
    family("GITHUB_EMAILS_URL", "GitHub's", "The person's e-mail addresses"),
    family("GOOGLE_RISC_URL", "Google's", "Where Google says who signs its security events, and with which keys"),
    family("KAKAO_SSE_URL", "Kakao's", "Where Kakao says who signs its security events, and with which keys"),
];

const fn family(name: &'static str, fallback: &'static str, meaning: &'static str) -> Variable {
    Variable { name, fallback: Derived(fallback), meaning, secret: false }
}
