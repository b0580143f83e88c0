// Limits the bytes of messages that are received at the same time. Each grows while it arrives, so all could wait for each
// other; one of them at a time may therefore exceed the limit up to its maximum size.
export interface ByteBudget {
  /** A message of which nothing has arrived. */
  open(): ByteHold;
}

export interface ByteHold {
  /**
   * Raises the size of the message to `bytes`. Resolves to false when the signal aborts while it waits for others to end.
   */
  grow(bytes: number, signal: AbortSignal): true | Promise<boolean>;
  /** Ends the message, also one that waits. */
  release(): void;
}

/** @param maxBytes maximum bytes of all messages, except one */
export function createByteBudget(maxBytes: number): ByteBudget {
  const waiting = new Set<{
    readonly bytes: number;
    readonly hold: ByteHold;
    settle(isGranted: boolean): void;
  }>();
  let used = 0;
  /** The message that may exceed the limit. */
  let largest: ByteHold | undefined;
  const sizes = new Map<ByteHold, number>();

  function tryGrow(hold: ByteHold, bytes: number): boolean {
    const more = bytes - (sizes.get(hold) ?? 0);
    if (hold !== largest && used + more > maxBytes) {
      if (largest !== undefined) return false;
      largest = hold;
      used -= sizes.get(hold) ?? 0;
    }
    if (hold !== largest) used += more;
    sizes.set(hold, bytes);
    return true;
  }

  function grantWaiting(): void {
    for (const each of waiting) {
      if (!tryGrow(each.hold, each.bytes)) return;
      each.settle(true);
    }
  }

  async function waitToGrow(hold: ByteHold, bytes: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    return new Promise((resolve) => {
      const settle = (isGranted: boolean): void => {
        waiting.delete(request);
        signal.removeEventListener('abort', onAbort);
        resolve(isGranted);
      };
      const onAbort = (): void => {
        settle(false);
        // What follows may be smaller.
        grantWaiting();
      };
      const request = { bytes, hold, settle };
      waiting.add(request);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  return {
    open() {
      const hold: ByteHold = {
        grow: (bytes, signal) =>
          (hold === largest || waiting.size === 0) && tryGrow(hold, bytes)
            ? true
            : waitToGrow(hold, bytes, signal),
        release() {
          // Its sender may have left while it waited. What it is granted afterwards would never be released.
          for (const each of waiting) if (each.hold === hold) each.settle(false);
          if (hold === largest) largest = undefined;
          else used -= sizes.get(hold) ?? 0;
          sizes.delete(hold);
          grantWaiting();
        },
      };
      return hold;
    },
  };
}
