/**
 * What a program does first where Node may be any: an older one would fail at something that it does not know,
 * or, without `import.meta.main`, do nothing and say nothing. In words that old ones read, too.
 */
export const refuseOldNode = `const [nodeMajor, nodeMinor] = process.versions.node.split(".").map(Number);
if (nodeMajor < 24 || (nodeMajor === 24 && nodeMinor < 2)) {
  process.stderr.write("mirrorfleet needs Node.js 24.2 or newer, and this is " + process.version + ": see https://nodejs.org\\n");
  process.exit(1);
}
`;

/** A file that starts the program beside it: its imports are looked at only after Node itself was. */
export const starterOf = (program: string) => `#!/usr/bin/env node
${refuseOldNode}import("./${program}");
`;
