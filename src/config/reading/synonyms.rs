//! What other proxies call a field: nginx, Caddy, Traefik, Envoy, Kong and APISIX. Such a name is no
//! misspelling, so only a table knows what is meant.

/// A name of ours, or what to do, and what others call it: words in the form of [`folded`].
type Names = (&'static str, &'static str);

const ROUTE: &[Names] = &[
    ("path", "uri uris paths prefix pathprefix location match rule pattern pathregexp"),
    ("methods", "verb verbs httpmethod httpmethods"),
    ("service", "servicename serviceid cluster upstreamid"),
    (
        "upstream_path",
        "strippath stripprefix stripprefixes rewrite pathrewrite rewritepath rewritetarget \
         prefixrewrite replacepath replaceprefix urlpattern uristripprefix",
    ),
    ("access", "auth authentication authorization requireauth authrequired authrequest public protected"),
    ("claims", "role roles group groups"),
    ("preserve_host", "preservehostheader passhostheader passhost hostheader hostrewrite"),
    ("body_limit", "maxbodysize bodysize clientmaxbodysize maxrequestbodysize requestsizelimit"),
    ("buffer_request", "buffering requestbuffering proxyrequestbuffering proxybuffering flushinterval"),
    ("max_requests", "maxconnections maxconns maxconn concurrency maxconcurrency inflightreq"),
    ("connect_timeout", "dialtimeout proxyconnecttimeout"),
    ("first_byte_timeout", "readtimeout proxyreadtimeout responseheadertimeout"),
    ("idle_timeout", "sendtimeout proxysendtimeout writetimeout streamidletimeout"),
    ("total_timeout", "timeout timeoutms timeouts timeoutseconds requesttimeout proxytimeout"),
    ("rate_limit", "limit limits limitreq limitcount throttle throttling ratelimiting ratelimiter"),
    ("allow_ips", "allowlist whitelist ipallowlist ipwhitelist iprestriction sourcerange"),
    ("deny_ips", "deny denylist blacklist ipdenylist ipblacklist"),
    ("request_headers", "headers headerup setheaders addheaders setheader proxysetheader"),
    ("response_headers", "headerdown addheader moreheaders"),
    ("redirect", "redirectto redir return redirectscheme"),
    ("compress", "gzip brotli compression encode"),
];

const SERVICE: &[Names] = &[
    (
        "url",
        "server servers uri uris address addresses target targets upstream upstreams node nodes \
         endpoint endpoints instance instances backend backends host hosts hostname port protocol \
         scheme weight weights proxypass",
    ),
    (
        "balance",
        "lb lbpolicy loadbalancer loadbalancing loadbalance balancer algorithm strategy policy sticky \
         stickysession sessionaffinity session",
    ),
    ("hash_on", "hash hashkey hashby consistenthash hashpolicy"),
    (
        "check",
        "health healthcheck healthchecks healthpath healthuri probe liveness readiness \
         activehealthcheck",
    ),
    ("eject", "outlierdetection passive passivehealthcheck maxfails failtimeout failduration"),
    ("breaker", "circuit circuitbreaker circuitbreakers"),
    ("slow_start", "warmup slowstartwindow"),
    ("max_requests", "maxconnections maxconns maxconn concurrency maxconcurrency"),
    ("max_pending", "queue maxqueue queuesize maxpendingrequests"),
    ("connection_age", "keepalive keepalivetime maxconnectionage maxage"),
    ("tls", "ssl https ca cacert cacerts certificate cert mtls serverstransport tlsverify"),
];

const CHECK: &[Names] = &[
    ("path", "uri url httppath endpoint httprequest"),
    ("interval", "period every periodseconds"),
    ("timeout", "timeoutms timeoutseconds"),
    ("status", "statuscode expect expectstatus expectedstatuses httpstatuses code"),
    ("unhealthy_after", "unhealthythreshold fall fails failurethreshold unhealthy maxfails"),
    ("healthy_after", "healthythreshold rise passes successthreshold healthy"),
];

const RATE_LIMIT: &[Names] = &[
    ("requests", "limit rate max count average maxrequests requestsperunit"),
    ("per", "period window interval unit timewindow seconds"),
    ("by", "key limitby policy source sourcecriterion"),
    ("shared", "redis global distributed"),
];

/// The tables in which others have names of their own, by the names that mistakes give them.
const FIELDS: &[(&str, &[Names])] =
    &[("a route", ROUTE), ("a service", SERVICE), ("check", CHECK), ("rate_limit", RATE_LIMIT)];

