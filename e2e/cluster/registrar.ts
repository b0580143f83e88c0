// Registers again and again, as a device does that tries again when it is told to.
import { setTimeout as pause } from 'node:timers/promises';
import { describeError } from '../../services/shared/errors.ts';
import type { ClusterGrid } from './network.ts';

const PAUSE_MS = 50;
/** As devices in the field: they give up after some seconds, and try again. */
const ANSWER_MS = 5_000;
const ATTEMPTS = 4;
const RETRY_MS = 500;
const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';

export interface Registrar {
  /** How many registrations there were, how many needed another attempt, and why others failed after all. */
  stop(): Promise<{ registered: number; retried: number; refused: string[] }>;
}

/** One attempt; answers why it failed, or nothing. */
export async function register(
  { tracker, token }: Pick<ClusterGrid, 'tracker' | 'token'>,
  userId: string,
): Promise<string | undefined> {
  const body = { peer_id: PEER, addrs: ['/ip4/192.0.2.1/tcp/4001'], meta: { user_id: userId } };
  try {
    const answer = await fetch(`${tracker.url}/api/v1/peers/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const text = await answer.text();
    return answer.status === 200 ? undefined : `${answer.status} ${text.slice(0, 200)}`;
  } catch (error) {
    return describeError(error);
  }
}

export function startRegistrar(grid: ClusterGrid): Registrar {
  const count = { registered: 0, retried: 0, refused: [] as string[] };
  const stopping = new AbortController();
  const once = async (): Promise<void> => {
    let problem: string | undefined;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      problem = await register(grid, 'registrar');
      if (problem === undefined) {
        count.registered += 1;
        return;
      }
      if (attempt === 1) count.retried += 1;
      await pause(RETRY_MS);
    }
    count.refused.push(problem ?? '');
  };
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await once();
      await pause(PAUSE_MS);
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
