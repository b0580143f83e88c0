// The deadline for conditions that normally hold after moments, in the demo, in `npm start` and in the tests.

/**
 * Deadline of one wait, in milliseconds. It is much longer than a busy machine requires, because it only ends waits for
 * conditions that never hold.
 */
export const WAIT_TIMEOUT_MS = 60_000;
