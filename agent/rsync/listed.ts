import type { Source } from "../../protocol/rsync.ts";
import { operandOf } from "./connection.ts";

// A daemon without a chroot, as an ordinary user's is, answers with rsync 3.5.0 that every path of
// --files-from has vanished when the operand lies below the module's root. So the operand is that root,
// and each path names the directory first; "/./" says where its own name begins.

/** The operand from which listed paths are pulled. */
export const moduleOf = (source: Source): string => operandOf({ ...source, path: null });

/** What comes before each listed path. */
export const prefixOf = ({ path }: Source): string => (path === null ? "" : `${path}/./`);
