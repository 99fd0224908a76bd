import { eq } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { ProjectInput } from "../../protocol/project.ts";
import { decryptAtRest, encryptAtRest } from "../auth/at-rest.ts";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { projects } from "../db/schema/projects.ts";
import { loginHostOf } from "./check-project.ts";

/** Columns of a login: the password encrypted; one that is not given stays, for the same host only. @throws AppError `invalid-input`. */
export async function loginColumns(
  ctx: Ctx,
  { input, stored }: { input: ProjectInput; stored: ProjectRow | null },
) {
  if (input.login === null) return { loginUser: null, loginHost: null, loginPassword: null };
  const { user, password } = input.login;
  const host = loginHostOf(input)!;
  if (password !== undefined) {
    const loginPassword = await encryptAtRest(ctx.secrets, {
      secret: password,
      owner: `project ${input.name}`,
    });
    return { loginUser: user, loginHost: host, loginPassword };
  }
  if (stored?.loginPassword && stored.loginHost === host && stored.name === input.name)
    return { loginUser: user, loginHost: host, loginPassword: stored.loginPassword };
  const message = stored?.loginPassword
    ? `must be given again: the one that is stored is for ${stored.loginHost}, not for ${host}`
    : "is missing";
  const field = "login.password";
  throw new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });
}

/** The upstream's password that is stored; null where there is none. */
export async function readPassword(ctx: Ctx, { name }: { name: string }): Promise<string | null> {
  const [row] = await ctx.db
    .select({ encrypted: projects.loginPassword })
    .from(projects)
    .where(eq(projects.name, name));
  if (!row?.encrypted) return null;
  return decryptAtRest(ctx.secrets, { encrypted: row.encrypted, owner: `project ${name}` });
}
