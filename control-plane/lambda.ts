import type { Hono } from "hono";
import { handle, type LambdaContext, type LambdaEvent } from "hono/aws-lambda";
import { fetch, scheduled } from "./serverless.ts";

/** What EventBridge sends at the times of a schedule. */
type ScheduledEvent = { source: "aws.events" | "aws.scheduler" };

const isScheduled = (event: LambdaEvent | ScheduledEvent): event is ScheduledEvent =>
  "source" in event && (event.source === "aws.events" || event.source === "aws.scheduler");

/**
 * Polls are not held unless the environment says so: a function does not learn that an agent has gone away, and a
 * poll that it left behind would lease the next task to nobody.
 */
const environment = () => ({ MIRRORFLEET_HOLD_SECONDS: "0", ...process.env });

/** Handler of an AWS Lambda function: requests of API Gateway, of a function URL or of a load balancer; and its schedule. */
export async function handler(event: LambdaEvent | ScheduledEvent, context?: LambdaContext) {
  if (isScheduled(event)) return scheduled(event, environment());
  // A function is frozen with its answer: what is to be done after it is done before.
  const after: Promise<unknown>[] = [];
  const execution = { waitUntil: (work: Promise<unknown>) => void after.push(work) };
  const app = { fetch: (request: Request) => fetch(request, environment(), execution) };
  const result = await handle(app as unknown as Hono)(event, context);
  await Promise.all(after);
  return result;
}
