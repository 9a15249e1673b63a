// The sigstore project's own library against a bundle of ours: node bundle.js BUNDLE KEY_PEM. Prints the sha256 of the
// subject that it verified.
const crypto = require("crypto");
const fs = require("fs");
const { bundleFromJSON } = require("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");

const [bundleFile, keyFile] = process.argv.slice(2);
const pem = fs.readFileSync(keyFile, "utf8");
const der = crypto.createPublicKey(pem).export({ type: "spki", format: "der" });
const hint = crypto.createHash("sha256").update(der).digest("base64");

const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(bundleFile, "utf8")));
const root = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const trust = toTrustMaterial(root, { [hint]: { rawBytes: der } });
// A key of one's own needs no public log and no time-stamp: who verifies says so.
const options = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
new Verifier(trust, options).verify(toSignedEntity(bundle));
const statement = JSON.parse(bundle.content.dsseEnvelope.payload.toString("utf8"));
console.log(statement.subject[0].digest.sha256);
