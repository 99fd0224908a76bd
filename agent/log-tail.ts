/**
 * The last lines of those that a log has no room for, and how many went before them. `keepBytes`: of the
 * lines together, with their ends.
 */
export function openLogTail({ keepBytes }: { keepBytes: number }) {
  let lines: string[] = [];
  let first = 0;
  let bytes = 0;
  const left = { lines: 0, bytes: 0 };
  const sizeOf = (line: string) => Buffer.byteLength(line) + 1;
  return {
    isEmpty: () => lines.length === 0,
    push: (line: string) => {
      lines.push(line);
      bytes += sizeOf(line);
      for (; bytes > keepBytes && first < lines.length - 1; first++) {
        const size = sizeOf(lines[first]!);
        bytes -= size;
        left.bytes += size;
        left.lines += 1;
      }
      // What is passed over is let go from time to time: at each line it would be copied.
      if (first < 10_000) return;
      lines = lines.slice(first);
      first = 0;
    },
    /** The lines that are to follow: first, where some were left out, how much that was. */
    take: () => {
      const gap =
        left.lines > 0 ? [`… ${left.lines} lines (${left.bytes} bytes) left out here …`] : [];
      return gap.concat(lines.slice(first));
    },
  };
}
