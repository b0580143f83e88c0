import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { createHealth, createLifecycle } from '../../shared/lifecycle.ts';
import { createLogger } from '../../shared/log.ts';
import { openDatabase } from '../history/database.ts';
import { createDatabaseComponent } from './database-component.ts';

afterEach(cleanUp);

test('a service ends with the exit code of the database and advice when the file is deleted', async () => {
  const path = join(makeDirectory(), 'history.db');
  const log = createLogger('test', 'silent');
  const lifecycle = createLifecycle([createDatabaseComponent(openDatabase(path), 10)], {
    log,
    health: createHealth(),
    drainMs: 1_000,
    deadlineMs: 10_000,
  });
  await lifecycle.start();
  onCleanup(async () => lifecycle.stop());
  rmSync(path);
  expect(await lifecycle.failed).toEqual({
    exitCode: 5,
    text: expect.stringMatching(/history\.db: .* deleted while it was in use.*Start the command again/),
  });
});
