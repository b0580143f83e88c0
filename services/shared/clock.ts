// The clocks that components are given. A name says the unit; a component never reads a clock that it was not given.

/** Milliseconds from an arbitrary start; it only moves forward. For durations and deadlines. */
export const monotonicMs = (): number => performance.now();

/** Whole seconds since 1970. For times that are stored, shown or sent. */
export const unixSeconds = (): number => Math.floor(Date.now() / 1_000);
