import { join, resolve } from "node:path";
import { z } from "zod";
import { AppError, parse } from "../protocol/errors.ts";
import { readCredential } from "../systemd/credential.ts";
import type { OidcSettings } from "./auth/oidc.ts";

const listenPattern = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})$/;

const environmentSchema = z.object({
  MIRRORFLEET_DATA: z.string().min(1).default("./data"),
  DATABASE_URL: z
    .string()
    .regex(
      /^postgres(ql)?:\/\//,
      'must be a Postgres URL: for example "postgres://user@host/mirrorfleet"',
    )
    .optional(),
  MIRRORFLEET_LISTEN: z
    .string()
    .refine(
      (text) => Number(listenPattern.exec(text)?.[2] ?? 65536) <= 65535,
      'must be host:port: for example "127.0.0.1:8420"',
    )
    .default("127.0.0.1:8420"),
  MIRRORFLEET_SECRET: z.string().min(1).optional(),
  OIDC_ISSUER: z
    .url({ protocol: /^https?$/, error: 'must be a URL: for example "https://login.example.org"' })
    .refine(
      (url) => url.startsWith("https:") || /^http:\/\/(127\.|localhost|\[::1\])/.test(url),
      "must be https, except on loopback",
    )
    .optional(),
  OIDC_AUDIENCE: z.string().min(1).optional(),
  OIDC_CLIENT_ID: z.string().min(1).optional(),
  OIDC_CLIENT_SECRET: z.string().min(1).optional(),
  OIDC_REDIRECT_URI: z
    .string()
    .regex(
      /^(https:\/\/[^/?#]+|http:\/\/(127\.[\d.]+|localhost|\[::1\])(:\d+)?)\/sign-in\/callback$/,
      'must be the dashboard\'s address and "/sign-in/callback": for example "https://mirror-control.example.org/sign-in/callback"',
    )
    .optional(),
  OIDC_SCOPES: z
    .string()
    .regex(/^openid( [\x21\x23-\x5b\x5d-\x7e]+)*$/, 'must begin with "openid"')
    .default("openid profile email"),
  OIDC_SCOPE_CLAIM: z.string().min(1).default("mirrorfleet_scope"),
  MIRRORFLEET_PACKAGES: z
    .string()
    .regex(/^\//, "must be an absolute path: the directory that npm run build has made")
    .optional(),
  MIRRORFLEET_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
});

/** Settings of the control plane, from its environment. */
export type Config = {
  dataDirectory: string;
  databaseUrl: string | undefined;
  listen: { host: string; port: number };
  secret: string | undefined;
  secretFile: string;
  adminTokenFile: string;
  oidc: OidcSettings | null;
  packagesDirectory: string | undefined;
  logLevel: "debug" | "info" | "warn" | "error";
};

function oidcOf({
  OIDC_ISSUER: issuer,
  OIDC_AUDIENCE: audience,
  OIDC_SCOPE_CLAIM: scopeClaim,
  OIDC_CLIENT_ID: id,
  OIDC_CLIENT_SECRET: secret,
  OIDC_REDIRECT_URI: redirectUri,
  OIDC_SCOPES: asked,
}: z.output<typeof environmentSchema>): OidcSettings | null {
  if (issuer === undefined) return null;
  if (audience === undefined && id === undefined)
    throw new AppError(
      "invalid-input",
      "OIDC_AUDIENCE or OIDC_CLIENT_ID is missing: without them the issuer is of no use",
    );
  if (id !== undefined && redirectUri === undefined)
    throw new AppError(
      "invalid-input",
      'OIDC_REDIRECT_URI is missing: the dashboard\'s address and "/sign-in/callback"',
    );
  const client = id !== undefined && {
    id,
    secret: secret ?? null,
    redirectUri: redirectUri!,
    scopes: asked,
  };
  return { issuer, audience: audience ?? null, scopeClaim, client: client || null };
}

/** Variables whose values systemd may also give as credentials, which no other process can read. */
const credentials = {
  MIRRORFLEET_SECRET: "mirrorfleet.secret",
  DATABASE_URL: "mirrorfleet.database-url",
};

/** Reads the settings. @throws AppError `invalid-input` that names the variable. */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const given: Record<string, string | undefined> = { ...environment };
  for (const [variable, name] of Object.entries(credentials))
    given[variable] ??= readCredential(environment, { name });
  const values = parse(environmentSchema, given, "the environment");
  const [, host = "", port = ""] = listenPattern.exec(values.MIRRORFLEET_LISTEN) ?? [];
  const dataDirectory = resolve(values.MIRRORFLEET_DATA);
  return {
    dataDirectory,
    databaseUrl: values.DATABASE_URL,
    listen: { host: host.replace(/^\[|\]$/g, ""), port: Number(port) },
    secret: values.MIRRORFLEET_SECRET,
    secretFile: join(dataDirectory, "secret"),
    adminTokenFile: join(dataDirectory, "admin-token"),
    oidc: oidcOf(values),
    packagesDirectory: values.MIRRORFLEET_PACKAGES,
    logLevel: values.MIRRORFLEET_LOG_LEVEL,
  };
}
