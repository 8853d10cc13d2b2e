//! The command line: its output, and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::process::Output;

use common::Gateway;
use serde_json::Value;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    common::command(folder.path(), variables).args(arguments).output().unwrap()
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_mistake_in_the_settings_is_told_at_once_and_nothing_starts() {
    for command in [vec![], vec!["serve"], vec!["check"], vec!["openapi"]] {
        let output = run(&command, &[("PORT", "x"), ("TIMEZONE", "Mars"), ("VAULT_KEY", "s3cret")]);
        assert_eq!(output.status.code(), Some(64), "{command:?}");
        let complaint = printed(&output.stderr);
        for name in ["PORT", "TIMEZONE", "VAULT_KEY"] {
            assert!(complaint.contains(name), "{complaint}");
        }
        assert!(!complaint.contains("s3cret"), "{complaint}");
    }
}

#[test]
fn production_without_a_store_a_key_and_https_does_not_start() {
    let output = run(&[], &[("GATEWAY_ENV", ""), ("PUBLIC_URL", "http://www.jinmini.com")]);
    assert_eq!(output.status.code(), Some(64));
    let complaint = printed(&output.stderr);
    for name in ["PUBLIC_URL", "DATABASE_URL", "VAULT_KEY"] {
        assert!(complaint.contains(name), "{complaint}");
    }
}

#[test]
fn good_settings_are_told_so() {
    let output = run(&["check"], &[]);
    let said = printed(&output.stdout);
    assert!(output.status.success() && said.starts_with("the settings are good\n"), "{said}");
}

#[test]
fn the_providers_that_are_on_are_told_and_names_of_consoles_hinted_at() {
    let alone = printed(&run(&["check"], &[("LINE_CHANNEL_ID", "1"), ("LINE_CHANNEL_SECRET", "s")]).stdout);
    assert!(
        alone.contains("people sign in with the development stand-in: no provider has an id and a secret\n"),
        "{alone}"
    );
    let with_two = [
        ("LINE_CLIENT_ID", "1"),
        ("LINE_CLIENT_SECRET", "s"),
        ("ENTRA_CLIENT_ID", "1"),
        ("ENTRA_CLIENT_SECRET", "s"),
        ("ENTRA_TENANT", "contoso.com"),
        ("TWITTER_CLIENT_ID", "1"),
        ("APPLE_CLIENT_SECRET", "1"),
    ];
    let output = run(&["check"], &with_two);
    let said = printed(&output.stdout);
    assert!(said.contains("people sign in with LINE (/login/line), Microsoft (/login/entra)\n"), "{said}");
    let hinted = printed(&output.stderr);
    assert!(
        hinted.contains("TWITTER_CLIENT_ID is set, but the gateway does not read it; it reads X_CLIENT_ID"),
        "{hinted}"
    );
    assert!(hinted.contains("Apple's client secret is made from APPLE_PRIVATE_KEY"), "{hinted}");
}

