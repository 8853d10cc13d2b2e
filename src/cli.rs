//! The command line: `gateway [command]`.

mod check;
mod client;
mod explain;
mod healthcheck;
mod help;
mod reachable;
mod schema;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use chrono_tz::Tz;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing::{error, warn};

use crate::{
    app::{self, App, StartError, World, logging},
    config::{self, LogFormat, Settings, Sources, variables},
    dev::sample_service,
    domain::gateway::services::{resealing::Unopened, signing_key::replacing::Replaced},
};

/// Exit codes of sysexits.h.
const BAD_USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const INTERNAL: u8 = 70;
/// The exit code that shells give a program ended by SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs one command.
pub fn run(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let Some(usage) = help::asked(&arguments) {
        return help::show(usage);
    }
    match arguments.as_slice() {
        [] | ["serve"] => {
            let sources = Sources::read(Path::new(".")).with_tls_files();
            with(&sources.clone(), |settings| serve(settings, sources))
        }
        ["check"] => check::check(&Sources::read(Path::new(".")).with_tls_files()),
        ["explain", arguments @ ..] => explain::run(arguments),
        ["routes"] => with_settings(|settings| {
            say(&reachable::listed(&settings));
            ExitCode::SUCCESS
        }),
        ["routes", "--json"] => with_settings(|settings| {
            say(&format!("{:#}\n", reachable::document(&settings)));
            ExitCode::SUCCESS
        }),
        ["schema"] => {
            say(&format!("{:#}\n", schema::schema()));
            ExitCode::SUCCESS
        }
        ["openapi"] => with_settings(|settings| openapi(&settings)),
        ["healthcheck"] => with_settings(|settings| healthcheck(&settings)),
        ["client", arguments @ ..] => client::run(arguments),
        ["keys", "rotate-signing"] => with_settings(|settings| rotate_signing_keys(&settings)),
        ["keys", "rotate"] => with_settings(|settings| rotate_keys(&settings)),
        ["sample-service"] => serve_sample("0.0.0.0:8001"),
        ["sample-service", address] => serve_sample(address),
        ["--version" | "-V"] => {
            say(concat!("gateway ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        [
            known @ ("serve" | "check" | "routes" | "schema" | "openapi" | "healthcheck" | "sample-service"),
            rest @ ..,
        ] => help::misused(&format!("{known} takes no such argument: {}", rest.join(" ")), &[known]),
        ["keys"] => help::misused("keys needs a command: rotate or rotate-signing", &["keys"]),
        ["keys", "rotate", rest @ ..] => {
            help::misused(&format!("keys rotate takes no such argument: {}", rest.join(" ")), &["keys", "rotate"])
        }
        ["keys", "rotate-signing", rest @ ..] => help::misused(
            &format!("keys rotate-signing takes no such argument: {}", rest.join(" ")),
            &["keys", "rotate-signing"],
        ),
        unknown => help::misused(&format!("there is no command {}", unknown.join(" ")), &[]),
    }
}

fn with_settings(command: impl FnOnce(Settings) -> ExitCode) -> ExitCode {
    with(&Sources::read(Path::new(".")), command)
}

fn with(sources: &Sources, command: impl FnOnce(Settings) -> ExitCode) -> ExitCode {
    match Settings::from_sources(sources) {
        Ok(settings) => command(settings),
        Err(mistakes) => {
            complain(&format!("{mistakes}\n"));
            hint_at_slips(sources);
            ExitCode::from(BAD_USAGE)
        }
    }
}

fn hint_at_slips(sources: &Sources) {
    for slip in config::hints(sources) {
        hint(&slip);
    }
}

fn serve(settings: Settings, sources: Sources) -> ExitCode {
    let world = World::real(settings.log_format);
    with_log(settings.log_format, settings.public.timezone, async {
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        // Registered before anything runs: an early signal is not lost.
        let mut signals = Signals::new();
        let app = tokio::select! {
            started = App::start(settings, sources, world) => match started {
                Ok(app) => app,
                Err(error) => {
                    let error = with_remedy(&error);
                    error!(%error, "the gateway cannot start");
                    return ExitCode::from(UNAVAILABLE);
                }
            },
            () = signals.stop() => return ExitCode::SUCCESS,
        };
        let (exit_code, may_take_time) = loop {
            tokio::select! {
                received = signals.next() => match received {
                    Received::Terminate => break (ExitCode::SUCCESS, true),
                    Received::Interrupt => break (ExitCode::SUCCESS, false),
                    Received::HangUp => app.reload(),
                },
                () = app.failed() => break (ExitCode::from(INTERNAL), true),
            }
        };
        let stopping = async {
            if may_take_time {
                app.leave().await;
            }
            app.stop().await;
        };
        tokio::select! {
            () = stopping => exit_code,
            () = signals.stop() => {
                warn!("stopped at once, by a second signal: requests under way are cut");
                ExitCode::from(INTERRUPTED)
            }
        }
    })
}

/// The error, and what to do about it.
fn with_remedy(error: &StartError) -> String {
    match error {
        StartError::Listen { variable, source, .. } => {
            let variable = if *variable == variables::ADMIN_ADDR.name { *variable } else { variables::PORT.name };
            format!("{error}{}", if_in_use(source, &format!("set {variable} to another one")))
        }
        _ => error.to_string(),
    }
}

/// The remedy for a port that is in use.
fn if_in_use(error: &io::Error, otherwise: &str) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        format!("; another program uses the port: stop it, or {otherwise}")
    } else {
        String::new()
    }
}

