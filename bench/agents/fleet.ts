import { generateKeyPairSync } from "node:crypto";
import postgres from "postgres";
import type { BenchDatabase } from "../database.ts";
import type { Host } from "./agent.ts";

const database = "mirrorfleet";

/**
 * Enrols hosts, each with a key of its own, straight in the database: what is measured begins when
 * they poll. Answers them, and the fleet's identity.
 */
export async function enrolHosts(
  { settings }: BenchDatabase,
  { names, master }: { names: string[]; master: boolean },
): Promise<{ identity: string; hosts: Host[] }> {
  const made = names.map((name) => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const { x } = publicKey.export({ format: "jwk" });
    const sealing = generateKeyPairSync("x25519").publicKey.export({ format: "jwk" });
    return {
      name,
      key: privateKey.export({ format: "der", type: "pkcs8" }).toString("base64"),
      signing_key: { kty: "OKP", crv: "Ed25519", x: x! },
      sealing_key: { kty: "OKP", crv: "X25519", x: sealing.x! },
    };
  });
  const sql = postgres({ ...settings(database), max: 1 });
  try {
    const rows = await sql<{ id: string; name: string }[]>`
      insert into hosts (name, roles, addresses, signing_key, sealing_key, enrolled_at)
      select name, array[${master ? "master" : "ftp"}], array['127.0.0.1'], signing_key, sealing_key, now()
      from jsonb_to_recordset(${sql.json(made)})
        as made (name text, signing_key jsonb, sealing_key jsonb)
      returning id, name`;
    const [fleet] = await sql<{ identity: string }[]>`select identity from fleet`;
    const keys = new Map(made.map(({ name, key }) => [name, key]));
    return {
      identity: fleet!.identity,
      hosts: rows.map(({ id, name }) => ({ id, name, master, key: keys.get(name)! })),
    };
  } finally {
    await sql.end();
  }
}

/**
 * Copies a project so often, as `p0`, `p1` …, each carried by one FTP host: `p<i>` by the host
 * `ftp<i modulo hosts>`. In the database, as the operation would look at all hosts each time.
 */
export async function copyProject(
  { settings }: BenchDatabase,
  { template, copies, hosts }: { template: string; copies: number; hosts: number },
): Promise<void> {
  const sql = postgres({ ...settings(database), max: 1 });
  try {
    await sql`
      insert into projects
      select (jsonb_populate_record(template, jsonb_build_object(
        'id', gen_random_uuid(), 'name', 'p' || i, 'path', 'p' || i,
        'hosts', jsonb_build_array('ftp' || i % ${hosts}::int)))).*
      from projects template, generate_series(0, ${copies}::int - 1) i
      where template.name = ${template}`;
    await sql`
      insert into replicas (project_id, host_id, role)
      select p.id, h.id, case when h.name = 'master' then 'master' else 'ftp' end
      from projects p join hosts h on h.name in (p.hosts[1], 'master')
      where p.name ~ '^p[0-9]+$'`;
    await sql`analyze`;
  } finally {
    await sql.end();
  }
}
