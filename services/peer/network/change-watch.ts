// Notices that the machine has new addresses, and that it was suspended. Timers do not run while it is suspended, so
// that a registration may have expired long before the next heartbeat is due.

/** Interval of the checks in milliseconds. */
const INTERVAL_MS = 1_000;

/** Difference by which the wall clock has to run ahead of the timers to count as a suspension, in milliseconds. */
const SUSPENDED_MS = 10_000;

export interface ChangeWatch {
  start(): void;
  stop(): void;
  /** Checks at once. */
  check(): void;
}

export interface ChangeWatchDeps {
  /** The direct addresses of this device. */
  readonly addresses: () => readonly string[];
  readonly onChange: () => void;
  /** Monotonic clock in milliseconds, which stands still while the machine is suspended. */
  readonly nowMs: () => number;
  /** Wall clock in milliseconds. A clock that is set ahead looks like a suspension, which does no harm. */
  readonly nowUnixMs: () => number;
}

export function createChangeWatch({ addresses, onChange, nowMs, nowUnixMs }: ChangeWatchDeps): ChangeWatch {
  let timer: NodeJS.Timeout | undefined;
  let known = '';
  let offsetMs = 0;

  function look(): { readonly text: string; readonly offset: number } {
    return { text: addresses().join(), offset: nowUnixMs() - nowMs() };
  }

  function check(): void {
    const { text, offset } = look();
    const isChanged = text !== known || offset - offsetMs > SUSPENDED_MS;
    known = text;
    offsetMs = offset;
    if (isChanged) onChange();
  }

  return {
    start() {
      const { text, offset } = look();
      known = text;
      offsetMs = offset;
      timer = setInterval(check, INTERVAL_MS);
    },
    stop: () => clearInterval(timer),
    check,
  };
}
