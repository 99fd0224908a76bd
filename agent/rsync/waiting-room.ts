/** Connections that are not admitted yet: at a time, and of one network. Those beyond are closed. */
const most = 256;
const mostOfOne = 64;

/**
 * Counts the connections that have not shaken hands and said a right password. `enter` answers how to leave, or
 * why there is no place, for people.
 */
export function openWaitingRoom() {
  let all = 0;
  const byNetwork = new Map<string, number>();
  const change = (network: string, by: number) => {
    all += by;
    const count = (byNetwork.get(network) ?? 0) + by;
    if (count === 0) byNetwork.delete(network);
    else byNetwork.set(network, count);
  };
  return {
    enter: ({ network }: { network: string }): { leave: () => void } | { why: string } => {
      if ((byNetwork.get(network) ?? 0) >= mostOfOne)
        return { why: `${mostOfOne} of its connections have said no right password yet` };
      if (all >= most)
        return { why: `${most} connections, of all hosts, have said no right password yet` };
      change(network, 1);
      let inside = true;
      const leave = () => {
        if (inside) change(network, -1);
        inside = false;
      };
      return { leave };
    },
  };
}
