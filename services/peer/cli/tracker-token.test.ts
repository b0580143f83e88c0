import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { readPeerConfig } from '../config/config.ts';
import { createTrackers } from './context.ts';

afterEach(cleanUp);

test('a token in a file is read again for each request, and the last one is used while the file has none', async () => {
  const tokens: Array<string | undefined> = [];
  const server = createServer((request, response) => {
    tokens.push(request.headers.authorization);
    response.end('{"ok":true}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => void server.close());
  const bound = server.address();
  const port = typeof bound === 'object' ? bound?.port : undefined;
  const directory = makeDirectory();
  const path = join(directory, 'token');
  writeFileSync(path, 'first\n');
  const [tracker] = createTrackers(
    readPeerConfig({
      environment: {
        HOME: directory,
        RUSTORY_TRACKERS: `http://127.0.0.1:${port}`,
        RUSTORY_TRACKER_TOKEN_PATH: path,
      },
    }),
  );
  await tracker?.unregister('own');
  writeFileSync(path, 'second\n');
  await tracker?.unregister('own');
  writeFileSync(path, '');
  await tracker?.unregister('own');
  expect(tokens).toEqual(['Bearer first', 'Bearer second', 'Bearer second']);
});
