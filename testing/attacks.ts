// Hostile connections to a relay: raw TCP, with and without the swarm key.
import { randomBytes, randomInt } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { SwarmKey } from '../services/private-network/key.ts';
import type { RelayAddress } from './load-devices.ts';
import { createKeystream, GREETING } from './stock-psk.ts';

/** A raw TCP connection; received bytes are dropped. */
export function connectRaw({ address }: RelayAddress): Socket {
  return connect(Number(address.toString().split('/')[4]), '127.0.0.1')
    .on('error', () => {})
    .resume();
}

/** A nonce and the bytes encrypted with the swarm key: the start of an authenticated connection. */
export function authenticate(key: SwarmKey, bytes: Buffer): Buffer {
  const nonce = randomBytes(24);
  const encrypted = Buffer.alloc(bytes.length);
  createKeystream(key.bytes, nonce)(encrypted, bytes);
  return Buffer.concat([nonce, encrypted]);
}

/** Number of kinds of garbage without the correct first message. They have the lowest numbers. */
export const UNAUTHENTICATED_KINDS = 5;

/** Number of kinds of garbage from a peer that has the swarm key. */
export const AUTHENTICATED_KINDS = 3;

/** Garbage before the nonce, after it, and after authentication; `kind` selects one, modulo the number of kinds. */
export function garbage(key: SwarmKey, kind: number): Buffer {
  const request = Buffer.from('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n');
  const tls = Buffer.from('1603010200010001fc0303', 'hex');
  const kinds: Array<() => Buffer> = [
    () => randomBytes(randomInt(1, 24)),
    () => randomBytes(randomInt(24, 20_000)),
    () => request,
    () => Buffer.concat([tls, randomBytes(600)]),
    () => authenticate(key, randomBytes(randomInt(1, 10_000))),
    // The first message is correct, so the rest reaches multistream and Noise.
    () => authenticate(key, Buffer.concat([GREETING, randomBytes(randomInt(1, 10_000))])),
    () =>
      authenticate(
        key,
        Buffer.concat([GREETING, Buffer.from('\x07/noise\n'), randomBytes(randomInt(1, 70_000))]),
      ),
    () => authenticate(key, Buffer.concat([GREETING, Buffer.alloc(5_000, 0xff)])),
  ];
  return kinds[kind % kinds.length]?.() ?? request;
}