fn openapi(settings: &Settings) -> ExitCode {
    in_runtime(async {
        match app::openapi_document(settings).await {
            Ok(document) => {
                say(&format!("{}\n", String::from_utf8_lossy(&document)));
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&format!("gateway: {error}\n"));
                ExitCode::from(UNAVAILABLE)
            }
        }
    })
}

/// Runs beside working gateways. Values left under old keys are named, and the exit code says that those keys are still
/// needed.
fn rotate_keys(settings: &Settings) -> ExitCode {
    in_runtime(async {
        match app::rotate_vault_keys(settings).await {
            Ok(Some(done)) => {
                for Unopened { what, reason } in &done.unopened {
                    complain(&format!("gateway: {what} cannot be opened: {reason}\n"));
                }
                let (resealed, current, unopened) = (done.resealed, done.current, done.unopened.len());
                say(&format!("{resealed} sealed anew, {current} were current, {unopened} cannot be opened\n"));
                if done.unopened.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Ok(None) => nothing_to_rotate(),
            Err(error) => {
                complain(&format!("gateway: {error}\n"));
                ExitCode::from(UNAVAILABLE)
            }
        }
    })
}

/// Runs beside working gateways, which learn of it by themselves.
fn rotate_signing_keys(settings: &Settings) -> ExitCode {
    in_runtime(async {
        match app::rotate_signing_keys(settings).await {
            Ok(Some((Replaced { kid, deleted }, within))) => {
                say(&format!(
                    "{kid} signs from now on; other keys, now deleted: {deleted}. Within {within:?} every gateway that reaches \
                     the store refuses tokens of other keys, and publishes only this one; until then a gateway may also \
                     refuse tokens of this one. Sessions and refresh tokens stay valid.\n"
                ));
                ExitCode::SUCCESS
            }
            Ok(None) => nothing_to_rotate(),
            Err(error) => {
                complain(&format!("gateway: {error}\n"));
                ExitCode::from(UNAVAILABLE)
            }
        }
    })
}

fn nothing_to_rotate() -> ExitCode {
    complain(
        "gateway: there is nothing to rotate: without DATABASE_URL the store is in memory, and all data is lost when the \
         gateway stops; set DATABASE_URL and VAULT_KEY as the gateway has them\n",
    );
    ExitCode::from(BAD_USAGE)
}

fn serve_sample(address: &str) -> ExitCode {
    let Ok(address) = address.parse::<SocketAddr>() else {
        complain(&format!(
            "gateway: ADDRESS must be an IP address and a port, such as 127.0.0.1:8001, not {address:?}\n"
        ));
        return ExitCode::from(BAD_USAGE);
    };
    with_log(LogFormat::Text, Tz::UTC, async {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => {
                let mut signals = Signals::new();
                say(&format!("sample AUTH service on http://{address}/users\n"));
                match sample_service::serve(listener, async move { signals.stop().await }).await {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => {
                        complain(&format!("gateway: the listener is lost: {error}\n"));
                        ExitCode::from(UNAVAILABLE)
                    }
                }
            }
            Err(error) => {
                let remedy = if_in_use(&error, "name another ADDRESS");
                complain(&format!("gateway: cannot listen on {address}: {error}{remedy}\n"));
                ExitCode::from(UNAVAILABLE)
            }
        }
    })
}

fn healthcheck(settings: &Settings) -> ExitCode {
    let address = healthcheck::reachable(settings.listener.address);
    match healthcheck::is_alive(address, settings.tls.is_some()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            complain(&format!("gateway: {address} is not healthy\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("gateway: {address} does not respond: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Runs work that logs. Returns after everything logged is written, unless nothing reads it.
fn with_log(format: LogFormat, timezone: Tz, work: impl Future<Output = ExitCode>) -> ExitCode {
    match logging::start(format, timezone) {
        Ok(_logging) => in_runtime_or_else(work, |error| error!(%error, "cannot start the runtime")),
        Err(error) => {
            complain(&format!("gateway: cannot start the thread of the log: {error}\n"));
            ExitCode::from(UNAVAILABLE)
        }
    }
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    in_runtime_or_else(work, |error| complain(&format!("gateway: cannot start the runtime: {error}\n")))
}

fn in_runtime_or_else(work: impl Future<Output = ExitCode>, complain: impl FnOnce(io::Error)) -> ExitCode {
    match Runtime::new() {
        Ok(runtime) => {
            let exit_code = runtime.block_on(work);
            // A second signal ends at once, without waiting for threads.
            runtime.shutdown_background();
            exit_code
        }
        Err(error) => {
            complain(error);
            ExitCode::from(UNAVAILABLE)
        }
    }
}

/// The handled signals. A signal that cannot be listened to never arrives.
struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> Self {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(|kind| signal(kind).ok());
        Self { terminate, interrupt, hangup }
    }

    /// Waits for SIGINT (Ctrl-C), SIGTERM or SIGHUP.
    async fn next(&mut self) -> Received {
        tokio::select! {
            () = next(&mut self.terminate) => Received::Terminate,
            () = next(&mut self.interrupt) => Received::Interrupt,
            () = next(&mut self.hangup) => Received::HangUp,
        }
    }

    /// Waits for SIGINT or SIGTERM. SIGHUP is ignored: a closed terminal ends nothing, and while the gateway starts or
    /// stops there is nothing to reload.
    async fn stop(&mut self) {
        while self.next().await == Received::HangUp {}
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    /// To end, as an orchestrator asks: a balancer must learn of it.
    Terminate,
    /// To end, as a person at the keyboard asks.
    Interrupt,
    /// A gateway that serves reads its settings again.
    HangUp,
}

async fn next(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Prints a warning that is no failure.
fn hint(text: &str) {
    complain(&format!("hint: {text}\n"));
}

/// A closed output is not a failure.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
