// Starts the parts of a service in order, and on a signal takes them down again: unready, drain, stop in reverse.
import { ConfigError, describeError, EXIT_CONFIG, EXIT_FAILURE } from './errors.ts';
import type { Logger } from './log.ts';

/** Something with a life: a server, a node, a connection pool. */
export interface Part {
  readonly name: string;
  start(): Promise<void>;
  /** Refuses new work and resolves when running work has ended, or when the signal ends its patience. */
  drain?(signal: AbortSignal): Promise<void>;
  /** Ends at once; called also when `start` of a later part failed. */
  stop(): Promise<void>;
}

/** Whether the service takes work, and if not, why. Parts add checks; the ops server asks. */
export interface Health {
  /** Adds a check; it answers a reason to be unready, or `undefined`. */
  addCheck(name: string, check: () => string | undefined): void;
  setServing(serving: boolean): void;
  /** Reasons to be unready, by check; empty when ready. */
  problems(): Record<string, string>;
}

export function createHealth(): Health {
  const checks = new Map<string, () => string | undefined>();
  let serving = false;
  return {
    addCheck: (name, check) => void checks.set(name, check),
    setServing: (value) => void (serving = value),
    problems() {
      const found: Record<string, string> = {};
      if (!serving) found['lifecycle'] = 'starting or stopping';
      for (const [name, check] of checks) {
        const problem = check();
        if (problem !== undefined) found[name] = problem;
      }
      return found;
    },
  };
}

export interface LifecycleOptions {
  readonly log: Logger;
  readonly health: Health;
  /** How long running work may take to end after a stop was asked for, in milliseconds. */
  readonly drainMs: number;
  /** How long starting all parts, or stopping them after the drain, may take before the process ends anyway, in milliseconds. */
  readonly deadlineMs: number;
}

export interface Lifecycle {
  /** Starts all parts in order. @throws the first failure, after the parts already started were stopped. */
  start(): Promise<void>;
  /** Unready, drain, stop in reverse order; resolves to the number of parts that failed to stop. */
  stop(): Promise<number>;
  /** Ends the drain's patience. */
  hurry(): void;
}

export function createLifecycle(parts: readonly Part[], options: LifecycleOptions): Lifecycle {
  const { log, health, drainMs, deadlineMs } = options;
  const started: Part[] = [];
  const patience = new AbortController();

  async function stopStarted(): Promise<number> {
    let failures = 0;
    for (const part of started.splice(0).toReversed()) {
      try {
        await within(deadlineMs, part.stop(), `${part.name} did not stop`);
      } catch (error) {
        failures += 1;
        log.error({ part: part.name, error: describeError(error) }, 'stop failed');
      }
    }
    return failures;
  }

  return {
    async start() {
      for (const part of parts) {
        try {
          started.push(part);
          await within(deadlineMs, part.start(), `${part.name} did not start`);
        } catch (error) {
          await stopStarted();
          throw error instanceof ConfigError
            ? error
            : new Error(`${part.name} could not start`, { cause: error });
        }
      }
      health.setServing(true);
    },
    async stop() {
      health.setServing(false);
      const signal = AbortSignal.any([patience.signal, AbortSignal.timeout(drainMs)]);
      const drains = started.map(async (part) => part.drain?.(signal));
      // A drain that outlives its signal is cut off: the stop that follows ends its work.
      await Promise.race([Promise.allSettled(drains), aborted(signal)]);
      return stopStarted();
    },
    hurry: () => patience.abort(),
  };
}

/**
 * Runs a service until SIGTERM or SIGINT, then takes it down and sets the exit code. A second signal ends the
 * drain at once; a third one, or a stop that hangs, ends the process.
 */
export async function runService(
  lifecycle: Lifecycle,
  { log, drainMs, deadlineMs }: LifecycleOptions,
): Promise<void> {
  const asked = Promise.withResolvers<NodeJS.Signals>();
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    if (signals === 1) asked.resolve(signal);
    else if (signals === 2) lifecycle.hurry();
    else process.exit(EXIT_FAILURE);
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);

  await lifecycle.start();
  log.info('started');
  const signal = await asked.promise;
  log.info({ signal }, 'stopping');
  setTimeout(() => {
    log.fatal({ drainMs, deadlineMs }, 'stop took too long');
    process.exit(EXIT_FAILURE);
  }, drainMs + deadlineMs).unref();
  const failures = await lifecycle.stop();
  log.info({ failures }, 'stopped');
  process.exit(failures === 0 ? 0 : EXIT_FAILURE);
}

/**
 * The last resort of every `main`: says what went wrong and ends the process, with exit code 78 where the
 * configuration is at fault. Plain lines, not JSON: it is read by whoever just started the service.
 */
export function exitWith(program: string, error: unknown): never {
  if (error instanceof ConfigError) {
    process.stderr.write(`${program}: the configuration cannot be used:\n`);
    for (const problem of error.problems) process.stderr.write(`  - ${problem}\n`);
    process.exit(EXIT_CONFIG);
  }
  process.stderr.write(`${program}: ${describeError(error)}\n`);
  process.exit(EXIT_FAILURE);
}

async function within<T>(milliseconds: number, work: Promise<T>, complaint: string): Promise<T> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(
    () => timer.reject(new Error(`${complaint} within ${milliseconds} ms`)),
    milliseconds,
  );
  try {
    return await Promise.race([work, timer.promise]);
  } finally {
    clearTimeout(timeout);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
