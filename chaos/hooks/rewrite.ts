import { registerHooks } from "node:module";

/** Replaces a text of a source file as it is loaded; refuses to start where the file has no such text. */
export function rewrite({ file, from, to }: { file: string; from: string | RegExp; to: string }) {
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context);
      if (!url.endsWith(file)) return loaded;
      const source = Buffer.from(loaded.source as Uint8Array).toString();
      const changed = source.replaceAll(from, to);
      if (changed === source) throw new Error(`chaos: ${file} no longer holds ${from}`);
      return { ...loaded, source: changed };
    },
  });
}
