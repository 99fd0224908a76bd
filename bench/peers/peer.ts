/** What a process that works on a peer's queue is told. */
export type PeerInput = {
  connectionString: string;
  /** Jobs at a time. */
  concurrency: number;
  /** Takes jobs from the database many at a time, and ends them so; where the peer can. */
  batched: boolean;
};
