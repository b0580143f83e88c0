// Jest evaluates every library again for each test file, and libp2p's lock (mortice) listens to the cluster once for
// each evaluation. A program of ours evaluates it once; here the listeners of files that are done would pile up.
import cluster from 'node:cluster';
import { afterAll } from '@jest/globals';

afterAll(() => void cluster.removeAllListeners('message'));
