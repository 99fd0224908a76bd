import { customType, timestamp, uuid } from "drizzle-orm/pg-core";

/** Bytes. */
export const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
/** A time to the millisecond. */
export const time = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });
/** When the row was made. */
export const createdAt = () => time("created_at").notNull().defaultNow();
/** A random id of its own. */
export const id = () => uuid("id").primaryKey().defaultRandom();
