// Has Redocly read the OpenAPI document that comes in, with its recommended rules, and prints what it finds: an array of problems.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const file = join(folder, "openapi.json");
writeFileSync(file, readFileSync(0));

const cli = createRequire(import.meta.url).resolve("@redocly/cli/package.json").replace(/package\.json$/, "bin/cli.js");
const environment = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
const run = spawnSync(process.execPath, [cli, "lint", file, "--format=json", "--extends=recommended"], {
  cwd: folder,
  env: environment,
  encoding: "utf8",
});
if (run.error) throw run.error;
const { problems } = JSON.parse(run.stdout);
console.log(JSON.stringify(problems.map(({ severity, ruleId, message }) => ({ severity, ruleId, message }))));
