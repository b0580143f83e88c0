// How long the demo, `npm start` and the tests wait for something that normally takes moments.

/**
 * Deadline of one wait, in milliseconds. A deadline only ends what never happens: it is far above what a busy machine
 * needs, and no wait takes longer because of it.
 */
export const WAIT_TIMEOUT_MS = 60_000;
