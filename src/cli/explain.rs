//! `gateway explain METHOD PATH`: which route a request would take, and why. It reads the files alone: what only a
//! running gateway knows (keys, revocations, registered instances) is named as such.

mod near;
mod token;

use std::process::ExitCode;

use serde_json::{Value, json};

use self::token::TokenReport;
use super::{help, say};
use crate::{
    app::routes_in_force,
    config::{Environment, RouteOrigin, SAMPLE_SERVICE, Settings, Sources, service_variable},
    domain::gateway::models::{
        http::path::{PathPrefix, Spellings},
        service::{DeclaredService, Found, Route, ServiceUrl, Wanted},
    },
    edge::http::path::{BadPath, canonical},
};

/// What the files cannot tell.
const UNDECLARED: &str = "a service whose instances register themselves, or are containers, is known to the running gateway \
                          alone: GET /services";

/// The request to explain.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    token: Option<&'a str>,
    json: bool,
}

/// Runs `gateway explain` with these arguments.
pub(super) fn run(arguments: &[&str]) -> ExitCode {
    let request = match read(arguments) {
        Ok(request) => request,
        Err(mistake) => return help::misused(&mistake, &["explain"]),
    };
    super::with(&Sources::read(std::path::Path::new(".")), |settings| {
        let explanation = explain(&settings, &request);
        if request.json {
            say(&format!("{:#}\n", explanation.to_json()));
        } else {
            say(&explanation.to_text());
        }
        if explanation.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

fn read<'a>(arguments: &[&'a str]) -> Result<Request<'a>, String> {
    let mut words = Vec::new();
    let (mut token, mut json) = (None, false);
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        match argument {
            "--json" => json = true,
            "--token" => token = Some(*rest.next().ok_or("--token needs a token")?),
            _ if argument.starts_with("--") => return Err(format!("explain has no option {argument}")),
            word => words.push(word),
        }
    }
    match words[..] {
        [method, path] => {
            // A URL that was copied from a browser.
            let url = path.strip_prefix("http://").or_else(|| path.strip_prefix("https://"));
            let path = url.map_or(path, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
            if !path.starts_with('/') {
                return Err(format!("PATH must begin with /, not {path:?}"));
            }
            Ok(Request { method, path, token, json })
        }
        _ => Err("explain needs a method and a path, such as GET /api/users".to_owned()),
    }
}

/// What becomes of a request.
struct Explanation<'a> {
    request: &'a Request<'a>,
    /// The path that is matched.
    path: String,
    outcome: Outcome,
}

enum Outcome {
    Forwarded(Box<Forwarded>),
    /// It does not reach a service: the status, the code, the reason, and what comes near.
    Refused {
        status: u16,
        code: &'static str,
        why: String,
        hints: Vec<String>,
    },
    /// The gateway itself responds.
    OwnPath,
}

struct Forwarded {
    route: Route,
    origin: String,
    /// `None` if the gateway answers itself.
    upstream: Option<Upstream>,
    token: Option<TokenReport>,
}

/// Where a request goes.
struct Upstream {
    path: String,
    instances: Vec<String>,
    /// Why there is none, or which there may be besides.
    note: Option<String>,
}

fn explain<'a>(settings: &Settings, request: &'a Request<'a>) -> Explanation<'a> {
    let path = request.path.split(['?', '#']).next().unwrap_or_default();
    let form = match canonical(path) {
        Ok(form) => form,
        Err(why) => return Explanation { request, path: path.to_owned(), outcome: bad_path(why, Vec::new()) },
    };
    let path = without_prefix(&form.path, &settings.public.api_prefix).to_owned();
    let table = routes_in_force(settings);
    let wanted = Wanted { path: &path, spellings: form.spellings, method: request.method, preflight_for: None };
    let outcome = match table.find(wanted) {
        Found::Route { route, .. } => Outcome::Forwarded(Box::new(forwarded(settings, request, route, &path))),
        Found::OtherMethods(routes) => Outcome::Refused {
            status: 405,
            code: "method_not_allowed",
            why: format!("no route of this path has the method {}", request.method),
            hints: near::methods(routes, request.method),
        },
        Found::Refused(spelling) => {
            let names: Spellings = [spelling].into_iter().collect();
            bad_path(spelling.into(), vec![format!("a route lets such paths through with allow = [\"{names}\"]")])
        }
        Found::Ambiguous => Outcome::Refused {
            status: 404,
            code: "no_route",
            why: "a server that reads the path in another way, such as without case, would take it for one of a stricter \
                  route"
                .to_owned(),
            hints: near::routes(&table, &path),
        },
        Found::Nothing if Route::is_service_path(&path) => Outcome::Refused {
            status: 404,
            code: "no_route",
            why: format!("no route matches the path; {UNDECLARED}"),
            hints: near::routes(&table, &path),
        },
        Found::Nothing => Outcome::OwnPath,
    };
    Explanation { request, path, outcome }
}

fn bad_path(why: BadPath, hints: Vec<String>) -> Outcome {
    Outcome::Refused { status: 400, code: "bad_path", why: why.to_string(), hints }
}

