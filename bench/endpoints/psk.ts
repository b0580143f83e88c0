// The swarm key: each side sends a nonce, then everything XOR the XSalsa20 keystream of key and nonce.
// https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { NO_RECEIVER, type Pipe, type Receiver } from './pipe.ts';
import { sodium } from './sodium.ts';

const NONCE_BYTES = 24;

/** A message of Noise with its length. */
const MAX_PIECE_BYTES = 2 + 65_535;

/** Memory for what is being sent: of connections, and of the connections inside their streams. */
const SCRATCH = [Buffer.allocUnsafeSlow(MAX_PIECE_BYTES), Buffer.allocUnsafeSlow(MAX_PIECE_BYTES)] as const;

/** 0 for a TCP connection, 1 for the connection in a circuit. */
export type Depth = 0 | 1;

/** The third line of a swarm key file, in hexadecimal. */
export function readKey(path: string): Buffer {
  const [, , digits = ''] = readFileSync(path, 'utf8').split('\n');
  return Buffer.from(digits.trim(), 'hex');
}

export class PskPipe implements Pipe, Receiver {
  receiver: Receiver = NO_RECEIVER;
  readonly #pipe: Pipe;
  readonly #key: Buffer;
  readonly #sending: Buffer;
  #receiving: Buffer | undefined;
  readonly #scratch: Buffer;
  #nonce: Buffer = Buffer.alloc(0);

  constructor(pipe: Pipe, key: Buffer, depth: Depth) {
    this.#scratch = SCRATCH[depth];
    this.#pipe = pipe;
    this.#key = key;
    pipe.receiver = this;
    const nonce = randomFillSync(Buffer.allocUnsafe(NONCE_BYTES));
    this.#sending = createState(nonce, key);
    pipe.write(nonce);
  }

  get isBlocked(): boolean {
    return this.#pipe.isBlocked;
  }

  write(first: Buffer, second?: Buffer): void {
    this.#write(first);
    if (second !== undefined) this.#write(second);
  }

  end(): void {
    this.#pipe.end();
  }

  destroy(): void {
    this.#pipe.destroy();
  }

  onBytes(bytes: Buffer): void {
    const rest = this.#receiving === undefined ? this.#readNonce(bytes) : bytes;
    if (this.#receiving === undefined || rest.length === 0) return;
    sodium.crypto_stream_xor_update(this.#receiving, rest, rest);
    this.receiver.onBytes(rest);
  }

  onWritable(): void {
    this.receiver.onWritable();
  }

  onEnd(): void {
    this.receiver.onEnd();
  }

  onClose(reason?: Error): void {
    this.receiver.onClose(reason);
  }

  #write(bytes: Buffer): void {
    for (let start = 0; start < bytes.length; start += MAX_PIECE_BYTES) {
      const piece = bytes.subarray(start, start + MAX_PIECE_BYTES);
      const target = this.#scratch.subarray(0, piece.length);
      sodium.crypto_stream_xor_update(this.#sending, target, piece);
      this.#pipe.write(target);
    }
  }

  #readNonce(bytes: Buffer): Buffer {
    const missing = NONCE_BYTES - this.#nonce.length;
    this.#nonce = Buffer.concat([this.#nonce, bytes.subarray(0, missing)]);
    if (this.#nonce.length === NONCE_BYTES) this.#receiving = createState(this.#nonce, this.#key);
    return bytes.subarray(missing);
  }
}

function createState(nonce: Buffer, key: Buffer): Buffer {
  const state = Buffer.alloc(sodium.crypto_stream_xor_STATEBYTES);
  sodium.crypto_stream_xor_init(state, nonce, key);
  return state;
}
