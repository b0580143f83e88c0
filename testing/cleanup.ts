// The clean-up stack of the tests: what a test starts is registered here and is stopped when the test is over.

type CleanUpStep = () => unknown;

const steps: CleanUpStep[] = [];

/** Registers what stops or removes something that the test started. */
export function onCleanup(step: CleanUpStep): void {
  steps.push(step);
}

/**
 * Runs all registered steps, the latest first, and waits for each: `afterEach(cleanUp)`. A step that fails does not
 * keep the others from running.
 *
 * @throws the error of the step that failed, or an AggregateError when several did
 */
export async function cleanUp(): Promise<void> {
  const errors: unknown[] = [];
  for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} clean-up steps failed.`);
}
