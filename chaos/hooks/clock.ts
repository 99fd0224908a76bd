// Moves a program's clock: loaded before it with --import. The file in CHAOS_CLOCK holds milliseconds.
import { readFileSync } from "node:fs";

const file = process.env["CHAOS_CLOCK"]!;
const TrueDate = Date;
let offset = 0;

function look(): void {
  offset = Number(readFileSync(file, "utf8"));
}

globalThis.Date = class extends TrueDate {
  constructor(...given: unknown[]) {
    if (given.length === 0) super(TrueDate.now() + offset);
    else super(...(given as [number]));
  }

  static override now(): number {
    return TrueDate.now() + offset;
  }
} as DateConstructor;

look();
setInterval(look, 100).unref();
