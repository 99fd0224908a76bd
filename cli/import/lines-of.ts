/** Tells the line, from 1, of a position in a text. */
export function linesOf(text: string): (position: number) => number {
  const breaks = [...text.matchAll(/\n/g)].map(({ index }) => index);
  return (position) => {
    const at = breaks.findIndex((each) => each >= position);
    return (at === -1 ? breaks.length : at) + 1;
  };
}
