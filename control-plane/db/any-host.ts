import type pg from "pg";

const hostsPattern = /^(postgres(?:ql)?:\/\/(?:[^@/?]*@)?)([^/?]*)(.*)$/;

/** A URL with several hosts (`postgres://user@one:5432,two:5432/name`) as one URL each; others as they are. */
export function urlsOf(url: string): string[] {
  const [, before = "", hosts = "", after = ""] = hostsPattern.exec(url) ?? [];
  return hosts.includes(",") ? hosts.split(",").map((host) => before + host + after) : [url];
}

const wantsPrimary = (url: string): boolean =>
  ["read-write", "primary"].includes(new URL(url).searchParams.get("target_session_attrs") ?? "");

async function refuseStandby(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query("select pg_is_in_recovery() as standby");
  if (rows[0].standby) throw new Error("this host of DATABASE_URL is a standby");
}

/**
 * Makes a pool take each new connection from the first of the URL's hosts that gives one, beginning with
 * the last that did; with `target_session_attrs=read-write` from the primary alone.
 */
export function connectToAny(pool: pg.Pool, { url }: { url: string }): void {
  const urls = urlsOf(url);
  if (urls.length > 1 || wantsPrimary(urls[0]!)) {
    // Read by the pool for each new connection.
    const { options } = pool as unknown as { options: Record<string, unknown> };
    if (wantsPrimary(urls[0]!)) options["onConnect"] = refuseStandby;
    const connect = pool.connect.bind(pool);
    const connectAnywhere = async (): Promise<pg.PoolClient> => {
      for (let tries = 1; ; tries++) {
        try {
          return await connect();
        } catch (error) {
          const current = urls.indexOf(options["connectionString"] as string);
          options["connectionString"] = urls[(current + 1) % urls.length];
          if (tries === urls.length) throw error;
        }
      }
    };
    type Taken = (error?: Error, client?: pg.PoolClient, release?: (end?: boolean) => void) => void;
    pool.connect = ((taken?: Taken) => {
      const client = connectAnywhere();
      if (!taken) return client;
      client.then(
        (got) => taken(undefined, got, (end) => got.release(end)),
        (error: Error) => taken(error),
      );
      return undefined;
    }) as typeof pool.connect;
  }
}