/// What stands elsewhere here, or nowhere, and what to do instead.
const ELSEWHERE: &[(&str, Names)] = &[
    ("a route", (OF_SERVICE, "balance hashon cookie slowstart check eject breaker maxpending connectionage tls")),
    (
        "a service",
        (
            OF_ROUTE,
            "path methods allow service upstreampath access scope anyscope claims provider \
         forwardauthorization preservehost providertoken providertokenheader bodylimit bufferrequest \
         connecttimeout firstbytetimeout idletimeout totaltimeout endwithtoken revocation revocationmaxage assertion ratelimit \
         protect allowips denyips requestheaders responseheaders redirect respond maintenance \
         compress",
        ),
    ),
    (
        "a route",
        (
            "the addresses stand in url of [services.NAME], and service = \"NAME\" leads there",
            "url urls to address addresses upstream upstreams backend backends target targets destination \
         proxypass proxyto proxy reverseproxy server servers node nodes endpoint port",
        ),
    ),
    (
        "a route",
        (
            "a route matches paths and methods, whatever the host",
            "host hosts hostname hostnames domain domains servername vhost",
        ),
    ),
    (
        "a route",
        ("services are balanced by balance of [services.NAME]", "lb lbpolicy loadbalancer loadbalancing weight"),
    ),
    ("a route", ("instances are checked by check of [services.NAME]", "health healthcheck healthchecks probe")),
    (
        "a route",
        (
            "ALLOWED_ORIGINS in .env lists the sites that may call, for all routes",
            "cors corsorigins alloworigins allowedorigins alloworigin",
        ),
    ),
    (
        "a route",
        (
            "what others do in plugins, fields of the route do here: docs/routes.md lists them",
            "plugin plugins middleware middlewares filter filters handle extraconfig",
        ),
    ),
    ("a route", ("WebSockets pass on every route", "ws websocket websockets enablewebsocket upgrade")),
    (
        "a route",
        (
            "requests that may be repeated are tried again by themselves: docs/resilience.md",
            "retry retries numretries proxynextupstream",
        ),
    ),
    ("a route", ("the longest path wins, in any order", "priority order regexpriority name id")),
    (
        "a service",
        (
            "time limits are fields of [[routes]]: connect_timeout, first_byte_timeout, idle_timeout and total_timeout",
            "timeout timeouts timeoutms readtimeout writetimeout requesttimeout",
        ),
    ),
    (
        "a service",
        (
            "requests that may be repeated are tried again by themselves: docs/resilience.md",
            "retry retries numretries proxynextupstream",
        ),
    ),
    ("a service", ("<NAME>_SERVICE_OPENAPI in .env names its document", "openapi swagger docs spec")),
    (
        "the file",
        (
            "did you mean [services.NAME]?",
            "upstream upstreams backend backends cluster clusters loadbalancer target targets",
        ),
    ),
    ("the file", ("did you mean [[routes]]?", "location locations rule rules paths endpoints router routers")),
    (
        "the file",
        (
            "the settings of the gateway itself are variables, such as PORT: docs/configuration.md",
            "server servers http https listen listener listeners entrypoints host port admin tls log \
         logging global settings gateway cors auth",
        ),
    ),
];

const OF_SERVICE: &str = "it is a field of [services.NAME]";
const OF_ROUTE: &str = "it is a field of [[routes]]";

/// What a table of the file means by another proxy's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    /// This field of the same table.
    Field(&'static str),
    /// Something else: what to do.
    Else(&'static str),
}

/// What is meant by `name` in the table with this name, if it is what another proxy calls it.
pub(super) fn meant(table: &str, name: &str) -> Option<Meant> {
    let name = folded(name);
    let is_named = |(_, others): &&Names| others.split_whitespace().any(|other| other == name);
    let own = FIELDS.iter().filter(|(of, _)| *of == table).flat_map(|(_, names)| *names).find(is_named);
    if let Some((field, _)) = own {
        return Some(Meant::Field(field));
    }
    ELSEWHERE
        .iter()
        .filter(|(of, _)| *of == table)
        .map(|(_, names)| names)
        .find(is_named)
        .map(|(hint, _)| Meant::Else(hint))
}

/// A name in the form that `rateLimit`, `rate-limit` and `rate_limit` share.
pub(super) fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
