// Verifies an access token (type at+jwt) or an assertion (JWT) as a service in JavaScript would, with jose.
//
// verify.mjs JWKS_URL ISSUER AUDIENCE ALGORITHM TYPE, the token on standard input.
// Prints the claims. Refuses with exit code 3 and the reason on standard error; anything else is a mistake of its own.

import { text } from "node:stream/consumers";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const REFUSED = 3;

const [jwksUrl, issuer, audience, algorithm, typ] = process.argv.slice(2);
try {
  const { payload } = await jwtVerify(await text(process.stdin), createRemoteJWKSet(new URL(jwksUrl)), {
    algorithms: [algorithm],
    issuer,
    audience,
    typ,
    requiredClaims: ["iat", "exp", "sub", "jti"],
  });
  console.log(JSON.stringify(payload));
} catch (reason) {
  // That the keys could not be fetched says nothing about the token.
  if (!(reason instanceof errors.JOSEError) || reason.code === "ERR_JWKS_TIMEOUT" || reason.code === "ERR_JOSE_GENERIC") throw reason;
  console.error(`${reason.code}: ${reason.message}`);
  process.exitCode = REFUSED;
}
