/** Control characters have pictures of their own in Unicode: U+2400 and on. */
const picture = (character: string): string => {
  const code = character.codePointAt(0)!;
  if (code === 0x7f) return "\u2421";
  return code < 0x20 ? String.fromCodePoint(0x2400 + code) : "\uFFFD";
};

/** Text with what a terminal would obey, and what would turn the reading direction, made visible. */
export const visible = (text: string): string =>
  text.replaceAll("\r\n", "\n").replaceAll(/[^\P{C}\n\t]/gu, picture);
