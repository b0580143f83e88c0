// Preloaded into a relay to shift its wall clock, so that its reservations seem to expire after seconds instead of an hour
// and clients refresh them during the test. The relay itself measures durations with the monotonic clock.
const SHIFT_MS = 3_592_000;

const realNowUnixMs = Date.now;
Date.now = () => realNowUnixMs() - SHIFT_MS;
