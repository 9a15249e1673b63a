// A real OpenID Connect issuer for the tests: the certified `oidc-provider`, with its own pages for
// logging in. Beside it, `/sign` makes tokens of jobs as a CI does, with the same published key,
// and forged ones as an attacker does. Prints its address once it listens.
//
// Arguments: the address people's browsers are sent back to.
import { createHmac, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";
import { SignJWT, exportJWK, generateKeyPair, importJWK } from "jose";

const [redirect] = process.argv.slice(2);
const { privateKey } = await generateKeyPair("RS256", { extractable: true });
const jwk = { ...(await exportJWK(privateKey)), kid: "published", alg: "RS256", use: "sig" };
const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;

const server = createServer();
// A busy machine comes back to an idle connection later than Node waits by itself.
server.keepAliveTimeout = 120_000;
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: "skep",
    client_secret: "s3cret-of-the-client",
    redirect_uris: [redirect],
    grant_types: ["authorization_code"],
    response_types: ["code"],
  }],
  jwks: { keys: [jwk] },
  cookies: { keys: ["only for tests"] },
  pkce: { required: () => true },
  claims: { openid: ["sub"], profile: ["preferred_username"] },
  conformIdTokenClaims: false,
  async findAccount(_, id) {
    // Whoever logs in types the subject, so that subject and name differ.
    const name = id.replace("subject-of-", "");
    return { accountId: id, claims: async () => ({ sub: id, preferred_username: name }) };
  },
});
// What went wrong inside is told to whoever reads the test's output; its pages say only "server_error".
provider.on("server_error", (_, error) => console.error("issuer:", error));
const answer = provider.callback();

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token of a job, or what somebody makes who would like to have one. */
async function sign({ claims, how, header }) {
  const now = Math.floor(Date.now() / 1000);
  const body = { iss: issuer, iat: now, exp: now + 300, ...claims };
  const head = { alg: "RS256", kid: "published", typ: "JWT", ...header };
  const { n, e, kty } = jwk;
  switch (how) {
    case "stranger":
      return new SignJWT(body).setProtectedHeader(head).sign(stranger);
    case "none":
      return `${encode({ ...head, alg: "none" })}.${encode(body)}.`;
    case "hmac-with-public-key": {
      // What everybody can read, taken for a shared secret.
      const key = await importJWK({ n, e, kty }, "RS256", { extractable: true });
      const pem = Buffer.from(await crypto.subtle.exportKey("spki", key));
      const text = `${encode({ ...head, alg: "HS256" })}.${encode(body)}`;
      return `${text}.${createHmac("sha256", pem).update(text).digest("base64url")}`;
    }
    case "changed": {
      const token = await new SignJWT(body).setProtectedHeader(head).sign(privateKey);
      const [first, , last] = token.split(".");
      return [first, encode({ ...body, repository: "acme/ebpf" }), last].join(".");
    }
    default:
      return new SignJWT(body).setProtectedHeader(head).sign(privateKey);
  }
}

server.on("request", async (request, response) => {
  if (request.url !== "/sign") return answer(request, response);
  let text = "";
  for await (const chunk of request) text += chunk;
  response.end(await sign(JSON.parse(text)));
});
// Whoever started this closes its input by ending.
process.stdin.on("end", () => process.exit(0)).resume();
console.log(issuer);
