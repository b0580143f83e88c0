// Starts the components of a service in order. On a signal it makes the service unready, drains the components and
// stops them in reverse order.
import { ConfigError, describeError, EXIT_FAILURE } from './errors.ts';
import type { Logger } from './log.ts';
import { aborted, withinDeadline } from './signals.ts';

/** Why a component can no longer work. */
export interface ComponentFailure {
  /** What happened and what to do, in whole sentences. */
  readonly text: string;
  readonly exitCode: number;
}

/** Something that starts and stops: a server, a node, a connection pool. */
export interface Component {
  readonly name: string;
  start(): Promise<void>;
  /** Refuses new work. Resolves when running work has ended, or when the signal aborts the drain. */
  drain?(signal: AbortSignal): Promise<void>;
  /** Resolves when the component can no longer work and cannot help itself. The service then stops, and exits with the code. */
  readonly failed?: Promise<ComponentFailure>;
  /** Stops immediately. Also called when `start` of this or a later component failed. */
  stop(): Promise<void>;
}

/** The readiness of the service: whether it accepts work, and the reasons if it does not. */
export interface Health {
  /** Adds a check. `check` returns the reason for being unready, or `undefined`. */
  addCheck(name: string, check: () => string | undefined): void;
  setServing(isServing: boolean): void;
  /** Reasons for being unready, by check; empty when ready. */
  problems(): Record<string, string>;
}

export function createHealth(): Health {
  const checks = new Map<string, () => string | undefined>();
  let isServing = false;
  return {
    addCheck: (name, check) => void checks.set(name, check),
    setServing: (value) => void (isServing = value),
    problems() {
      const found: Record<string, string> = {};
      if (!isServing) found['lifecycle'] = 'starting or stopping';
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
  /** Drain deadline: maximum time for running work to end after a stop was requested, in milliseconds. */
  readonly drainMs: number;
  /** Deadline for one component to start, or to stop after the drain, in milliseconds. */
  readonly deadlineMs: number;
}

export interface Lifecycle {
  /** Starts all components in order. @throws the first failure, after the components already started were stopped. */
  start(): Promise<void>;
  /** Unready, drain, stop in reverse order. Resolves to the number of components that failed to stop. */
  stop(): Promise<number>;
  /** Ends the drain immediately. Running work is aborted. */
  abortDrain(): void;
  /** Resolves when one of the components failed after its start. */
  readonly failed: Promise<ComponentFailure>;
}

export function createLifecycle(components: readonly Component[], options: LifecycleOptions): Lifecycle {
  const { log, health, drainMs, deadlineMs } = options;
  const started: Component[] = [];
  const drainAbort = new AbortController();

  async function stopStarted(): Promise<number> {
    let failures = 0;
    for (const component of started.splice(0).toReversed()) {
      try {
        const lateMessage = `The ${component.name} did not stop within ${deadlineMs} ms.`;
        await withinDeadline(deadlineMs, component.stop(), lateMessage);
      } catch (error) {
        failures += 1;
        log.error({ component: component.name, error: describeError(error) }, 'stop failed');
      }
    }
    return failures;
  }

  return {
    async start() {
      for (const component of components) {
        try {
          started.push(component);
          const lateMessage = `The ${component.name} did not start within ${deadlineMs} ms.`;
          await withinDeadline(deadlineMs, component.start(), lateMessage);
        } catch (error) {
          await stopStarted();
          throw error instanceof ConfigError
            ? error
            : new Error(`The ${component.name} could not start.`, { cause: error });
        }
      }
      health.setServing(true);
    },
    async stop() {
      health.setServing(false);
      const signal = AbortSignal.any([drainAbort.signal, AbortSignal.timeout(drainMs)]);
      const drains = started.map(async (component) => component.drain?.(signal));
      // A drain that continues after its signal aborts is not awaited, because the following stop ends its work.
      await Promise.race([Promise.allSettled(drains), aborted(signal)]);
      return stopStarted();
    },
    abortDrain: () => drainAbort.abort(),
    failed: Promise.race(components.flatMap(({ failed }) => failed ?? [])),
  };
}

/**
 * Runs a service until SIGTERM or SIGINT, or until a component fails, then stops it and exits. A second signal aborts the drain. A third signal, or
 * a stop that takes longer than the drain deadline and the stop deadline together, ends the process immediately.
 */
export async function runService(
  lifecycle: Lifecycle,
  { log, drainMs, deadlineMs }: LifecycleOptions,
): Promise<void> {
  const stopRequest = Promise.withResolvers<NodeJS.Signals>();
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    if (signals === 1) stopRequest.resolve(signal);
    else if (signals === 2) lifecycle.abortDrain();
    else process.exit(EXIT_FAILURE);
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);

  await lifecycle.start();
  log.info('started');
  const end = await Promise.race([stopRequest.promise, lifecycle.failed]);
  if (typeof end === 'string') log.info({ signal: end }, 'stopping');
  else log.fatal({ error: end.text }, 'stopping, because a component failed');
  setTimeout(() => {
    log.fatal({ drainMs, deadlineMs }, 'stop took too long');
    process.exit(EXIT_FAILURE);
  }, drainMs + deadlineMs).unref();
  const failures = await lifecycle.stop();
  log.info({ failures }, 'stopped');
  const exitCode = typeof end === 'string' ? 0 : end.exitCode;
  process.exit(exitCode === 0 && failures > 0 ? EXIT_FAILURE : exitCode);
}
