"""Lives the life of a machine client with authlib: discovery, a token of its own, introspection, refresh, revocation.

authlib_client.py, and on standard input {issuer, client_id, method, secret, key, alg, refresh_token} as JSON.
Prints what it got.
"""

import json
import sys

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey, OKPKey, RSAKey

KEYS = {"ES256": ECKey, "RS256": RSAKey, "EdDSA": OKPKey}


def main(issuer, client_id, method, refresh_token, secret=None, key=None, alg=None):
    server = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=20).json()
    if method == "private_key_jwt":
        secret = KEYS[alg].import_key(key)
    session = OAuth2Session(
        client_id, secret, token_endpoint_auth_method=method, revocation_endpoint_auth_method=method
    )
    if method == "private_key_jwt":
        session.register_client_auth_method(PrivateKeyJWT(server["token_endpoint"], alg=alg))

    def introspect(token):
        return session.introspect_token(server["introspection_endpoint"], token).json()

    granted = dict(session.fetch_token(server["token_endpoint"], grant_type="client_credentials", scope="read"))
    active = introspect(granted["access_token"])
    refreshed = dict(session.refresh_token(server["token_endpoint"], refresh_token, scope="a"))
    refreshable = introspect(refreshed["refresh_token"])
    session.revoke_token(server["revocation_endpoint"], granted["access_token"]).raise_for_status()
    ended = introspect(granted["access_token"])
    session.revoke_token(server["revocation_endpoint"], refreshed["refresh_token"]).raise_for_status()
    family = introspect(refreshed["access_token"])
    try:
        refused = session.fetch_token(server["token_endpoint"], grant_type="client_credentials", scope="admin")
    except OAuthError as error:
        refused = error.error
    print(
        json.dumps(
            {
                "granted": granted,
                "active": active,
                "refreshed": refreshed,
                "refreshable": refreshable,
                "ended": ended,
                "family": family,
                "refused": refused,
            }
        )
    )


main(**json.load(sys.stdin))