#[test]
fn it_is_told_what_is_reachable_and_by_whom() {
    let shipped = printed(&run(&["check"], &[]).stdout);
    let expected = "
services are reachable here, each path with all below it:
  /api/user/login  any method  auth  /login     everyone
  /api/users       any method  auth  /users     everyone
  /api/users/me    any method  auth  /users/me  callers with a valid token and signed-in browsers
";
    assert!(shipped.ends_with(expected.trim_start()), "{shipped}");

    let own = printed(&run(&["check"], &[("USERS_SERVICE_URL", "http://users:1")]).stdout);
    let told = "no route leads to the service users: /api/users leads to auth (a shipped route); a route of your own for that path, \
                or default_routes = false in gateway.toml, replaces it\n";
    assert!(own.ends_with(told), "{own}");

    let key = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";
    let production = [
        ("GATEWAY_ENV", ""),
        ("PUBLIC_URL", "https://www.jinmini.com"),
        ("DATABASE_URL", "sqlite://gateway.db?mode=rwc"),
        ("VAULT_KEY", key),
    ];
    let shipped = printed(&run(&["check"], &production).stdout);
    assert!(
        shipped.ends_with("\nthe service auth has no address, so its paths get 503: set AUTH_SERVICE_URL\n"),
        "{shipped}"
    );

    let folder = tempfile::tempdir().unwrap();
    let routes = "
        [[routes]]
        path = '/api/board/admin'
        service = 'board'
        scope = ['admin']
        allow = ['encoded-slash']
        [[routes]]
        path = '/api/board/admin'
        service = 'board'
        methods = ['GET']
        access = 'open'
        [[routes]]
        path = '/api/hidden'
        service = 'board'
        upstream_path = '/'
    ";
    std::fs::write(folder.path().join("gateway.toml"), routes).unwrap();
    let variables =
        [("BOARD_SERVICE_URL", "http://b"), ("SHOP_SERVICE_URL", "http://s"), ("HIDDEN_SERVICE_URL", "http://h")];
    let output = common::command(folder.path(), &variables).arg("check").output().unwrap();
    let said = printed(&output.stdout);
    let expected = "
services are reachable here, each path with all below it:
  /api/board/admin  GET, HEAD   board  /admin     everyone
  /api/board/admin  any method  board  /admin     callers with a valid token, if they have scope admin; lets through encoded-slash
  /api/hidden       any method  board  /          callers with a valid token
  /api/shop         any method  shop   /          callers with a valid token
  /api/user/login   any method  auth   /login     everyone
  /api/users        any method  auth   /users     everyone
  /api/users/me     any method  auth   /users/me  callers with a valid token and signed-in browsers
no route leads to the service hidden: /api/hidden leads to board (gateway.toml line 12)
";
    assert!(said.ends_with(expected.trim_start()), "{said}");
    let listed = printed(&common::command(folder.path(), &variables).arg("routes").output().unwrap().stdout);
    assert_eq!(listed, expected.trim_start());
    let document: serde_json::Value = serde_json::from_slice(
        &common::command(folder.path(), &variables).args(["routes", "--json"]).output().unwrap().stdout,
    )
    .unwrap();
    assert_eq!(document["routes"].as_array().unwrap().len(), 7, "{document}");
    assert_eq!(
        document["routes"][1],
        serde_json::json!({
            "path": "/api/board/admin", "methods": [], "service": "board", "path_at_service": "/admin",
            "access": "callers with a valid token, if they have scope admin", "allow": ["encoded-slash"], "policy": [],
            "from": "gateway.toml line 2",
        })
    );
    assert_eq!(document["routes"][0]["methods"], serde_json::json!(["GET", "HEAD"]));
    assert_eq!(
        document["unreachable"],
        serde_json::json!([{
            "service": "hidden",
            "reason": "no route leads to the service hidden: /api/hidden leads to board (gateway.toml line 12)",
        }])
    );

    let alone = format!("default_routes = false\n{routes}");
    std::fs::write(folder.path().join("gateway.toml"), alone).unwrap();
    let listed = printed(&common::command(folder.path(), &variables).arg("routes").output().unwrap().stdout);
    assert!(listed.contains("  /api/auth         any method  auth ") && !listed.contains("/api/users"), "{listed}");
}

/// With valid settings or not: a misspelt name may be the cause of a missing one.
#[test]
fn a_variable_of_the_environment_that_looks_misspelt_is_a_hint() {
    let slips = [
        ("DATABSE_URL", "DATABASE_URL"),
        ("GATEWAY_EVN", "GATEWAY_ENV"),
        ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
        ("GOOGLE_CLIENT_SECERT", "GOOGLE_CLIENT_SECRET"),
        ("AUTH_SERVICES_URL", "AUTH_SERVICE_URL"),
    ];
    let misspelt = slips.map(|(name, _)| (name, "s3cret"));
    for (more, code) in [(None, 0), (Some(("PORT", "x")), 64)] {
        let variables: Vec<_> = misspelt.iter().copied().chain(more).collect();
        let output = run(&["check"], &variables);
        assert_eq!(output.status.code(), Some(code));
        let hints = printed(&output.stderr);
        for (name, meant) in slips {
            let hint = format!(
                "hint: {name} is set in the environment, and the gateway has no such variable: did you mean {meant}?\n"
            );
            assert!(hints.contains(&hint), "{hints}");
        }
        assert!(!hints.contains("s3cret"), "{hints}");
    }
    let others = [("HOSTNAME", "h"), ("GATEWAY_SERVICE_HOST", "10.0.0.1"), ("GATEWAY_PORT", "tcp://10.0.0.1:8080")];
    assert_eq!(printed(&run(&["check"], &others).stderr), "");
}

#[test]
fn a_setting_that_should_be_changed_is_a_warning() {
    let output = run(&["check"], &[("TRUSTED_PROXIES", "0.0.0.0/0")]);
    let told = printed(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("warning: TRUSTED_PROXIES contains 0.0.0.0/0, so every client could set its own address; "));
}

