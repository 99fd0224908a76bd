import { AppError } from "../../protocol/errors.ts";

/** What a check found: all is well, or something that people should know, though it may pass. */
export type Finding = { level: "ok" | "warn"; text: string };

export const ok = (text: string): Finding => ({ level: "ok", text });
export const warn = (text: string): Finding => ({ level: "warn", text });

/** What is wrong, with the cure. */
export const fail = (message: string) => new AppError("invalid-input", message);
