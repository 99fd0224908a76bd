import type { Waiter } from "../context.ts";

type Wake = Waiter["wake"];

/** The held polls of this process, by host. What one of them takes is counted in bytes: there are thousands. */
export function openWaiters() {
  const byHost = new Map<string, Wake[]>();
  const forget = (hostId: string, wake: Wake) => {
    const others = byHost.get(hostId)?.filter((each) => each !== wake) ?? [];
    if (others.length > 0) byHost.set(hostId, others);
    else byHost.delete(hostId);
  };
  const wait = ({ hostId, seconds }: { hostId: string; seconds: number }): Waiter => {
    const { promise: woken, resolve } = Promise.withResolvers<boolean>();
    const wake: Wake = (news) => {
      clearTimeout(timeout);
      forget(hostId, wake);
      resolve(news);
    };
    const timeout = setTimeout(wake, seconds * 1000, false);
    byHost.set(hostId, [...(byHost.get(hostId) ?? []), wake]);
    return { ready: Promise.resolve(), woken, wake };
  };
  const wakeHost = (hostId: string) => {
    for (const wake of byHost.get(hostId) ?? []) wake(true);
  };
  const wakeAll = (news: boolean) => {
    for (const wakes of byHost.values()) for (const wake of wakes) wake(news);
  };
  return { wait, wakeHost, wakeAll };
}
