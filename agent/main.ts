#!/usr/bin/env node
import { tlsEndCommand } from "./self.ts";

/** Loads what the command needs, and no more. */
async function main(): Promise<void> {
  switch (process.argv[2]) {
    case tlsEndCommand:
      return (await import("./rsync/tls-end.ts")).serveTls();
    default:
      return (await import("./program.ts")).runProgram();
  }
}

void main();
