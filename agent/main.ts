#!/usr/bin/env node
import { tlsCommand, tlsEndCommand } from "./self.ts";

/** Loads what the command needs, and no more: rsync starts the TLS client for each of its connections. */
async function main(): Promise<void> {
  switch (process.argv[2]) {
    case tlsCommand:
      return (await import("./rsync/tls-connect.ts")).connectTls();
    case tlsEndCommand:
      return (await import("./rsync/tls-end.ts")).serveTls();
    default:
      return (await import("./program.ts")).runProgram();
  }
}

void main();
