// Registers in a loop, with retries like a device.
import { setTimeout as pause } from 'node:timers/promises';
import { describeError } from '../../services/shared/errors.ts';
import { refused, type Result } from '../../services/shared/result.ts';
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

/** Sends one registration. A refusal has the status and the body, or the error of the request, as the reason. */
export async function register(
  { tracker, token }: Pick<ClusterNetwork, 'tracker' | 'token'>,
  userId: string,
): Promise<Result<object, string>> {
  const body = { peer_id: PEER, addrs: ['/ip4/192.0.2.1/tcp/4001'], meta: { user_id: userId } };
  try {
    const response = await fetch(`${tracker.url}/api/v1/peers/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    return response.status === 200 ? { ok: true } : refused(`${response.status} ${text.slice(0, 200)}`);
  } catch (error) {
    return refused(describeError(error));
  }
}

export function startRegistrar(network: ClusterNetwork): Registrar {
  const count = { registered: 0, retried: 0, failed: [] as string[] };
  const stopping = new AbortController();
  const registerOnce = async (): Promise<void> => {
    let reason = '';
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const result = await register(network, 'registrar');
      if (result.ok) {
        count.registered += 1;
        return;
      }
      reason = result.reason;
      if (attempt === 1) count.retried += 1;
      await pause(RETRY_DELAY_MS);
    }
    count.failed.push(reason);
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
