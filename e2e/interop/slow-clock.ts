// Preloaded into a relay, so that its reservations seem to end after some seconds instead of an hour, and clients refresh
// them while one waits. Only what the relay tells of the time is changed: it counts by another clock.
const BACK_MS = 3_592_000;

const now = Date.now;
Date.now = () => now() - BACK_MS;
