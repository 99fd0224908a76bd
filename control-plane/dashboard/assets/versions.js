// What a page's stream is told of the page: the version of each part or, of many, digests of some together. As in
// dashboard/live.ts; a test compares the two.
"use strict";

const versionLength = 6;
const mostInUrl = 256;

function digestOf(versions) {
  let hash = 0x811c9dc5;
  for (const character of versions.join(""))
    hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return (hash >>> 0).toString(36).padStart(versionLength, "0").slice(-versionLength);
}

globalThis.versionsForUrl = (versions) => {
  const together = Math.ceil(versions.length / mostInUrl);
  if (together <= 1) return versions.join("");
  const digests = [];
  for (let at = 0; at < versions.length; at += together)
    digests.push(digestOf(versions.slice(at, at + together)));
  return digests.join("");
};
