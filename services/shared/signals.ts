// Abort signals and deadlines: every wait in the services ends by one of these.

/** Resolves when the signal aborts; at once when it already has. */
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
 * Waits for work, at most `timeoutMs` milliseconds. The work itself goes on: this bounds only the wait.
 *
 * @throws Error with the message, a whole sentence, when the work is late; otherwise what the work throws
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
