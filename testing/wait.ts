// What tests of every room wait with: a condition and a deadline, never a pause.

/** How long a test waits for a condition before it fails, in milliseconds; generous, because machines are slow. */
const PATIENCE_MS = 20_000;

/** Resolves as soon as the condition holds. @throws when it does not within the deadline, naming it. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  patienceMs: number = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain until ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
