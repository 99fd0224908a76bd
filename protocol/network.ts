/**
 * Pure. What one client is counted by: its IPv4 address, or the first 64 bits of its IPv6 address, as whoever has
 * one of those has all of that network.
 */
export function networkOf(text: string): string {
  // A socket for both families writes IPv4 addresses as IPv6 ones.
  const address = text.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  // An IPv4 address at the end stands for two groups.
  const zeros = 8 - before.length - after.length - (after.at(-1)?.includes(".") ? 1 : 0);
  const all = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => "0"), ...after];
  return `${all.slice(0, 4).join(":")}::/64`;
}
