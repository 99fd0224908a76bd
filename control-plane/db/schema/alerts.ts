import { sql } from "drizzle-orm";
import {
  bigint,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { Alert, AlertCondition, MessageKind, ReceiverKind } from "../../../protocol/alert.ts";
import { createdAt, id, time } from "./columns.ts";

/** What is wrong, or was. Subjects are names: an alert outlives what it is about. "": it has none. */
export const alerts = pgTable(
  "alerts",
  {
    id: id(),
    condition: text("condition").$type<AlertCondition>().notNull(),
    project: text("project").notNull(),
    host: text("host").notNull(),
    root: text("root").notNull(),
    detail: text("detail").notNull(),
    openedAt: time("opened_at").notNull(),
    /** Since when the condition has not been seen: it ends when that has lasted. */
    awayAt: time("away_at"),
    closedAt: time("closed_at"),
  },
  (table) => [
    uniqueIndex("alerts_open")
      .on(table.condition, table.project, table.host, table.root)
      .where(sql`${table.closedAt} is null`),
    index("alerts_latest").on(table.openedAt),
  ],
);

/** Who is told of alerts. */
export const alertReceivers = pgTable("alert_receivers", {
  id: id(),
  name: text("name").notNull().unique(),
  kind: text("kind").$type<ReceiverKind>().notNull(),
  /** Scheme and host of the URL. */
  address: text("address").notNull(),
  /** JWE of URL and secret with a key that is not in the database. */
  sealed: text("sealed").notNull(),
  room: text("room"),
  sender: text("sender"),
  recipients: text("recipients").array().notNull(),
  conditions: text("conditions").array().$type<AlertCondition[]>().notNull(),
  projects: text("projects").array(),
  hosts: text("hosts").array(),
  remindHours: integer("remind_hours"),
  silencedUntil: time("silenced_until"),
  createdAt: createdAt(),
});

/** What a receiver has been told that has not ended, and when last. */
export const alertsTold = pgTable(
  "alerts_told",
  {
    receiverId: uuid("receiver_id")
      .notNull()
      .references(() => alertReceivers.id, { onDelete: "cascade" }),
    alertId: uuid("alert_id")
      .notNull()
      .references(() => alerts.id, { onDelete: "cascade" }),
    toldAt: time("told_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.receiverId, table.alertId] }),
    index("alerts_told_alert").on(table.alertId),
  ],
);

/** Messages that are to be delivered, or were: written in the transaction of what they tell. */
export const alertMessages = pgTable(
  "alert_messages",
  {
    id: id(),
    /** A receiver gets them in this order. */
    number: bigint("number", { mode: "number" }).notNull().generatedAlwaysAsIdentity(),
    receiverId: uuid("receiver_id")
      .notNull()
      .references(() => alertReceivers.id, { onDelete: "cascade" }),
    kind: text("kind").$type<MessageKind>().notNull(),
    /** The first of them. */
    alerts: jsonb("alerts").$type<Alert[]>().notNull(),
    total: integer("total").notNull(),
    createdAt: time("created_at").notNull(),
    attempts: integer("attempts").notNull().default(0),
    /** Not sent before: while it is being sent, and after a failure. */
    notBefore: time("not_before").notNull(),
    error: text("error"),
    deliveredAt: time("delivered_at"),
    givenUpAt: time("given_up_at"),
  },
  (table) => [
    uniqueIndex("alert_messages_waiting")
      .on(table.receiverId, table.number)
      .where(sql`${table.deliveredAt} is null and ${table.givenUpAt} is null`),
    index("alert_messages_of_receiver").on(table.receiverId, table.deliveredAt),
    index("alert_messages_oldest").on(table.createdAt),
  ],
);
