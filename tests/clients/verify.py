"""Verifies an access token (type at+jwt) or an assertion (JWT) as a service in Python would, with python-jose.

verify.py JWKS_URL ISSUER AUDIENCE ALGORITHM TYPE, the token on standard input.
Prints the claims. Refuses with exit code 3 and the reason on standard error; anything else is a mistake of its own.
"""

import json
import sys
from urllib.request import urlopen

from jose import jwt
from jose.exceptions import JWTError

REFUSED = 3
# Every check and demand of python-jose is on.
OPTIONS = {f"require_{claim}": True for claim in ("aud", "iat", "exp", "iss", "sub", "jti")}


def main(jwks_url, issuer, audience, algorithm, wanted):
    token = sys.stdin.read()
    with urlopen(jwks_url, timeout=20) as answer:
        jwks = json.load(answer)
    try:
        claims = jwt.decode(token, jwks, algorithms=[algorithm], issuer=issuer, audience=audience, options=OPTIONS)
        # python-jose has no option for this.
        if (typ := jwt.get_unverified_header(token).get("typ")) != wanted:
            raise JWTError(f"the type is {typ}")
    except JWTError as reason:
        print(f"{type(reason).__name__}: {reason}", file=sys.stderr)
        sys.exit(REFUSED)
    print(json.dumps(claims))


main(*sys.argv[1:])
