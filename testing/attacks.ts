// What hostile connections to a relay say: bare TCP, with the swarm key and without.
import { randomBytes, randomInt } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { loadCipher } from '../services/private-network/cipher.ts';
import type { SwarmKey } from '../services/private-network/key.ts';
import type { Relay } from '../scripts/local-network.ts';

const cipher = loadCipher();

/** What every libp2p peer sends first. */
export const GREETING = Buffer.from('\x13/multistream/1.0.0\n');

/** A bare TCP connection; what comes is thrown away. */
export function connectRaw({ address }: Pick<Relay, 'address'>): Socket {
  return connect(Number(address.split('/')[4]), '127.0.0.1')
    .on('error', () => {})
    .resume();
}

/** A nonce, and the bytes encrypted as who has the swarm key does. */
export function asMember(key: SwarmKey, bytes: Buffer): Buffer {
  const nonce = randomBytes(24);
  const encrypted = Buffer.alloc(bytes.length);
  cipher.keystream(key.bytes, nonce).xor(encrypted, bytes);
  return Buffer.concat([nonce, encrypted]);
}

/** Kinds of garbage of those without the swarm key; those that follow have it. */
export const OUTSIDE = 5;
export const INSIDE = 3;

/** Garbage before the nonce, after it, and behind the swarm key; the same kind for the same number. */
export function garbage(key: SwarmKey, kind: number): Buffer {
  const request = Buffer.from('GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n');
  const tls = Buffer.from('1603010200010001fc0303', 'hex');
  const kinds: Array<() => Buffer> = [
    () => randomBytes(randomInt(1, 24)),
    () => randomBytes(randomInt(24, 20_000)),
    () => request,
    () => Buffer.concat([tls, randomBytes(600)]),
    () => asMember(key, randomBytes(randomInt(1, 10_000))),
    // The greeting is right: what follows reaches multistream and Noise.
    () => asMember(key, Buffer.concat([GREETING, randomBytes(randomInt(1, 10_000))])),
    () =>
      asMember(
        key,
        Buffer.concat([GREETING, Buffer.from('\x07/noise\n'), randomBytes(randomInt(1, 70_000))]),
      ),
    () => asMember(key, Buffer.concat([GREETING, Buffer.alloc(5_000, 0xff)])),
  ];
  return kinds[kind % kinds.length]?.() ?? request;
}
