import { join, resolve } from "node:path";
import { z } from "zod";
import { parse } from "../protocol/errors.ts";

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
  logLevel: "debug" | "info" | "warn" | "error";
};

/** Reads the settings. @throws AppError `invalid-input` that names the variable. */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const values = parse(environmentSchema, environment, "the environment");
  const [, host = "", port = ""] = listenPattern.exec(values.MIRRORFLEET_LISTEN) ?? [];
  const dataDirectory = resolve(values.MIRRORFLEET_DATA);
  return {
    dataDirectory,
    databaseUrl: values.DATABASE_URL,
    listen: { host: host.replace(/^\[|\]$/g, ""), port: Number(port) },
    secret: values.MIRRORFLEET_SECRET,
    secretFile: join(dataDirectory, "secret"),
    adminTokenFile: join(dataDirectory, "admin-token"),
    logLevel: values.MIRRORFLEET_LOG_LEVEL,
  };
}