/// Services' paths are also served under the prefix of the gateway's API.
fn without_prefix<'p>(path: &'p str, prefix: &PathPrefix) -> &'p str {
    prefix.rest(path).filter(|rest| Route::is_service_path(rest)).unwrap_or(path)
}

fn forwarded(settings: &Settings, request: &Request<'_>, route: &Route, path: &str) -> Forwarded {
    Forwarded {
        origin: origin(settings, route),
        upstream: (!answers_itself(route)).then(|| upstream(settings, route, path)),
        token: request.token.map(|token| token::report(settings, &route.access, token)),
        route: route.clone(),
    }
}

/// Whether the gateway answers requests on this route, even if it names a service.
fn answers_itself(route: &Route) -> bool {
    route.traffic.as_ref().is_some_and(|policy| policy.answer.is_some())
}

fn upstream(settings: &Settings, route: &Route, path: &str) -> Upstream {
    let declared = settings.services.iter().find(|service| service.name == route.service);
    let is_sample = settings.environment == Environment::Development && route.service.as_str() == SAMPLE_SERVICE;
    let instances: Vec<String> = declared.iter().flat_map(|service| &service.urls).map(ServiceUrl::to_string).collect();
    let note = match declared {
        _ if !instances.is_empty() => None,
        _ if is_sample => Some("the sample service, which development starts".to_owned()),
        Some(DeclaredService { name, .. }) => Some(format!(
            "none is declared ({} is not set): those that register themselves are known to the running gateway alone",
            service_variable(name)
        )),
        None => Some(format!("none, so the response is 503: set {}", service_variable(&route.service))),
    };
    let path = route.upstream_pieces(path).map(|pieces| pieces.concat()).unwrap_or_default();
    Upstream { path, instances, note }
}

/// Where a route comes from.
pub(super) fn origin(settings: &Settings, route: &Route) -> String {
    let known = settings.route_origins.get(&(route.prefix.clone(), route.methods.clone()));
    known.map_or_else(|| format!("the default route of {}", route.service), RouteOrigin::to_string)
}

impl Forwarded {
    fn restrictions(&self) -> Vec<String> {
        self.route.restrictions()
    }
}

impl Explanation<'_> {
    /// Whether the request reaches a service, as far as the files tell.
    fn passes(&self) -> bool {
        match &self.outcome {
            Outcome::Forwarded(forwarded) => forwarded.token.as_ref().is_none_or(TokenReport::passes),
            Outcome::Refused { .. } => false,
            Outcome::OwnPath => true,
        }
    }

    fn to_text(&self) -> String {
        let mut lines = vec![format!("{} {}", self.request.method, self.path)];
        match &self.outcome {
            Outcome::OwnPath => lines.push("the gateway itself responds: only paths under /api have routes".to_owned()),
            Outcome::Refused { status, code, why, hints } => {
                lines.push(format!("refused with {status} {code}: {why}"));
                lines.extend(hints.iter().map(|hint| format!("  {hint}")));
            }
            Outcome::Forwarded(forwarded) => {
                let Forwarded { route, origin, upstream, token } = &**forwarded;
                lines.push(format!("route      {} ({}), {origin}", route.prefix, route.methods));
                lines.push(format!("access     {}", route.access));
                lines.extend(forwarded.restrictions().iter().map(|rule| format!("policy     {rule}")));
                if let Some(Upstream { path, instances, note }) = upstream {
                    lines.push(format!("service    {}, where the path is {path}", route.service));
                    lines.extend(instances.iter().chain(note).map(|text| format!("instances  {text}")));
                }
                for line in token.iter().flat_map(TokenReport::lines) {
                    lines.push(format!("token      {line}"));
                }
            }
        }
        lines.join("\n") + "\n"
    }

    fn to_json(&self) -> Value {
        let mut document = json!({ "method": self.request.method, "path": self.path });
        let more = match &self.outcome {
            Outcome::OwnPath => json!({ "outcome": "own_path" }),
            Outcome::Refused { status, code, why, hints } => {
                json!({ "outcome": "refused", "status": status, "code": code, "reason": why, "near": hints })
            }
            Outcome::Forwarded(forwarded) => {
                let Forwarded { route, origin, upstream, token } = &**forwarded;
                json!({
                    "outcome": if upstream.is_some() { "forwarded" } else { "answered" },
                    "route": { "path": route.prefix.to_string(), "methods": route.methods.named(), "from": origin },
                    "access": route.access.to_string(),
                    "policy": forwarded.restrictions(),
                    "service": upstream.as_ref().map(|_| route.service.as_str()),
                    "path_at_service": upstream.as_ref().map(|there| &there.path),
                    "instances": upstream.as_ref().map_or(&[][..], |there| &there.instances),
                    "note": upstream.as_ref().and_then(|there| there.note.as_ref()),
                    "token": token.as_ref().map(TokenReport::to_json),
                })
            }
        };
        if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
            document.extend(more);
        }
        document
    }
}

#[cfg(test)]
mod tests;
