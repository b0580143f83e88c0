// Returns unused memory to the system. The compiler threads of V8 allocate megabytes for a moment, which the C library
// keeps for them: 7 to 12 MiB after the handshakes of a thousand devices, in one area for each thread.
import { loadFunctions } from './foreign-functions.ts';
import type { Component } from './lifecycle.ts';

/** Interval in milliseconds. A call takes one to four milliseconds, measured with 3,000 devices. */
const INTERVAL_MS = 2_000;

/** @param trim default: `malloc_trim`; `undefined`, which does nothing, where Node.js or the C library has none */
export function createMemoryTrim(trim = loadTrim()): Component {
  let timer: NodeJS.Timeout | undefined;
  return {
    name: 'memory trim',
    async start() {
      if (trim !== undefined) timer = setInterval(trim, INTERVAL_MS).unref();
    },
    stop: async () => clearInterval(timer),
  };
}

/** The function of the GNU C library, which is part of the image. */
function loadTrim(): (() => void) | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const { malloc_trim } = loadFunctions<{ malloc_trim(padBytes: bigint): number }>({
      malloc_trim: { arguments: ['u64'], return: 'i32' },
    });
    const trim = (): void => void malloc_trim(0n);
    // A version of Node.js that accepts other arguments throws now, and not later.
    trim();
    return trim;
  } catch {
    return undefined;
  }
}
