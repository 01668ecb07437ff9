// An OpenID provider for one API, whose keys a test rotates and which it can silence.
// usage: node issuer.mjs PORT AUDIENCE   POST /_rotate, /_down and /_up, GET /_fetches
import http from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const [port, audience] = process.argv.slice(2);
const alg = "RS256";
const scope = "items:read items:write";
let keys = [];
let provider;
let down = false;
let fetches = 0;

async function rotate() {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), kid: `k${keys.length}`, use: "sig", alg };
  // The first one signs; the others are still published.
  keys = [jwk, ...keys];
  provider = new Provider(`http://127.0.0.1:${port}`, {
    jwks: { keys },
    cookies: { keys: ["only-for-tests"] },
    clients: [
      {
        client_id: "machine",
        client_secret: "machine-secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        scope,
      },
      {
        client_id: "app",
        token_endpoint_auth_method: "none",
        grant_types: ["authorization_code", "refresh_token"],
        redirect_uris: ["https://app.example/callback"],
        response_types: ["code"],
      },
    ],
    scopes: ["openid", "offline_access", ...scope.split(" ")],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope,
          audience: resource,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg } },
        }),
      },
    },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  }).callback();
}

const commands = {
  "/_rotate": rotate,
  "/_down": () => (down = true),
  "/_up": () => (down = false),
};

await rotate();
http
  .createServer(async (request, response) => {
    if (request.url === "/_fetches") return response.end(String(fetches));
    if (request.url in commands) {
      await commands[request.url]();
      return response.end();
    }
    fetches += request.url === "/jwks";
    if (!down) return provider(request, response);
    response.statusCode = 503;
    response.end();
  })
  .listen(Number(port), "127.0.0.1");
