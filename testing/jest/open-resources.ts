// What keeps a process alive: servers, sockets, timers, child processes.

/** Kinds that tests create, by the names that Node reports. Node leaves out unreferenced resources. */
const KINDS = new Set([
  'FSEventWrap',
  'MessagePort',
  'PipeWrap',
  'ProcessWrap',
  'StatWatcher',
  'TCPServerWrap',
  'TCPSocketWrap',
  'TLSWrap',
  'Timeout',
  'UDPWrap',
  'Worker',
]);

const POLL_MS = 20;

/** The number of open resources of each kind. */
export function countOpenResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo())
    if (KINDS.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/**
 * Waits until no more resources are open than before. Resolves to those that still are after the timeout, such as
 * `1 TCPServerWrap`.
 */
export async function findLeaks(before: ReadonlyMap<string, number>, timeoutMs: number): Promise<string[]> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const leaks = [...countOpenResources()].flatMap(([kind, count]) => {
      const surplus = count - (before.get(kind) ?? 0);
      return surplus > 0 ? [`${surplus} ${kind}`] : [];
    });
    if (leaks.length === 0 || performance.now() > deadlineMs) return leaks;
    // The timer of this wait has fired when the resources are counted again.
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}
