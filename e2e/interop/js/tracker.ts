// `register` and `list`: the tracker over HTTP. Empty fields go out as null; an answer of another shape is an error.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { z } from 'zod';
import { type Options, say } from './options.ts';

/** What one call may take, in milliseconds: as long as clients wait. */
const CALL_MS = 5_000;

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
  const answer = await call(`${options.text('tracker')}/api/v1/peers/register`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
  });
  say('registered', { peer_id: peerId, ...registered.parse(answer) });
}

export async function list(options: Options): Promise<void> {
  const query = new URLSearchParams({ user_id: options.text('user') });
  const answer = await call(`${options.text('tracker')}/api/v1/peers?${query.toString()}`, {});
  say('listed', listed.parse(answer));
}

async function call(url: string, init: RequestInit): Promise<unknown> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(CALL_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}
