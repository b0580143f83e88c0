// Abort signals and deadlines. Every wait in the services is bounded by one of these.

/** Resolves when the signal aborts, or immediately if it is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** A signal that aborts when one of the given ones does; absent signals are skipped. */
export function anySignal(...signals: ReadonlyArray<AbortSignal | undefined>): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}

/**
 * Waits at most `timeoutMs` milliseconds for work. Only the wait is bounded: the work is not canceled.
 *
 * @throws Error with `message`, a whole sentence, after the deadline; otherwise the error of the work
 */
export async function withinDeadline<T>(timeoutMs: number, work: Promise<T>, message: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(message)), timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
