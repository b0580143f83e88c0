// The environment of a test file: that of Node, and a check that the file leaves nothing open.
import { TestEnvironment } from 'jest-environment-node';
import { countOpenResources, findLeaks } from './open-resources.ts';

/** How long resources may take to close after the last test, in milliseconds. */
const CLOSE_TIMEOUT_MS = 10_000;

class LeakError extends Error {
  name = 'LeakError';

  constructor(path, leaks) {
    super(
      `${path}: the tests left resources open that keep the process alive: ${leaks.join(', ')}. ` +
        'Close them in a hook of the test file.',
    );
    // The position in this file does not help to find the leak.
    this.stack = this.message;
  }
}

export default class LeakCheckingEnvironment extends TestEnvironment {
  #before;
  #path;

  constructor(config, context) {
    super(config, context);
    this.#path = context.testPath;
    // Node opens the standard streams when they are first used, which is not a leak of the test that does so.
    for (const name of ['stdin', 'stdout', 'stderr']) void process[name];
    this.#before = countOpenResources();
  }

  /** @throws LeakError, which fails the test file. */
  async teardown() {
    const leaks = await findLeaks(this.#before, CLOSE_TIMEOUT_MS);
    await super.teardown();
    if (leaks.length > 0) throw new LeakError(this.#path, leaks);
  }
}
