// The clean-up stack of the tests: steps that run after a test and stop the resources that it started.

type CleanUpStep = () => unknown;

const steps: CleanUpStep[] = [];

/** Registers a step that stops or removes something after the test. */
export function onCleanup(step: CleanUpStep): void {
  steps.push(step);
}

/**
 * Runs all registered steps, the latest first, and waits for each: `afterEach(cleanUp)`. The failure of a step
 * does not prevent the other steps.
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
