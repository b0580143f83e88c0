// Runs before the tests of each file.
import cluster from 'node:cluster';
import { afterAll, jest } from '@jest/globals';
import { WAIT_TIMEOUT_MS } from '../../scripts/deadlines.ts';

// Longer than two waits: an expired wait fails the test with its own message. Tests that need more say so.
jest.setTimeout(2.5 * WAIT_TIMEOUT_MS);

// Jest evaluates each library again for each test file, and the lock of libp2p (mortice) adds a listener to the cluster
// module each time. A program evaluates it once; here the listeners of finished files would accumulate.
afterAll(() => void cluster.removeAllListeners('message'));
