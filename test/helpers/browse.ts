import type { Hono } from "hono";

/** A browser's cookie jar and manners before an app without sockets. */
export function browse(app: Hono, environment: object = {}) {
  const cookie = { value: "" };
  const send = async (
    path: string,
    init: { method?: string; body?: string; headers?: Record<string, string> },
  ) => {
    const headers = { ...(cookie.value && { cookie: cookie.value }), ...init.headers };
    const response = await app.request(path, { ...init, headers }, environment);
    const set = response.headers.get("set-cookie");
    if (set) cookie.value = set.split(";")[0]!;
    return response;
  };
  const get = (path: string) => send(path, {});
  const post = (
    path: string,
    form: Record<string, string>,
    headers: Record<string, string> = { "sec-fetch-site": "same-origin" },
  ) =>
    send(path, {
      method: "POST",
      body: new URLSearchParams(form).toString(),
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        ...("x-forwarded-proto" in headers && { "sec-fetch-site": "same-origin" }),
        ...headers,
      },
    });
  return { cookie, get, post };
}
