"""Runs Schemathesis against a gateway: the OpenAPI document has to say what comes, and to refuse what is refused.

Reads {"url": …, "bearer": …, "sessions": [two of them], "client": [id, secret]} and prints what was found."""

import json
import os
import subprocess
import sys
import tempfile

given = json.load(sys.stdin)

# Rules beyond the schema, and the responses to their violation instead of 2xx, 401, 403, 404, 409 or 429.
BEYOND_SCHEMAS = {
    # RFC 6749 §5.2 has 400 for invalid tokens, and parameters exclude each other.
    "POST /oauth2/token": [400],
    "POST /oauth2/revoke": [400],
    "POST /oauth2/introspect": [400],
    # The valid scopes and auth_types depend on the provider and on the settings.
    "GET /login/{provider}": [400],
    # An unknown state, a code that the provider did not issue.
    "GET /login/{provider}/callback": [400],
    # Parameters are printable ASCII.
    "POST /login/{provider}/callback": [400],
    "POST /oauth": [400, 422],
    # The content and the signature of a token.
    "POST /oauth/events/{provider}": [400],
    # Whether the password or an e-mail is required depends on the account.
    "POST /accounts/password": [422],
    "DELETE /accounts/me": [422],
    "DELETE /accounts/me/providers/{provider}": [422],
    "POST /login/{provider}/link": [422],
    # The address must lie in SERVICE_CIDRS, and is either in `url` or that of the caller.
    "POST /services/{name}/instances": [422],
    # A cursor is opaque.
    "GET /oauth": [422],
}

# Schemathesis cannot write a token.
HOOKS = """
import schemathesis

@schemathesis.serializer("application/secevent+jwt")
def token(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""

# They end sessions and tokens of other cases, so they come last and with a session of their own.
LAST = ["delete_account", "logout", "end_session", "end_other_sessions", "change_password", "revoke_token", "oauth2_revoke"]


def text(value):
    return json.dumps(value)


def configuration(session):
    client_id, secret = given["client"]
    lines = [
        "[auth.openapi.bearer]", f"bearer = {text(given['bearer'])}",
        "[auth.openapi.session]", f"api_key = {text(session)}",
        "[auth.openapi.client]", f"username = {text(client_id)}", f"password = {text(secret)}",
    ]
    for operation, statuses in BEYOND_SCHEMAS.items():
        expected = ["2xx", "3xx", "401", "403", "404", "409", "429", "503", *map(str, statuses)]
        lines += ["[[operations]]", f"include-name = {text(operation)}",
                  f"checks.positive_data_acceptance.expected-statuses = {text(expected)}"]
    return "\n".join(lines) + "\n"


def run(session, selection):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in [("schemathesis.toml", configuration(session)), ("hooks.py", HOOKS)]:
            with open(os.path.join(folder, name), "w") as file:
                file.write(content)
        program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
        options = [
            "--url", given["url"], "--phases", "examples,coverage,fuzzing", "--max-examples", "6", "--seed", "1",
            # The documents of services are not checked here.
            "--exclude-path-regex", "^/api/",
            "--continue-on-failure", "--warnings", "off", "--no-color", "--request-timeout", "20",
        ]
        ended = subprocess.run(
            [program, "run", given["url"] + "/openapi.json", *options, *selection],
            cwd=folder, env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": folder}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        print(ended.stdout)
        return ended.returncode


first, second = given["sessions"]
excluded = [option for name in LAST for option in ("--exclude-operation-id", name)]
included = [option for name in LAST for option in ("--include-operation-id", name)]
codes = [run(first, excluded), run(second, included)]
sys.exit(max(codes))
