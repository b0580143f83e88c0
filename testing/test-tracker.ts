// A tracker over HTTP in the process of the test, whose records and responses the test controls.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { createTrackerClient, type TrackerClient } from '../services/peer/discovery/tracker-client.ts';
import { unixSeconds } from '../services/shared/clock.ts';
import { onCleanup } from './cleanup.ts';

export interface TestRecord {
  readonly peer_id: string;
  readonly addrs: readonly string[];
  readonly meta: Readonly<Record<string, unknown>>;
  readonly last_seen_unix: number;
}

export interface TestTracker {
  readonly url: string;
  readonly client: TrackerClient;
  /** The requests it received: `list`, `register` with the addresses, or `unregister`. */
  readonly requests: string[];
  /** The records by peer id, which the test may change. */
  readonly records: Map<string, TestRecord>;
  /** The status of the responses to registrations. */
  status: number;
  /** The headers of the responses to registrations. */
  headers: Record<string, string>;
  /** The `ttl_sec` of the responses to registrations. */
  ttl: unknown;
  /** The only peer id that it lists, as in a star, besides the one that the query names; absent: all. */
  hub?: string;
  /** Seconds by which the clock of the tracker is ahead. */
  clockSkewSeconds: number;
  /** Registers as another process does. */
  put(peerId: string, addrs: readonly string[], meta: Readonly<Record<string, unknown>>): void;
}

export async function startTestTracker(): Promise<TestTracker> {
  const server = createServer((request, response) => void respond(tracker, request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tracker: TestTracker = {
    url,
    client: createTrackerClient({ url, token: undefined }),
    requests: [],
    records: new Map(),
    status: 200,
    headers: {},
    ttl: 60,
    clockSkewSeconds: 0,
    put(peerId, addrs, meta) {
      const seen = Math.floor(unixSeconds() + tracker.clockSkewSeconds);
      tracker.records.set(peerId, { peer_id: peerId, addrs, meta, last_seen_unix: seen });
    },
  };
  return tracker;
}

async function respond(
  tracker: TestTracker,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { requests, records, status, headers, ttl } = tracker;
  const date = new Date((unixSeconds() + tracker.clockSkewSeconds) * 1000).toUTCString();
  const send = (code: number, body: object, more: Record<string, string> = {}): void =>
    void response
      .writeHead(code, { 'Content-Type': 'application/json', Date: date, ...more })
      .end(JSON.stringify(body));
  if (request.method === 'GET') {
    requests.push('list');
    const { searchParams } = new URL(request.url ?? '', tracker.url);
    const isListed = ({ peer_id }: TestRecord): boolean =>
      tracker.hub === undefined || peer_id === tracker.hub || peer_id === searchParams.get('peer_id');
    send(200, { peers: [...records.values()].filter(isListed) });
    return;
  }
  const { peer_id: peerId, addrs, meta } = JSON.parse(await text(request)) as TestRecord;
  if (request.url?.endsWith('/unregister') === true) {
    requests.push('unregister');
    send(200, { ok: true, removed: records.delete(peerId) });
    return;
  }
  requests.push(`register ${addrs.join(' ')}`.trim());
  if (status === 200) tracker.put(peerId, addrs, meta);
  send(status, status === 200 ? { ok: true, ttl_sec: ttl } : { title: 'Refused' }, headers);
}
