import { unknown } from "./shell-words.ts";

/** Value of a setting; what only a run would tell is `unknown`. */
export type Settings = (name: string, otherwise?: string) => string;

/** Older versions say RSYNC_SSL=true. */
export const usesTls = (setting: Settings) =>
  setting("RSYNC_TRANSPORT").startsWith("ssl") || setting("RSYNC_SSL") === "true";

const words = (text: string) => text.split(/\s+/).filter(Boolean);

/** What ftpsync itself leaves alone in the tree: its lock files, its own trace. */
const ownPaths = (mirror: string) => [
  `/Archive-Update-in-Progress-${mirror}`,
  `/Archive-Update-Required-${mirror}`,
  `/project/trace/${mirror}`,
  `/project/trace/${mirror}-stage1`,
  "/project/trace/_hierarchy",
  "/project/trace/_traces",
];

/** Files of one architecture, as ftpsync names them; `*` is any, `source` the sources. */
const filesOf = (architecture: string): string[] =>
  architecture === "source"
    ? ["/dists/**/source/", "/pool/**/*.tar.*", "/pool/**/*.diff.*", "/pool/**/*.dsc"]
    : [
        `/dists/**/binary-${architecture}/`,
        `/dists/**/installer-${architecture}/`,
        `/dists/**/Contents-${architecture}.gz`,
        `/dists/**/Contents-udeb-${architecture}.gz`,
        `/dists/**/Contents-${architecture}.diff/`,
        `/indices/**/arch-${architecture}.files`,
        `/indices/**/arch-${architecture}.list.gz`,
        `/pool/**/*_${architecture}.deb`,
        `/pool/**/*_${architecture}.udeb`,
        `/pool/**/*_${architecture}.changes`,
      ];

/** The filters that ARCH_INCLUDE or ARCH_EXCLUDE stand for. */
function architectures(setting: Settings): string[] {
  const rules = (action: string, names: string[]) =>
    names.flatMap(filesOf).map((pattern) => `--filter=${action} ${pattern}`);
  const included = words(setting("ARCH_INCLUDE"));
  if (included.length === 0) return rules("-", words(setting("ARCH_EXCLUDE")));
  const all = included.some((name) => name !== "source") ? ["all"] : [];
  return [...rules("+", [...included, ...all]), ...rules("-", ["*", "source"])];
}

/** Where a name is only known when it runs, every name is protected. */
const protecting = (word: string) =>
  word.startsWith("--filter=protect") ? word.replaceAll(unknown, "**") : word;

/** The arguments of ftpsync's second rsync, which deletes; those of the first name only what comes last. */
export function argvOf(setting: Settings, mirror: string): string[] {
  const options = words(
    setting("RSYNC_OPTIONS", "-prltvHSB8192 --safe-links --timeout 120 --stats"),
  ).map(protecting);
  const second = words(
    setting(
      "RSYNC_OPTIONS2",
      "--max-delete=40000 --delay-updates --delete --delete-delay --delete-excluded",
    ),
  );
  const trace = setting("TRACE")
    .replaceAll(unknown, mirror)
    .replace(/^\/*(?=.)/, "/");
  const deletes = second.some((word) => /^--(del|delete)/.test(word));
  const user = setting("RSYNC_USER");
  const port = usesTls(setting) ? setting("RSYNC_SSL_PORT", "1873") : "";
  const path = setting("RSYNC_PATH", "debian").replace(/\/+$/, "");
  const host = `${user && `${user}@`}${setting("RSYNC_HOST")}${port && `:${port}`}`;
  return [
    ...words(setting("RSYNC_EXTRA")),
    ...(setting("RSYNC_BW") ? [`--bwlimit=${setting("RSYNC_BW")}`] : []),
    ...options,
    // Of older versions, by default a part of RSYNC_OPTIONS.
    ...words(setting("RSYNC_FILTER"))
      .map(protecting)
      .filter((word) => !options.includes(word)),
    ...second,
    // ftpsync adds this where its options name neither.
    ...(deletes || !/--delete-(after|delay)/.test(second.join(" ")) ? ["--delete-delay"] : []),
    ...[...ownPaths(mirror), ...(trace ? [trace] : [])].map((own) => `--filter=- ${own}`),
    "--exclude=.~tmp~/",
    ...words(setting("EXCLUDE")),
    ...words(setting("SOURCE_EXCLUDE")),
    ...architectures(setting),
    `rsync://${host}/${path}/`,
    setting("TO", "/srv/mirrors/debian/"),
  ];
}
