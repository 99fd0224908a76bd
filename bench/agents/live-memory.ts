import { renameSync, writeFileSync } from "node:fs";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// Loaded before a program whose memory is measured: on SIGUSR2 it collects its garbage, and writes what is left
// to the file that the environment names.
const file = process.env["BENCH_LIVE_MEMORY"];
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
process.on("SIGUSR2", () => {
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  // V8 makes it larger and smaller as it sees fit, by 100 MB, and keeps nothing in it for long.
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  const collected = rss - young!.physical_space_size;
  writeFileSync(`${file}.new`, JSON.stringify({ live: heapUsed + external, collected }));
  renameSync(`${file}.new`, file!);
});
