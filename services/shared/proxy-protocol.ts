// Parses the header of the PROXY protocol, versions 1 (text) and 2 (binary), with which a load balancer for TCP tells
// the address of the client: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
import { isIP } from 'node:net';
import { unmapped } from './client-network.ts';

/** Start of a header of version 1. */
const V1_START = Buffer.from('PROXY ');

/** Maximum length of a header of version 1 with its line end, in bytes (section 2.1). */
const MAX_V1_BYTES = 107;

/** Start of a header of version 2 (section 2.2). */
const V2_START = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** Bytes of a header of version 2 before the addresses. */
const V2_FIXED_BYTES = 16;

/** Maximum bytes of the addresses and the TLVs of version 2. Load balancers send some hundred bytes. */
const MAX_V2_BYTES = 4_096;

/** Address families of version 2 with their address length in bytes; each has two addresses and two ports. */
const V2_FAMILIES: Readonly<Record<number, number>> = { 1: 4, 2: 16 };

/** Address family of Unix sockets, and bytes of its two addresses. */
const V2_UNIX_FAMILY = 3;
const V2_UNIX_BYTES = 216;

export type ProxyHeader =
  | { readonly state: 'incomplete' }
  | { readonly state: 'missing' | 'invalid' | 'too_long' }
  | {
      readonly state: 'complete';
      /** Bytes of the header. */
      readonly bytes: number;
      /** The client; `undefined` when the proxy opened the connection itself, as for a health check, or does not know it. */
      readonly address: string | undefined;
      /** The port of the client; `undefined` without its address. */
      readonly port: number | undefined;
    };

/** Maximum bytes of a header of either version. */
const MAX_HEADER_BYTES = V2_FIXED_BYTES + MAX_V2_BYTES;

/** Bytes that are kept at first; a header of version 1, or of version 2 with some TLVs, has fewer. */
const FIRST_KEPT_BYTES = 256;

/** How the header of a connection was read, and the client if it is complete. */
export type ReadHeader = Exclude<ProxyHeader, { readonly state: 'incomplete' }>;

/** Reads the header of one connection from chunks of any size. */
export class ProxyHeaderReader {
  #kept = Buffer.alloc(0);
  /** Bytes that were given. */
  length = 0;

  /**
   * Reads on. Returns the header with the position after it in `chunk`, or `undefined` while it is not complete.
   */
  read(chunk: Buffer, start: number, end: number): { header: ReadHeader; next: number } | undefined {
    const before = this.length;
    const length = Math.min(end - start, MAX_HEADER_BYTES - before);
    if (this.#kept.length < before + length) {
      const larger = Buffer.alloc(Math.max(FIRST_KEPT_BYTES, 2 * this.#kept.length, before + length));
      this.#kept.copy(larger, 0, 0, before);
      this.#kept = larger;
    }
    chunk.copy(this.#kept, before, start, start + length);
    this.length += length;
    const header = parseProxyHeader(this.#kept.subarray(0, this.length));
    if (header.state === 'incomplete') return undefined;
    return { header, next: header.state === 'complete' ? start + header.bytes - before : start };
  }
}

const INCOMPLETE = { state: 'incomplete' } as const;
const INVALID = { state: 'invalid' } as const;

/** Parses the first bytes of a connection. Bytes after the header are not read. */
export function parseProxyHeader(received: Buffer): ProxyHeader {
  if (startsLike(received, V2_START))
    return received.length < V2_FIXED_BYTES ? INCOMPLETE : parseV2(received);
  if (startsLike(received, V1_START))
    return received.length < V1_START.length ? INCOMPLETE : parseV1(received);
  return { state: 'missing' };
}

/** Whether the bytes are the start, or the beginning of it. */
function startsLike(received: Buffer, start: Buffer): boolean {
  const length = Math.min(received.length, start.length);
  return received.subarray(0, length).equals(start.subarray(0, length));
}

function parseV1(received: Buffer): ProxyHeader {
  const line = received.subarray(0, MAX_V1_BYTES).toString('latin1');
  const end = line.indexOf('\r\n');
  if (end === -1) return received.length >= MAX_V1_BYTES ? { state: 'too_long' } : INCOMPLETE;
  const bytes = end + 2;
  const [, protocol, source = '', destination = '', ...ports] = line.slice(0, end).split(' ');
  if (protocol === 'UNKNOWN') return withoutClient(bytes);
  const version = { TCP4: 4, TCP6: 6 }[protocol ?? ''];
  const hasAddresses = version !== undefined && isIP(source) === version && isIP(destination) === version;
  if (!hasAddresses || ports.length !== 2 || !ports.every(isPort)) return INVALID;
  return { state: 'complete', bytes, address: unmapped(source), port: Number(ports[0]) };
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

function parseV2(received: Buffer): ProxyHeader {
  const versionAndCommand = received.readUInt8(12);
  const family = received.readUInt8(13) >> 4;
  const transport = received.readUInt8(13) & 0x0f;
  const length = received.readUInt16BE(14);
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return INVALID;
  if (length > MAX_V2_BYTES) return { state: 'too_long' };
  const bytes = V2_FIXED_BYTES + length;
  if (received.length < bytes) return INCOMPLETE;
  const isLocalCommand = versionAndCommand === 0x20;
  if (isLocalCommand || family === 0) return withoutClient(bytes);
  if (transport > 2) return INVALID;
  if (family === V2_UNIX_FAMILY) return length < V2_UNIX_BYTES ? INVALID : withoutClient(bytes);
  const addressBytes = V2_FAMILIES[family];
  if (addressBytes === undefined || length < 2 * addressBytes + 4) return INVALID;
  return {
    state: 'complete',
    bytes,
    address: unmapped(ipText(received.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + addressBytes))),
    port: received.readUInt16BE(V2_FIXED_BYTES + 2 * addressBytes),
  };
}

function withoutClient(bytes: number): ProxyHeader {
  return { state: 'complete', bytes, address: undefined, port: undefined };
}

function ipText(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(2 * index).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
