/** Text as roff shows it: no line begins a request, and dashes and backslashes are themselves. */
export const escape = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("~", "\\(ti")
    .replaceAll("^", "\\(ha")
    .replaceAll("`", "\\(ga")
    .replaceAll(/^([.'])/gm, "\\&$1");

export const bold = (text: string): string => `\\fB${escape(text)}\\fR`;

/** The first line of a page. `date` is a day, such as 2026-11-26. */
export const title = (input: { name: string; section: number; date: string; version: string }) =>
  `.TH ${escape(input.name.toUpperCase())} ${input.section} "${escape(input.date)}" "mirrorfleet ${input.version}" "mirrorfleet"`;

export const section = (name: string): string => `.SH ${name}`;
export const subsection = (name: string): string => `.SS "${escape(name)}"`;

/** Terms with what they mean, in a column; `terms` are roff already. */
export const definitions = (entries: [term: string, meaning: string][]): string[] =>
  entries.flatMap(([term, meaning]) => [".TP", term, escape(meaning)]);