#[test]
fn missing_parts_of_a_database_are_a_hint() {
    const NO_TABLES: &str = "hint: the database of DATABASE_URL has none of the gateway's tables yet";
    const NO_CLIENT: &str = "hint: no machine client exists";
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("gateway.db").display());
    let store = [("DATABASE_URL", url.as_str()), ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=")];
    let run = |arguments: &[&str], environment| {
        let variables = [&store[..], &[("GATEWAY_ENV", environment)]].concat();
        let output = common::command(folder.path(), &variables).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", printed(&output.stderr));
        printed(&output.stderr)
    };
    let hints = |environment| {
        let told = run(&["check"], environment);
        (told.contains(NO_TABLES), told.contains(NO_CLIENT))
    };
    assert_eq!((hints("production"), hints("development")), ((true, true), (true, false)));
    assert!(!folder.path().join("gateway.db").exists(), "nothing is made");
    run(&["client", "list"], "production");
    assert_eq!((hints("production"), hints("development")), ((false, true), (false, false)));
    run(&["client", "add", "operator"], "production");
    assert_eq!((hints("production"), hints("development")), ((false, false), (false, false)));

    let nowhere = [("DATABASE_URL", "postgres://user:s3cret@127.0.0.1:1/gateway"), store[1]];
    let output = common::command(folder.path(), &nowhere).arg("check").output().unwrap();
    let told = printed(&output.stderr);
    assert!(output.status.success() && told.starts_with("hint: cannot read the database: "), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn unusable_routes_are_mistakes_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let routes = "[[routes]]\npath = '/api/x'\nservice = 'reprots'\n\
                  [[routes]]\npath = '/api/y'\nservice = 'reports'\naccess = 'session'\nclaims = { team = 'blue' }\n";
    std::fs::write(folder.path().join("gateway.toml"), routes).unwrap();
    for arguments in [&["check"][..], &[]] {
        let output =
            common::command(folder.path(), &[("REPORTS_SERVICE_URL", "http://r")]).args(arguments).output().unwrap();
        let told = printed(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        for part in [
            "gateway.toml line 3: service must be a service with an address, not \"reprots\"; ",
            "REPROTS_SERVICE_URL is not set, and there is no [services.reprots]; did you mean \"reports\"?",
            "gateway.toml line 8: the claim team must not be demanded where a session is enough; ",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}

#[test]
fn a_request_is_explained_in_words_and_in_json() {
    let gateway = Gateway::start();
    let (token, _) = gateway.tokens(&serde_json::json!({ "subject": "alice" }));
    let output = run(&["explain", "GET", "/api/users/me", "--token", &token], &[]);
    let said = printed(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for line in [
        "GET /api/users/me\n",
        "route      /api/users/me (any method), a shipped route\n",
        "access     callers with a valid token and signed-in browsers\n",
        "service    auth, where the path is /users/me\n",
        "instances  the sample service, which development starts\n",
        "token      passes\n",
        "token      subject alice, no scope, issued by https://www.jinmini.com, valid until ",
        "token      only its claims were read: neither its signature nor whether it is revoked was checked",
    ] {
        assert!(said.contains(line), "{said}\n{line}");
    }
    let output = run(&["explain", "GET", "/api/user", "--json"], &[]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{document}");
    assert_eq!((&document["status"], &document["code"]), (&404.into(), &"no_route".into()));
    assert_eq!(document["near"], serde_json::json!(["/api/users has a route; is the path misspelt?"]));
    let pasted = run(&["explain", "GET", "http://localhost:8080/api/users?page=2"], &[]);
    assert!(printed(&pasted.stdout).starts_with("GET /api/users\n"), "{pasted:?}");
    assert_eq!(run(&["explain", "GET"], &[]).status.code(), Some(64));
    assert_eq!(run(&["explain", "GET", "/", "--tokn", "x"], &[]).status.code(), Some(64));
}

#[test]
fn the_schema_is_printed_whatever_the_settings_are() {
    let output = run(&["schema"], &[("PORT", "x")]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(schema["properties"]["routes"]["items"]["required"], serde_json::json!(["path"]));
    let balance =
        &schema["properties"]["services"]["patternProperties"]["^[a-z][a-z0-9-]{0,62}$"]["properties"]["balance"];
    assert!(balance["enum"].as_array().unwrap().contains(&"round-robin".into()), "{balance}");
}

#[test]
fn a_store_that_cannot_be_reached_is_the_reason_it_does_not_start() {
    let vault = ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=");
    let output = run(&[], &[("DATABASE_URL", "postgres://user:s3cret@127.0.0.1:1/gateway"), vault]);
    assert_eq!(output.status.code(), Some(69));
    let log = printed(&output.stdout) + &printed(&output.stderr);
    assert!(log.contains("DATABASE_URL") && !log.contains("s3cret"), "{log}");
}

/// The certificates are read in parallel to the rest of the start, which must fail all the same.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_root_certificates_is_the_reason_it_does_not_start() {
    let provider = [("GITHUB_CLIENT_ID", "a"), ("GITHUB_CLIENT_SECRET", "s3cret"), ("SSL_CERT_FILE", "/dev/null")];
    let output = run(&[], &provider);
    assert_eq!(output.status.code(), Some(69));
    let log = printed(&output.stdout);
    assert!(log.contains("the HTTP client for providers cannot be created") && !log.contains("s3cret"), "{log}");
    assert_eq!(run(&["openapi"], &provider).status.code(), Some(0));
}

#[test]
fn an_address_in_use_is_named() {
    let gateway = Gateway::start();
    let port = gateway.address.port().to_string();
    let output = run(&[], &[("PORT", &port)]);
    assert_eq!(output.status.code(), Some(69));
    let log = printed(&output.stdout);
    assert!(log.contains(&format!("127.0.0.1:{port}")) && log.contains("PORT"), "{log}");
    assert!(log.contains("another program uses the port: stop it, or set PORT to another one"), "{log}");
}

#[test]
fn the_health_check_knows_a_ready_gateway_from_none() {
    let gateway = Gateway::start();
    let port = gateway.address.port().to_string();
    assert_eq!(run(&["healthcheck"], &[("PORT", &port)]).status.code(), Some(0));
    drop(gateway);
    assert_eq!(run(&["healthcheck"], &[("PORT", &port)]).status.code(), Some(1));
}

#[test]
fn without_a_store_there_is_nothing_to_rotate() {
    for vault_key in ["", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE="] {
        for command in ["rotate", "rotate-signing"] {
            let output = run(&["keys", command], &[("VAULT_KEY", vault_key)]);
            assert_eq!(output.status.code(), Some(64));
            let complaint = printed(&output.stderr);
            assert!(complaint.contains("nothing to rotate") && complaint.contains("DATABASE_URL"), "{complaint}");
        }
    }
    let output = run(&["keys", "rotate"], &[("DATABASE_URL", "sqlite://gateway.db")]);
    assert_eq!(output.status.code(), Some(64));
    assert!(printed(&output.stderr).contains("VAULT_KEY is required"));
}

#[test]
fn an_unknown_command_is_answered_with_the_known_ones() {
    let output = run(&["fly"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(printed(&output.stderr).contains("healthcheck"));
    assert!(printed(&run(&["--help"], &[]).stdout).contains("sample-service"));
}

#[test]
fn each_command_says_how_it_is_written_and_does_nothing_then() {
    for command in [
        &["serve"][..],
        &["check"],
        &["routes"],
        &["explain"],
        &["schema"],
        &["openapi"],
        &["healthcheck"],
        &["client"],
        &["client", "add"],
        &["client", "list"],
        &["client", "rotate"],
        &["client", "remove"],
        &["keys"],
        &["keys", "rotate"],
        &["keys", "rotate-signing"],
        &["sample-service"],
    ] {
        // The settings are invalid: help is printed all the same.
        let output = run(&[command, &["--help"]].concat(), &[("PORT", "x")]);
        let said = printed(&output.stdout);
        assert!(said.starts_with(&format!("usage: gateway {}", command.join(" "))), "{said}");
        assert!(output.status.success() && output.stderr.is_empty(), "{command:?}");
    }
    let output = run(&["check", "everything"], &[]);
    let complaint = printed(&output.stderr);
    assert!(complaint.contains("everything") && complaint.contains("usage: gateway check\n"), "{complaint}");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn usage_is_shown_for_what_is_written_wrongly_and_not_for_what_cannot_be_done() {
    for (arguments, code, has_usage) in [
        (&["client", "add", "a", "--secret", "x"][..], 64, true),
        (&["client"], 64, true),
        (&["client", "add", "a", "--jwks", "/nowhere"], 64, false),
        (&["client", "remove", "reports"], 64, false),
        (&["client", "list"], 64, false),
    ] {
        let output = run(arguments, &[]);
        let complaint = printed(&output.stderr);
        assert_eq!((output.status.code(), complaint.contains("usage:")), (Some(code), has_usage), "{complaint}");
    }
}

/// Callers rely on the document: changing it changes the API, which a review must see. `gateway openapi` writes the new
/// one.
#[test]
fn the_openapi_document_is_the_reviewed_one() {
    let reviewed: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
    let printed: Value = serde_json::from_slice(&run(&["openapi"], &[]).stdout).unwrap();
    assert!(
        printed == reviewed,
        "the API has changed; if that is meant: GATEWAY_ENV=development PUBLIC_URL=https://www.jinmini.com cargo run -- openapi | \
         python3 -m json.tool --indent 1 --no-ensure-ascii > tests/openapi.json"
    );
}
