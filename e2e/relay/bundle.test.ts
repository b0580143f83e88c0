// The bundle of the relay: what is in it, and that it works where neither the addon nor the private member of sockets
// can be used.
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { createSwarmKeyFile, readSwarmKey } from '../../services/private-network/key.ts';
import { startProgram } from '../../scripts/processes.ts';
import { currentBundle } from '../../testing/bundle.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { dialThrough, startDevice } from '../../testing/load-devices.ts';
import { makeTestDirectory } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';

const ECHO = '/test/echo/1.0.0';
const BYTES = 300_000;

afterEach(cleanUp);

test('it has no node of libp2p, only its keys, peer ids and errors', () => {
  const { sources } = JSON.parse(readFileSync(`${currentBundle('relay')}.map`, 'utf8')) as {
    sources: string[];
  };
  const packages = new Set(
    sources.map((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? ''),
  );
  expect(packages.size).toBeGreaterThan(10);
  const ofLibp2p = [...packages].filter((name) => /libp2p|@chainsafe\/libp2p/.test(name));
  expect(ofLibp2p.toSorted()).toEqual(['@libp2p/crypto', '@libp2p/interface', '@libp2p/peer-id']);
  expect(sources.filter((source) => source.includes('private-network/adapters/'))).toEqual([]);
});

/** Replaces the sockets of Node by those of a version that takes no handle of another socket. */
const OTHER_NODE = `
  import net from 'node:net';
  import { syncBuiltinESMExports } from 'node:module';
  net.Socket = class extends net.Socket {
    constructor(options) {
      if (options?.handle !== undefined) throw new TypeError('This version takes no handle.');
      super(options);
    }
  };
  syncBuiltinESMExports();`;

test('without the addon, and with sockets that take no handle, it relays the bytes of devices', async () => {
  const directory = makeTestDirectory();
  const keyFile = join(directory, 'swarm.key');
  createSwarmKeyFile(keyFile);
  const bundle = join(directory, 'relay.mjs');
  copyFileSync(currentBundle('relay'), bundle);
  const relay = startProgram('relay', bundle, {
    cwd: directory,
    env: {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(OTHER_NODE)}`,
      RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
      RELAY_OPS_LISTEN: '127.0.0.1:0',
      RELAY_LOCAL: 'true',
      RELAY_SWARM_KEY_FILE: keyFile,
      RELAY_IDENTITY_KEY_FILE: join(directory, 'relay.key'),
    },
  });
  onCleanup(relay.stop);
  expect(await relay.waitFor('how sockets are read')).toMatchObject({
    path: 'data',
    reason: 'This version takes no handle',
  });
  const { addresses, cipher } = await relay.waitFor('listening');
  expect(cipher).toBe('noble');

  const key = readSwarmKey(keyFile);
  const at = { address: String((addresses as string[])[0]) };
  const [source, target] = [await startDevice(key), await startDevice(key, at)];
  onCleanup(async () => source.stop());
  onCleanup(async () => target.stop());
  const options = { runOnLimitedConnection: true };
  await target.handle(
    ECHO,
    (stream) => stream.addEventListener('message', ({ data }) => stream.send(data)),
    options,
  );
  const stream = await dialThrough(at, source, target, ECHO);
  const received: Uint8Array[] = [];
  stream.addEventListener('message', ({ data }) => received.push(data.subarray()));
  const sent = Buffer.from(Uint8Array.from({ length: BYTES }, (_, index) => index % 251));
  stream.send(sent);
  await until(() => Buffer.concat(received).length === BYTES, 'all bytes are echoed');
  expect(Buffer.concat(received).equals(sent)).toBe(true);
});
