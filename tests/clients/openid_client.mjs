// Lives the life of a machine client with openid-client: discovery, a token of its own, introspection, refresh, revocation.
//
// openid_client.mjs, and on standard input {issuer, client_id, method, secret, key, alg, refresh_token} as JSON.
// Prints what it got.

import { text } from "node:stream/consumers";
import { importPKCS8 } from "jose";
import * as client from "openid-client";

const { issuer, client_id, method, secret, key, alg, refresh_token } = JSON.parse(await text(process.stdin));

const proof = {
  client_secret_basic: () => client.ClientSecretBasic(secret),
  client_secret_post: () => client.ClientSecretPost(secret),
  private_key_jwt: async () => client.PrivateKeyJwt(await importPKCS8(key, alg)),
}[method];
const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests] };
const config = await client.discovery(new URL(issuer), client_id, undefined, await proof(), options);

const granted = await client.clientCredentialsGrant(config, { scope: "read" });
const active = await client.tokenIntrospection(config, granted.access_token);
const refreshed = await client.refreshTokenGrant(config, refresh_token, { scope: "a" });
const refreshable = await client.tokenIntrospection(config, refreshed.refresh_token);
await client.tokenRevocation(config, granted.access_token);
const ended = await client.tokenIntrospection(config, granted.access_token);
await client.tokenRevocation(config, refreshed.refresh_token);
const family = await client.tokenIntrospection(config, refreshed.access_token);
const refused = await client.clientCredentialsGrant(config, { scope: "admin" }).catch((error) => error.error);
console.log(JSON.stringify({ granted, active, refreshed, refreshable, ended, family, refused }));
