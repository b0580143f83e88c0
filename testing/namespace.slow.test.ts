import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from './cleanup.ts';
import { createNamespace, HAS_NAMESPACES } from './namespace.ts';

afterEach(cleanUp);

if (HAS_NAMESPACES)
  test('a namespace reaches this machine although others exist, such as one of a killed run', async () => {
    const server = createServer((socket) => socket.end('reached')).listen(0, '0.0.0.0');
    onCleanup(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (let count = 0; count < 3; count += 1) {
      const { under, host, remove } = createNamespace();
      onCleanup(remove);
      const [program, ...args] = [...under, 'bash', '-c', `cat < /dev/tcp/${host}/${port}`];
      expect((await promisify(execFile)(program, args)).stdout).toBe('reached');
    }
  });
