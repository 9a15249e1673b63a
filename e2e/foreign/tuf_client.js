// tuf-js against our repository: node tuf_client.js SERVER FIRST_ROOT TARGET FOLDER. Prints the sha256 of what it verified.
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const { Updater } = require("tuf-js");

async function main() {
  const [server, root, target, folder] = process.argv.slice(2);
  const metadataDir = path.join(folder, "metadata");
  const targetDir = path.join(folder, "targets");
  fs.mkdirSync(metadataDir, { recursive: true });
  fs.mkdirSync(targetDir);
  fs.copyFileSync(root, path.join(metadataDir, "root.json"));
  const updater = new Updater({
    metadataDir,
    targetDir,
    metadataBaseUrl: `${server}/tuf`,
    targetBaseUrl: `${server}/tuf/targets`,
  });
  await updater.refresh();
  const info = await updater.getTargetInfo(target);
  if (!info) throw new Error("the target is not listed");
  const file = await updater.downloadTarget(info);
  console.log(crypto.createHash("sha256").update(fs.readFileSync(file)).digest("hex"));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
