// What every test file begins with.
import cluster from 'node:cluster';
import { afterAll, jest } from '@jest/globals';

// More than `until` waits: on a slow machine it must be the one to say what it waited for in vain.
jest.setTimeout(30_000);

// Jest evaluates every library again for each test file, and libp2p's lock (mortice) listens to the cluster once for
// each evaluation. A program of ours evaluates it once; here the listeners of files that are done would pile up.
afterAll(() => void cluster.removeAllListeners('message'));
