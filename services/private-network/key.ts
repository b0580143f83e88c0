// The swarm key: 32 secret bytes that all devices of a private network share, in a text file of three lines that all
// libp2p implementations read (PSKv1, https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md).
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { salsa20 } from '@noble/ciphers/salsa.js';
import { describeError } from '../shared/errors.ts';
import { readSmallFile } from '../shared/files.ts';

/** Length of the key, in bytes. */
const SWARM_KEY_BYTES = 32;

/** Maximum size of a swarm key file, in bytes. A file has 95 bytes; editors may add some. Larger files are rejected. */
const MAX_FILE_BYTES = 1024;

/** Length of the keystream that is hashed for the fingerprint, and of the fingerprint, in bytes. */
const FINGERPRINT_STREAM_BYTES = 64;
const FINGERPRINT_BYTES = 16;

const PROTOCOL_LINE = '/key/swarm/psk/1.0.0/';
const ENCODINGS = { '/base16/': 'hex', '/base64/': 'base64' } as const;

/** A swarm key in memory. Its bytes must never reach a log, an error or a metric. */
export interface SwarmKey {
  readonly bytes: Uint8Array;
  /** 32 hexadecimal digits that identify the key without revealing it; `rr swarm-key` prints the same. */
  readonly fingerprint: string;
}

/**
 * Reads a swarm key file.
 *
 * @throws Error that names the path and the invalid line, never the content
 */
export function readSwarmKey(path: string): SwarmKey {
  const text = readSmallFile(path, MAX_FILE_BYTES).toString('utf8');
  try {
    return parseSwarmKey(text);
  } catch (error) {
    throw new Error(`${path}: not a swarm key: ${describeError(error)}.`, { cause: error });
  }
}

/** Parses the text of a swarm key file. @throws Error that names the invalid line without repeating it */
export function parseSwarmKey(text: string): SwarmKey {
  const [protocol, encoding, digits, ...rest] = text
    .replace(/^\uFEFF/, '')
    .trimEnd()
    .split(/\r\n|\r|\n/);
  if (protocol !== PROTOCOL_LINE) throw new Error(`line 1 must be ${PROTOCOL_LINE}.`);
  if (encoding === undefined || !Object.hasOwn(ENCODINGS, encoding))
    throw new Error(`line 2 must be ${Object.keys(ENCODINGS).join(' or ')}.`);
  if (rest.length > 0) throw new Error('the file must have three lines.');
  const bytes = decodeDigits(ENCODINGS[encoding as keyof typeof ENCODINGS], digits?.trim() ?? '');
  if (bytes === undefined)
    throw new Error(
      `line 3 must be ${SWARM_KEY_BYTES} bytes in the encoding of line 2, such as ${SWARM_KEY_BYTES * 2} hexadecimal digits.`,
    );
  return toSwarmKey(bytes);
}

// Buffer.from skips characters that it cannot decode, so a text is valid only if encoding the bytes yields the same
// text.
function decodeDigits(encoding: 'hex' | 'base64', digits: string): Uint8Array | undefined {
  const bytes = Buffer.from(digits, encoding);
  const given = encoding === 'hex' ? digits.toLowerCase() : digits;
  return bytes.length === SWARM_KEY_BYTES && bytes.toString(encoding) === given ? bytes : undefined;
}

/** The text of a swarm key file. */
export function formatSwarmKey(key: SwarmKey): string {
  return `${PROTOCOL_LINE}\n/base16/\n${Buffer.from(key.bytes).toString('hex')}\n`;
}

/** Creates a random swarm key. */
export function generateSwarmKey(): SwarmKey {
  return toSwarmKey(randomBytes(SWARM_KEY_BYTES));
}

/**
 * Writes a new swarm key with mode 0600.
 *
 * @throws Error when the file exists, because no device can connect without the old key
 */
export function createSwarmKeyFile(path: string): SwarmKey {
  const key = generateSwarmKey();
  writeFileSync(path, formatSwarmKey(key), { mode: 0o600, flag: 'wx' });
  return key;
}

function toSwarmKey(bytes: Uint8Array): SwarmKey {
  // SHAKE128 of the Salsa20 keystream, as in go-libp2p and rust-libp2p. The specification does not define it.
  const stream = salsa20(bytes, Buffer.from('finprint'), new Uint8Array(FINGERPRINT_STREAM_BYTES));
  const shake = createHash('shake128', { outputLength: FINGERPRINT_BYTES });
  return { bytes, fingerprint: shake.update(stream).digest('hex') };
}
