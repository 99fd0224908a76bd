import { glob, readdir, readFile, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { TomlError } from "smol-toml";
import { AppError } from "../../protocol/errors.ts";
import { importCrontab } from "../import/crontab.ts";
import { importFtpsync } from "../import/ftpsync.ts";
import { type Draft, placeDrafts } from "../import/place.ts";
import { type Imported, type Note, type NoteTaker, reportText } from "../import/report.ts";
import { draftOfMirror, flatMirrors, readTunasync } from "../import/tunasync.ts";
import { importRepository, readRepository } from "../import/yuki.ts";
import { collect } from "../project-fields.ts";
import { fromYaml, toYaml } from "../yaml.ts";

type Options = {
  output?: string;
  report?: string;
  root?: string[];
  zone: string;
  schedule?: string;
  mirrorName?: string;
  system?: boolean;
};
type Read = { drafts: Draft[]; notes: Note[]; roots?: string[] };

const noFile = (path: string) => (cause: Error) => {
  throw new AppError("invalid-input", `cannot read ${path}: ${cause.message}`, { cause });
};
const textOf = async (path: string) => ({
  path,
  text: await readFile(path, "utf8").catch(noFile(path)),
});

/** Texts of files that an old configuration names; relative ones lie beside it. */
const beside = (file: string) => (path: string) => {
  try {
    return readFileSync(resolve(dirname(file), path), "utf8");
  } catch (error) {
    // The report says which lists could not be read: they may be on another machine.
    if (["ENOENT", "EACCES", "EISDIR"].includes((error as NodeJS.ErrnoException).code ?? ""))
      return null;
    throw error;
  }
};

/** Names the file in what a parser says of it. */
function readWith<Value>(path: string, read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const { message } = cause as Error;
    // The further lines of a TomlError quote the file, which may hold passwords.
    const why =
      cause instanceof TomlError
        ? `${message.split("\n")[0]} (line ${cause.line}, column ${cause.column})`
        : message;
    throw new AppError("invalid-input", `cannot understand ${path}: ${why}`, { cause });
  }
}

/** Drafts, and the notes of what became none. */
const sort = (results: { draft: Draft | null; take: NoteTaker }[]): Read => ({
  drafts: results.flatMap(({ draft }) => draft ?? []),
  notes: results.flatMap(({ draft, take }) => (draft ? [] : take.notes)),
});

async function tunasync(paths: string[]): Promise<Read> {
  const all: Read[] = [];
  const roots: string[] = [];
  for (const path of paths) {
    const file = readWith(path, () => readTunasync(readFileSync(path, "utf8")));
    const mirrors = [...file.mirrors];
    const pattern = file.include?.include_mirrors;
    if (pattern)
      for await (const included of glob(resolve(dirname(path), pattern)))
        mirrors.push(
          ...readWith(included, () => readTunasync(readFileSync(included, "utf8"))).mirrors,
        );
    const readText = beside(path);
    const flat = readWith(path, () => flatMirrors(mirrors));
    all.push(sort(flat.map((mirror) => draftOfMirror(mirror, { file, readText }))));
    if (file.global.mirror_dir) roots.push(file.global.mirror_dir);
    const {
      concurrent,
      exec_on_success: success = [],
      exec_on_failure: failure = [],
    } = file.global;
    const note = (kind: Note["kind"], what: string, why: string) =>
      all.push({ drafts: [], notes: [{ kind, about: basename(path), what, why }] });
    if (concurrent !== undefined)
      note(
        "changed",
        `concurrent = ${concurrent}`,
        "how many rsyncs run at once is a host's: mirrorfleet host set",
      );
    if (success.length + failure.length > 0)
      note(
        "impossible",
        "exec_on_success, exec_on_failure",
        "no program runs after a sync: alerts tell webhooks and mail",
      );
  }
  return {
    drafts: all.flatMap(({ drafts }) => drafts),
    notes: all.flatMap(({ notes }) => notes),
    roots: [...new Set(roots)],
  };
}

async function ftpsync(
  paths: string[],
  { schedule = null, mirrorName }: { schedule?: string | null; mirrorName?: string },
): Promise<Read> {
  const files = await Promise.all(paths.map(textOf));
  return sort(
    files.map((file) => importFtpsync(file, { schedule, mirrorName, readText: beside(file.path) })),
  );
}

async function yuki(directories: string[], { zone }: { zone: string }): Promise<Read> {
  const byName = new Map<string, { path: string; value: unknown }[]>();
  for (const directory of directories) {
    const names = (await readdir(directory).catch(noFile(directory))).filter((name) =>
      name.endsWith(".yaml"),
    );
    for (const name of names.toSorted()) {
      const path = join(directory, name);
      const value: unknown = fromYaml((await textOf(path)).text, path);
      byName.set(name, [...(byName.get(name) ?? []), { path, value }]);
    }
  }
  return sort(
    [...byName.values()].map((files) => {
      const path = files.at(-1)!.path;
      const repository = readWith(path, () => readRepository(files.map(({ value }) => value)));
      return importRepository(repository, { zone, readText: beside(path) });
    }),
  );
}

const crontab = async (paths: string[], { zone, system = false }: Options): Promise<Read> =>
  importCrontab(await Promise.all(paths.map(textOf)), {
    zone,
    system,
    readText: beside(paths[0]!),
  });

/** Writes the fleet file and the report. */
async function write(imported: Imported, { output, report }: Options): Promise<void> {
  const text = toYaml({ projects: imported.projects });
  const told = `${reportText(imported, { file: output ?? "FILE" })}\n`;
  if (output === undefined) process.stdout.write(text);
  else await writeFile(output, text);
  if (report === undefined) process.stderr.write(told);
  else await writeFile(report, told);
}

/** `import`. */
export function addImport(program: Command): void {
  const parent = program
    .command("import")
    .description(
      "make a fleet file for apply of what mirrored until now, and say what became of it",
    );
  const add = (
    name: string,
    argument: string,
    description: string,
    read: (paths: string[], options: Options) => Promise<Read>,
  ) =>
    parent
      .command(name)
      .description(description)
      .argument(argument)
      .option("-o, --output <file>", "write the fleet file there (default: standard output)")
      .option("--report <file>", "write the report there (default: standard error)")
      .option("--root <directory>", "mirror root that the trees lie in; may be repeated", collect)
      .action(async (paths: string[] | string, options: Options) => {
        const { drafts, notes, roots = [] } = await read([paths].flat(), options);
        await write(placeDrafts(drafts, { roots: options.root ?? roots, notes }), options);
      });
  const zone = () =>
    new Option("--zone <zone>", "time zone of its schedules (default: this machine's)").default(
      Intl.DateTimeFormat().resolvedOptions().timeZone,
      "this machine's",
    );
  add("tunasync", "<files...>", "worker.conf of tunasync, with what it includes", tunasync);
  add("ftpsync", "<files...>", "ftpsync.conf of Debian's mirrors", ftpsync)
    .option("--schedule <cron>", "schedule of the projects")
    .option("--mirror-name <name>", "MIRRORNAME, where the file asks the machine for it");
  add(
    "yuki",
    "<directories...>",
    "directories of yuki's repositories; later ones win",
    yuki,
  ).addOption(zone());
  add(
    "crontab",
    "<files...>",
    "rsyncs of crontabs and of shell scripts, which are read, never run",
    crontab,
  )
    .addOption(zone())
    .option("--system", "lines name a user, as in /etc/crontab");
}
