const names = String.raw`\w*(?:PASS|SECRET|TOKEN|KEY)\w*`;
const assigned = new RegExp(String.raw`\b(${names})=(?!…)(?:"[^"\n]*"|'[^'\n]*'|\S)+`, "gi");
const word = new RegExp(String.raw`^(${names})=.*$`, "is");

/** A text as it may be shown: without the values of variables that are named for secrets, and without passwords of URLs. */
export const withoutSecrets = (text: string): string =>
  text
    .replaceAll(assigned, "$1=…")
    .replaceAll(/\/\/([^\s/@:]*):[^\s/]*@/g, "//$1@")
    .replaceAll(/(^|[\s"'=])([^\s/@:"'=]+):[^\s/]*@(?=[^\s/@]*::)/g, "$1$2@")
    .replaceAll(/\b(sshpass\s+-p\s*)(?:"[^"\n]*"|'[^'\n]*'|\S)+/g, "$1…");

/** The same for a program's words. */
export const wordsWithoutSecrets = (words: readonly string[]): string =>
  withoutSecrets(words.map((each) => each.replace(word, "$1=…")).join(" "));
