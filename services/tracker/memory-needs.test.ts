import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { makeCertificate } from '../../testing/certificates.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { makeDirectory } from '../../testing/peer.ts';
import { testConfig } from '../../testing/tracker-app.ts';
import { memoryNeeds } from './memory-needs.ts';
import { parseRedisUrl } from './registry/redis-url.ts';
import { readCertificate } from './tls/certificate.ts';

afterEach(cleanUp);

const inMemory = testConfig();
const inRedis = { ...inMemory, redis: parseRedisUrl('redis://localhost') };

test('peers need memory with the memory registry', () => {
  expect(memoryNeeds(inMemory)).toMatchObject({ keptListings: 0, waitingCalls: 0 });
  const { peers = 0 } = memoryNeeds(inMemory);
  const limits = { ...inMemory.limits, peers: 2 * inMemory.limits.peers };
  expect(memoryNeeds({ ...inMemory, limits })).toMatchObject({ peers: 2 * peers });
});

test('listings and waiting calls need memory with Redis', () => {
  const { keptListings, waitingCalls, peers } = memoryNeeds(inRedis);
  expect(keptListings).toBeGreaterThan(0);
  expect(waitingCalls).toBeGreaterThan(0);
  expect(peers).toBe(0);
  expect(memoryNeeds({ ...inRedis, staleSeconds: 0 })).toMatchObject({ keptListings: 0 });
});

test('connections with TLS need memory, and those of the second port in addition', () => {
  expect(memoryNeeds(inMemory)).toMatchObject({ tlsConnections: 0 });
  const { cert, key } = makeCertificate();
  const directory = makeDirectory();
  const files = { certPath: join(directory, 'tls.crt'), keyPath: join(directory, 'tls.key') };
  writeFileSync(files.certPath, cert);
  writeFileSync(files.keyPath, key);
  const secured = { ...inMemory, tls: readCertificate(files, Date.now()) };
  expect(memoryNeeds(secured)).toMatchObject({ connections: 0, tlsConnections: expect.any(Number) });
  const plainListen = { host: '0.0.0.0', port: 8851 };
  const { connections = 0 } = memoryNeeds({ ...secured, plainListen });
  expect(connections).toBeGreaterThan(0);
  expect(connections).toBeLessThan(memoryNeeds(inMemory)['connections'] ?? 0);
});
