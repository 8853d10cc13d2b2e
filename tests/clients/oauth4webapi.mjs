// Lives the life of a machine client with oauth4webapi: discovery, a token of its own, introspection, refresh, revocation.
//
// oauth4webapi.mjs, and on standard input {issuer, client_id, method, secret, key, alg, refresh_token} as JSON.
// Prints what it got.

import { text } from "node:stream/consumers";
import { importPKCS8 } from "jose";
import * as oauth from "oauth4webapi";

const { issuer, client_id, method, secret, key, alg, refresh_token } = JSON.parse(await text(process.stdin));

const proof = {
  client_secret_basic: () => oauth.ClientSecretBasic(secret),
  client_secret_post: () => oauth.ClientSecretPost(secret),
  private_key_jwt: async () => oauth.PrivateKeyJwt(await importPKCS8(key, alg)),
}[method];
const loopback = { [oauth.allowInsecureRequests]: true };
const found = await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...loopback });
const server = await oauth.processDiscoveryResponse(new URL(issuer), found);
const [client, auth] = [{ client_id }, await proof()];

async function grant(scope) {
  const answer = await oauth.clientCredentialsGrantRequest(server, client, auth, new URLSearchParams({ scope }), loopback);
  return oauth.processClientCredentialsResponse(server, client, answer);
}
async function introspect(token) {
  const answer = await oauth.introspectionRequest(server, client, auth, token, loopback);
  return oauth.processIntrospectionResponse(server, client, answer);
}
async function revoke(token) {
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, auth, token, loopback));
}

const granted = await grant("read");
const active = await introspect(granted.access_token);
const parameters = { additionalParameters: new URLSearchParams({ scope: "a" }), ...loopback };
const answer = await oauth.refreshTokenGrantRequest(server, client, auth, refresh_token, parameters);
const refreshed = await oauth.processRefreshTokenResponse(server, client, answer);
const refreshable = await introspect(refreshed.refresh_token);
await revoke(granted.access_token);
const ended = await introspect(granted.access_token);
await revoke(refreshed.refresh_token);
const family = await introspect(refreshed.access_token);
const refused = await grant("admin").catch((error) => error.error);
console.log(JSON.stringify({ granted, active, refreshed, refreshable, ended, family, refused }));
