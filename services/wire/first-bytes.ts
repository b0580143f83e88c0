// Recognizes what else connects to the port of a private network, by its first bytes. They are looked at only after the
// greeting has failed, because a valid nonce may look like anything.

/** Protocols that are recognized. The keys are values of metric labels. */
export const FOREIGN_PROTOCOLS = {
  proxy_protocol: { doc: 'The connection begins with a header of the PROXY protocol of a load balancer.' },
  http: { doc: 'The other side sent an HTTP request.' },
  tls: { doc: 'The other side began a TLS handshake.' },
  no_swarm_key: { doc: 'The other side is a libp2p peer without a swarm key.' },
  other_protocol: { doc: 'The other side speaks another protocol, such as SSH: most likely a port scan.' },
} as const satisfies Record<string, { readonly doc: string }>;
export type ForeignProtocol = keyof typeof FOREIGN_PROTOCOLS;

/** Bytes at the start of a connection that are sufficient: those of a nonce. */
export const FIRST_BYTES = 24;

/** The first message of every libp2p connection, of multistream-select 1.0. */
export const GREETING: Buffer = Buffer.from('\x13/multistream/1.0.0\n');

const PROXY_V1 = Buffer.from('PROXY ');
const PROXY_V2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A request line: one of the methods that exist, including the start of HTTP/2. */
const HTTP = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|TRACE|PATCH|PRI|PROPFIND) /;

/** A record of a TLS handshake: its content type, and the major version. */
const TLS_HANDSHAKE = Buffer.from([0x16, 0x03]);
const TLS_MAX_MINOR_VERSION = 4;
const TLS_CLIENT_HELLO = 0x01;

/** Printable text with line ends. Of random bytes of this length one in two thousand billion is. */
const TEXT = /^[\t\r\n\x20-\x7e]+$/;

/** Bytes of text, and zeros, that are sufficient to tell another protocol from a nonce. */
const MIN_TEXT_BYTES = 8;
const MIN_ZEROS = 8;

/** @returns `undefined` for what may be a nonce */
export function recognizeFirstBytes(first: Buffer): ForeignProtocol | undefined {
  if (startsWith(first, PROXY_V1) || startsWith(first, PROXY_V2)) return 'proxy_protocol';
  if (HTTP.test(first.toString('latin1'))) return 'http';
  if (isTls(first)) return 'tls';
  if (startsWith(first, GREETING)) return 'no_swarm_key';
  return isOther(first) ? 'other_protocol' : undefined;
}

function startsWith(first: Buffer, start: Buffer): boolean {
  return first.length >= start.length && first.compare(start, 0, start.length, 0, start.length) === 0;
}

function isTls(first: Buffer): boolean {
  const [minorVersion = Infinity, type] = [first[2], first[5]];
  return (
    startsWith(first, TLS_HANDSHAKE) && minorVersion <= TLS_MAX_MINOR_VERSION && type === TLS_CLIENT_HELLO
  );
}

function isOther(first: Buffer): boolean {
  if (first.length >= MIN_TEXT_BYTES && TEXT.test(first.toString('latin1'))) return true;
  return first.filter((byte) => byte === 0).length >= MIN_ZEROS;
}
