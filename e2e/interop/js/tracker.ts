// The commands `register` and `list`: the HTTP API of the tracker. Empty fields are sent as null, and responses are
// parsed strictly.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { z } from 'zod';
import { type Options, print } from './options.ts';

/** Timeout of one request, in milliseconds; the same as in rr clients. */
const REQUEST_TIMEOUT_MS = 5_000;

const meta = z.strictObject({
  device_id: z.string().nullable(),
  hostname: z.string().nullable(),
  user_id: z.string().nullable(),
  version: z.string().nullable(),
  build_revision: z.string().nullable(),
  build_dirty: z.boolean().nullable(),
});
const registered = z.strictObject({ ok: z.boolean(), ttl_sec: z.int() });
const listed = z.strictObject({
  peers: z.array(
    z.strictObject({
      peer_id: z.string(),
      addrs: z.array(z.string()),
      meta: meta.nullable(),
      last_seen: z.iso.datetime({ offset: true }),
      last_seen_unix: z.int(),
    }),
  ),
});

export async function register(options: Options): Promise<void> {
  const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();
  const body = JSON.stringify({
    peer_id: peerId,
    addrs: [`${options.text('relay')}/p2p-circuit/p2p/${peerId}`],
    meta: {
      device_id: 'interop',
      hostname: null,
      user_id: options.text('user'),
      version: null,
      build_revision: null,
      build_dirty: true,
    },
  });
  const response = await call(`${options.text('tracker')}/api/v1/peers/register`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
  });
  print('registered', { peer_id: peerId, ...registered.parse(response) });
}

export async function list(options: Options): Promise<void> {
  const query = new URLSearchParams({ user_id: options.text('user') });
  const response = await call(`${options.text('tracker')}/api/v1/peers?${query.toString()}`, {});
  print('listed', listed.parse(response));
}

async function call(url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${url}: the status is ${response.status}.`);
  return response.json();
}
