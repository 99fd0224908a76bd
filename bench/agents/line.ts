import { connect } from "node:net";

export type Answer = { status: number; body: string };

type Request = { method: "GET" | "POST"; path: string; authorization: string; body: string };

/** The body of a whole HTTP/1.1 answer, and null while it is not whole yet. */
function answerIn(text: string): Answer | null {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const head = text.slice(0, end);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without content-length: ${head}`);
  const body = text.slice(end + 4);
  if (body.length < Number(length)) return null;
  return { status: Number(head.slice(9, 12)), body };
}

/**
 * One kept connection with one request at a time: all that an agent needs, at a small part of what
 * fetch() costs, as agents and control plane share this machine. Answers must be ASCII.
 */
export function openLine({ host, port }: { host: string; port: number }) {
  const socket = connect({ host, port, noDelay: true });
  socket.setEncoding("latin1");
  let text = "";
  let pending: PromiseWithResolvers<Answer> | undefined;
  socket.on("data", (chunk: string) => {
    text += chunk;
    const answer = answerIn(text);
    if (answer === null) return;
    text = "";
    const settled = pending;
    pending = undefined;
    settled?.resolve(answer);
  });
  socket.on("error", (error) => pending?.reject(error));
  socket.on("close", () => pending?.reject(new Error("the control plane closed the connection")));
  const request = ({ method, path, authorization, body }: Request): Promise<Answer> => {
    pending = Promise.withResolvers<Answer>();
    socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: ${host}:${port}\r\nauthorization: Bearer ${authorization}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    return pending.promise;
  };
  return { request };
}

export type Line = ReturnType<typeof openLine>;
