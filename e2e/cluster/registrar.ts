// Registers in a loop, with retries like a device.
import { setTimeout as pause } from 'node:timers/promises';
import { describeError } from '../../services/shared/errors.ts';
import type { ClusterNetwork } from './network.ts';

const INTERVAL_MS = 50;
/** Timeout of one request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 5_000;
const MAX_ATTEMPTS = 4;
const RETRY_DELAY_MS = 500;
const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';

export interface Registrar {
  /** Returns the registrations, those among them with more than one attempt, and the errors of those that failed. */
  stop(): Promise<{ registered: number; retried: number; failed: string[] }>;
}

/** Sends one registration. Returns the reason if it failed, otherwise `undefined`. */
export async function register(
  { tracker, token }: Pick<ClusterNetwork, 'tracker' | 'token'>,
  userId: string,
): Promise<string | undefined> {
  const body = { peer_id: PEER, addrs: ['/ip4/192.0.2.1/tcp/4001'], meta: { user_id: userId } };
  try {
    const response = await fetch(`${tracker.url}/api/v1/peers/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    return response.status === 200 ? undefined : `${response.status} ${text.slice(0, 200)}`;
  } catch (error) {
    return describeError(error);
  }
}

export function startRegistrar(network: ClusterNetwork): Registrar {
  const count = { registered: 0, retried: 0, failed: [] as string[] };
  const stopping = new AbortController();
  const registerOnce = async (): Promise<void> => {
    let problem: string | undefined;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      problem = await register(network, 'registrar');
      if (problem === undefined) {
        count.registered += 1;
        return;
      }
      if (attempt === 1) count.retried += 1;
      await pause(RETRY_DELAY_MS);
    }
    count.failed.push(problem ?? '');
  };
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await registerOnce();
      await pause(INTERVAL_MS);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
      return count;
    },
  };
}
