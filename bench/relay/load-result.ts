// What a process of the load is told, and what it answers.

export interface LoadOptions {
  /** The path of the swarm key file. */
  readonly keyFile: string;
  /** The multiaddr of the relay. */
  readonly relay: string;
  readonly muxer: 'yamux' | 'mplex';
  /** Devices, or pairs of devices. */
  readonly devices: number;
  /** Operations of all devices together. */
  readonly operations: number;
  /** Operations at the same time. */
  readonly concurrency: number;
  /** Bytes of each circuit. */
  readonly bytes: number;
}

export interface LoadResult {
  readonly operations: number;
  readonly bytes: number;
  readonly latenciesMs: readonly number[];
  /** Whole sentences; at most `MAX_ERRORS` of them. */
  readonly errors: readonly string[];
  readonly figures?: Readonly<Record<string, number>>;
}

/** Prepares the load. What it returns does the work, which is measured. `report` prints an event while it works. */
export type Prepare = (
  options: LoadOptions,
  report: (event: string) => void,
) => Promise<() => Promise<LoadResult>>;

/** Maximum errors that are kept; one voids the run. */
const MAX_ERRORS = 20;

/** Runs operations, a few at the same time, and collects their durations and failures. */
export async function repeat(
  count: number,
  concurrency: number,
  operation: (index: number) => Promise<void>,
): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  const errors: string[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count && errors.length < MAX_ERRORS) {
      const index = next;
      next += 1;
      const startedMs = performance.now();
      try {
        await operation(index);
        latenciesMs.push(performance.now() - startedMs);
      } catch (error) {
        errors.push(error instanceof Error ? error.message : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  return { operations: latenciesMs.length, bytes: 0, latenciesMs, errors };
}

/** Rejects when it takes too long. An operation of a load must not wait for ever for a server that has lost it. */
export async function within<T>(seconds: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what} did not finish within ${seconds} s.`)),
      seconds * 1000,
    );
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
