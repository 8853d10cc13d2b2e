// oidc-provider as an issuer on loopback, and whoever sits in front of its pages.
//
// provider.mjs CLIENT_ID CLIENT_SECRET REDIRECT_URI...
// Prints its issuer. Then it does what each line of standard input says, answers with a line, both JSON, and ends with it.

import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const [client_id, client_secret, ...redirect_uris] = process.argv.slice(2);

// Its advice for production would stand between our lines.
console.info = console.error;

const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{ client_id, client_secret, redirect_uris, grant_types: ["authorization_code", "refresh_token"] }],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  features: { devInteractions: { enabled: true }, introspection: { enabled: true }, revocation: { enabled: true } },
  claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: `${sub} of the provider`, email: `${sub}@example.com`, email_verified: true }),
  }),
  cookies: { keys: ["for this test"] },
});
server.on("request", provider.callback());

// Everything that became of requests for tokens, oldest first.
const happened = [];
provider.on("grant.success", (ctx) => happened.push(ctx.oidc.params.grant_type));
provider.on("grant.error", (_, error) => happened.push(error.error));
provider.on("grant.revoked", () => happened.push("revoked"));

const commands = {
  // Signs in and agrees, or cancels, and gives where the browser is sent back to; or what a page says that leads nowhere.
  async visit({ url, person }) {
    const cookies = new Map();
    let request = { url, body: undefined };
    for (;;) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const method = request.body ? "POST" : "GET";
      const answer = await fetch(request.url, { method, body: request.body, headers: { cookie }, redirect: "manual" });
      for (const line of answer.headers.getSetCookie()) {
        const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
        if (value) cookies.set(name, value);
        else cookies.delete(name);
      }
      const location = answer.headers.get("location");
      if (location && redirect_uris.some((uri) => location.startsWith(uri))) return { back: location };
      if (location) {
        request = { url: new URL(location, request.url), body: undefined };
        continue;
      }
      const page = await answer.text();
      const [, prompt] = page.match(/name="prompt" value="(\w+)"/) ?? [];
      if (answer.status !== 200 || !prompt) return { status: answer.status, page };
      if (person === null) {
        const [, abort] = page.match(/href="([^"]*\/abort)"/);
        request = { url: new URL(abort, request.url), body: undefined };
        continue;
      }
      const [, action] = page.match(/<form[^>]* action="([^"]*)"/);
      request = {
        url: new URL(action, request.url),
        body: new URLSearchParams(prompt === "login" ? { prompt, login: person, password: "any" } : { prompt }),
      };
    }
  },

  // What the provider itself says of a token (RFC 7662).
  async introspect({ token }) {
    const authorization = `Basic ${btoa(`${encodeURIComponent(client_id)}:${encodeURIComponent(client_secret)}`)}`;
    const body = new URLSearchParams({ token });
    return (await fetch(`${issuer}/token/introspection`, { method: "POST", body, headers: { authorization } })).json();
  },

  async happened() {
    return happened.splice(0);
  },
};

const say = (what) => console.log(JSON.stringify(what));
say({ issuer });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  say(await commands[command.do](command));
}
process.exit();
