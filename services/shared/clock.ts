// The clocks that are passed to components. Their names contain the unit. A component reads no other clock.

/** Milliseconds since an arbitrary start. Monotonic; use it for durations and deadlines. */
export const monotonicMs = (): number => performance.now();

/** Whole seconds since 1970. Use it for times that are stored, shown or sent. */
export const unixSeconds = (): number => Math.floor(Date.now() / 1_000);
