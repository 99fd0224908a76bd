// As much of the peers as is used here: types are checked where they are not installed.
declare module "graphile-worker" {
  export class Logger {
    constructor(factory: () => () => void);
    debug(message: string): void;
  }
  type Job = { identifier: string; payload: object };
  export function makeWorkerUtils(options: { connectionString: string; logger: Logger }): Promise<{
    migrate: () => Promise<void>;
    addJob: (identifier: string, payload: object) => Promise<unknown>;
    addJobs: (jobs: Job[]) => Promise<unknown>;
    release: () => Promise<void>;
  }>;
  export function run(options: {
    preset: { worker: Record<string, unknown> };
    parsedCronItems: never[];
    taskList: Record<string, () => void>;
  }): Promise<unknown>;
}

declare module "pg-boss" {
  export class PgBoss {
    constructor(options: { connectionString: string; max: number; useListenNotify: boolean });
    on(event: "error", take: (error: Error) => void): void;
    start(): Promise<unknown>;
    stop(options: { graceful: boolean }): Promise<void>;
    createQueue(
      name: string,
      options: { notify: boolean; heartbeatSeconds: number },
    ): Promise<void>;
    send(name: string, data: object): Promise<string | null>;
    insert(name: string, jobs: { data: object }[]): Promise<unknown>;
    work(
      name: string,
      options: {
        localConcurrency: number;
        batchSize: number;
        pollingIntervalSeconds: number;
        notifyPollingIntervalSeconds: number;
      },
      handle: (jobs: { id: string }[]) => Promise<void>,
    ): Promise<string>;
    touch(name: string, id: string): Promise<unknown>;
  }
}
