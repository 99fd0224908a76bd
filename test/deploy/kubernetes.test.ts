import { execFile } from "node:child_process";
import { readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { Ingress } from "kubernetes-models/networking.k8s.io/v1/Ingress";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Secret } from "kubernetes-models/v1/Secret";
import { Service } from "kubernetes-models/v1/Service";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { temporaryDirectory } from "../helpers/directory.ts";

const place = new URL("../../deploy/", import.meta.url);
const models: Record<string, new (data: any) => { validate: () => void }> = {
  Deployment,
  Ingress,
  PodDisruptionBudget,
  Secret,
  Service,
};

const secretFile = "secret.yaml.example";
/** What "kubectl apply -f DIRECTORY" takes. */
const applied = (await readdir(new URL("kubernetes/", place))).filter((name) =>
  /\.(yaml|yml|json)$/.test(name),
);
const files = [...applied, secretFile];

async function manifests(name: string): Promise<any[]> {
  const text = await readFile(new URL(`kubernetes/${name}`, place), "utf8");
  return parseAllDocuments(text, { strict: true }).map((document) => document.toJS());
}

test.each(files)(
  "what deploy/kubernetes/%s holds is as the schemas of Kubernetes say",
  async (name) => {
    const all = await manifests(name);
    expect(all.length).toBeGreaterThan(0);
    for (const manifest of all) {
      const Model = models[manifest.kind];
      expect(Model, manifest.kind).toBeDefined();
      new Model!(manifest).validate();
    }
  },
);

/** What TypeScript says of manifests by the types of Kubernetes, which also tell fields that do not exist. */
async function compile(all: any[]): Promise<string> {
  const directory = await temporaryDirectory();
  await symlink(
    fileURLToPath(new URL("../../node_modules", import.meta.url)),
    join(directory, "node_modules"),
  );
  const lines = all.flatMap((manifest, index) => {
    const from = `kubernetes-models/${manifest.apiVersion}/${manifest.kind}`;
    return [
      `import type { I${manifest.kind} as T${index} } from "${from}";`,
      `export const m${index}: T${index} = ${JSON.stringify(manifest)};`,
    ];
  });
  await writeFile(join(directory, "manifests.mts"), lines.join("\n"));
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--types", ""];
  const tsc = join(directory, "node_modules/typescript/bin/tsc");
  return promisify(execFile)(process.execPath, [tsc, ...options, "manifests.mts"], {
    cwd: directory,
  }).then(
    ({ stdout }) => stdout,
    ({ stdout }: { stdout: string }) => stdout,
  );
}

test("no manifest has a field that Kubernetes does not know", async () => {
  const all = (await Promise.all(files.map(manifests))).flat();
  expect(await compile(all)).toBe("");
  const [deployment] = await manifests("deployment.yaml");
  deployment.spec.template.spec.containers[0].imagee = "x";
  expect(await compile([deployment])).toContain("imagee");
});

test("applying the directory again does not put the example over the secret that is in use", async () => {
  const all = (await Promise.all(applied.map(manifests))).flat();
  expect(all.map(({ kind }) => String(kind)).toSorted()).toEqual([
    "Deployment",
    "Ingress",
    "PodDisruptionBudget",
    "Service",
  ]);
});

test("the manifests belong together: selectors find the pods, ports and secrets have the same names", async () => {
  const [deployment, budget] = await manifests("deployment.yaml");
  const [service, ingress] = await manifests("service.yaml");
  const [secret] = await manifests(secretFile);
  const { metadata, spec } = deployment.spec.template;
  const [container] = spec.containers;
  expect(service.spec.selector).toEqual(metadata.labels);
  expect(budget.spec.selector.matchLabels).toEqual(metadata.labels);
  expect(container.ports.map(({ name }: any) => name)).toContain(service.spec.ports[0].targetPort);
  expect(container.envFrom[0].secretRef.name).toBe(secret.metadata.name);
  expect(Object.keys(secret.stringData).toSorted()).toEqual(["DATABASE_URL", "MIRRORFLEET_SECRET"]);
  expect(ingress.spec.rules[0].http.paths[0].backend.service.name).toBe(service.metadata.name);
});

test("the compose file has two control planes with one secret and one database, and no secret in it", async () => {
  const text = await readFile(new URL("compose/compose.yaml", place), "utf8");
  const { services, volumes } = parse(text, { merge: true });
  const planes = [services["control-plane-1"], services["control-plane-2"]];
  expect(planes[0].environment).toEqual(planes[1].environment);
  expect(planes[0].environment.MIRRORFLEET_SECRET).toMatch(/^\$\{MIRRORFLEET_SECRET:\?/);
  const named = planes.map(({ volumes: own }: any) => own[0].split(":")[0]);
  expect(new Set([...named, ...Object.keys(volumes)]).size).toBe(Object.keys(volumes).length);
  const caddy = await readFile(new URL("compose/Caddyfile", place), "utf8");
  for (const name of ["control-plane-1", "control-plane-2"])
    expect(caddy).toContain(`${name}:8420`);
});
