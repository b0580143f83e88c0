// The devices of the load, and the requests that `rr` 1.x sends for them, byte for byte: the headers of its HTTP library,
// `null` for what is absent, and a new proof in each registration.
import { hash } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';

/**
 * Tokens of the load. Devices share them as the devices of one installation do. There are several, because with one the
 * default limit per token would refuse what one machine sends for all devices.
 */
export const TOKENS: readonly string[] = Array.from({ length: 32 }, (_, n) =>
  hash('sha256', `token ${n}`, 'base64url').slice(0, 40),
);

/** The content of a file of tokens. */
export const TOKENS_FILE: string = TOKENS.map((token) => `${token}\n`).join('');

export interface RrDevice {
  readonly name: string;
  readonly peerId: string;
  readonly addrs: readonly string[];
  readonly meta: Readonly<Record<string, string | boolean | null>>;
  readonly token: string;
}

/** Identity multihash of a protobuf Ed25519 public key, up to the key itself. */
const ED25519_PREFIX = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/** The same name always has the same key. */
function keyOf(name: string): Buffer {
  return hash('sha256', name, 'buffer');
}

function peerIdOf(name: string): string {
  return base58btc.encode(new Uint8Array([...ED25519_PREFIX, ...keyOf(name)])).slice(1);
}

const RELAY = peerIdOf('relay');

/**
 * Makes devices with one circuit each, as `rr` 1.x announces behind a NAT.
 *
 * @param perUser devices of one user
 */
export function makeDevices(count: number, perUser: number): RrDevice[] {
  return Array.from({ length: count }, (_, n) => {
    const name = `device-${String(n).padStart(6, '0')}`;
    const peerId = peerIdOf(name);
    const user = Math.floor(n / perUser);
    return {
      name,
      peerId,
      addrs: [`/dns4/relay.example.org/tcp/40001/p2p/${RELAY}/p2p-circuit/p2p/${peerId}`],
      meta: {
        device_id: `${name}-x86_64`,
        hostname: `${name}.lan`,
        user_id: userName(user),
        version: '1.1.1',
        build_revision: null,
        build_dirty: null,
      },
      token: TOKENS[user % TOKENS.length] ?? '',
    };
  });
}

export function userName(user: number): string {
  return `user-${String(user).padStart(5, '0')}`;
}

/** The body of a registration of `rr` 1.x. */
function registerBody({ name, peerId, addrs, meta }: RrDevice): string {
  return JSON.stringify({
    peer_id: peerId,
    addrs,
    meta,
    retirement_protocol: 1,
    membership_protocol: 1,
    membership_enforced: false,
    device_proof: {
      peer_id: peerId,
      issued_at_unix: Math.floor(Date.now() / 1_000),
      nonce: hash('sha256', peerId).slice(0, NONCE_LENGTH),
      // Byte strings are arrays of numbers.
      public_key: [...ED25519_PREFIX.slice(2), ...keyOf(name)],
      signature: [...hash('sha512', peerId, 'buffer')],
    },
  });
}

/** Length of the nonce of a proof, in characters. */
const NONCE_LENGTH = 32;

/** Digits at the end of the nonce that a new registration replaces. */
const SEQUENCE_DIGITS = 12;

/** Port of the announced relay address. */
const [FIRST_PORT, PORTS] = [10_000, 50_000];

/**
 * A registration of one device as bytes, of which each call replaces some in place. A request must have been answered
 * before the next one of the same device.
 */
export class RegisterRequest {
  readonly #bytes: Buffer;
  readonly #nonceEnd: number;
  readonly #portEnd: number;

  constructor(device: RrDevice, port: number) {
    const body = registerBody(device);
    const head =
      'POST /api/v1/peers/register HTTP/1.1\r\n' +
      `content-type: application/json\r\nauthorization: Bearer ${device.token}\r\naccept: */*\r\n` +
      `host: 127.0.0.1:${port}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    this.#bytes = Buffer.from(head + body, 'latin1');
    this.#nonceEnd = this.#bytes.indexOf('"nonce":"') + '"nonce":"'.length + NONCE_LENGTH;
    this.#portEnd = this.#bytes.indexOf('/tcp/') + '/tcp/'.length + String(FIRST_PORT).length;
  }

  /** The registration that a device repeats every 30 seconds: only the proof is new. */
  repeated(sequence: number): Buffer {
    writeDigits(this.#bytes, this.#nonceEnd, SEQUENCE_DIGITS, sequence);
    return this.#bytes;
  }

  /** A registration of which nothing was sent before: the address is new as well. */
  changed(sequence: number): Buffer {
    writeDigits(this.#bytes, this.#portEnd, String(FIRST_PORT).length, FIRST_PORT + (sequence % PORTS));
    return this.repeated(sequence);
  }
}

/** Writes a number before `end`, with leading zeros. */
function writeDigits(bytes: Buffer, end: number, digits: number, value: number): void {
  let rest = value;
  for (let at = end - 1; at >= end - digits; at -= 1) {
    bytes[at] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

export interface ListRequestOptions {
  readonly port: number;
  readonly userId: string;
  readonly token: string;
  /** For an answer without a body while the devices are the same. `rr` sends none, our own peer does. */
  readonly ifNoneMatch?: string | undefined;
}

/** A request of the devices of a user. */
export function listRequest({ port, userId, token, ifNoneMatch }: ListRequestOptions): Buffer {
  const condition = ifNoneMatch === undefined ? '' : `if-none-match: ${ifNoneMatch}\r\n`;
  return Buffer.from(
    `GET /api/v1/peers?user_id=${userId} HTTP/1.1\r\nauthorization: Bearer ${token}\r\n${condition}` +
      `accept: */*\r\nhost: 127.0.0.1:${port}\r\n\r\n`,
    'latin1',
  );
}
