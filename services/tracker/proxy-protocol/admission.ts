// Reads the header of the PROXY protocol from connections of trusted proxies, before the HTTP or TLS server reads from
// them, and gives them the address of the client.
import type { Socket } from 'node:net';
import type { Registry } from 'prom-client';
import type { ConnectionAdmission } from '../../shared/http-server.ts';
import type { Logger } from '../../shared/log.ts';
import { ProxyHeaderReader } from '../../shared/proxy-protocol.ts';
import { createProxyHeaderReport } from '../../shared/proxy-header-report.ts';
import { type ProxyHeaderOutcome, proxyHeaderOutcomes } from '../../shared/proxy-header-outcomes.ts';

/** Maximum time for the header, in milliseconds. A proxy sends it with its first packet. */
const HEADER_TIMEOUT_MS = 5_000;

/** Outcomes of connections on the port with the PROXY protocol; docs/metrics.md shows the sentences. */
export const PROXY_HEADER_OUTCOMES = proxyHeaderOutcomes('TRACKER');

type Outcome = ProxyHeaderOutcome;

export interface ProxyAdmissionDeps {
  /** Whether the address is that of a trusted proxy. */
  readonly isTrusted: (address: string) => boolean;
  readonly registry: Registry;
  readonly log: Logger;
  /** Default 5,000. */
  readonly headerTimeoutMs?: number;
}

/** Creates the admission and registers its metric. */
export function createProxyAdmission({
  isTrusted,
  registry,
  log,
  headerTimeoutMs = HEADER_TIMEOUT_MS,
}: ProxyAdmissionDeps): ConnectionAdmission {
  const report = createProxyHeaderReport({
    name: 'rustory_tracker_proxy_headers_total',
    help: 'Connections on the port with the PROXY protocol, by what became of their header.',
    outcomes: PROXY_HEADER_OUTCOMES,
    registry,
    log,
  });

  return (socket, proceed) => {
    const { remoteAddress = '' } = socket;
    if (!isTrusted(remoteAddress)) {
      report('direct', remoteAddress);
      proceed();
      return;
    }
    readHeader(socket, headerTimeoutMs, (result) => {
      if (typeof result === 'string') {
        socket.destroy();
        report(result, remoteAddress);
        return;
      }
      report(result.address === undefined ? 'proxy' : 'client', remoteAddress);
      if (result.address !== undefined) setRemoteAddress(socket, result.address);
      proceed();
    });
  };
}

type HeaderResult =
  | { readonly address: string | undefined }
  | Exclude<Outcome, 'client' | 'proxy' | 'direct'>;

/** Reads only the header; the bytes after it stay in the socket. */
function readHeader(socket: Socket, timeoutMs: number, done: (result: HeaderResult) => void): void {
  const reader = new ProxyHeaderReader();
  const timer = setTimeout(() => finish('timeout'), timeoutMs);

  function finish(result: HeaderResult): void {
    clearTimeout(timer);
    socket.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
    // The listener for errors stays until the server has its own.
    done(result);
    setImmediate(() => socket.off('error', onError));
  }

  function onReadable(): void {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      const read = reader.read(chunk, 0, chunk.length);
      if (read === undefined) continue;
      const { header, next } = read;
      if (header.state !== 'complete') return finish(header.state);
      const rest = chunk.subarray(next);
      // No longer a reader when the rest is given back, so that the server is the only one.
      socket.off('readable', onReadable);
      if (rest.length > 0) socket.unshift(rest);
      return finish({ address: header.address });
    }
  }

  function onEnd(): void {
    finish(reader.length === 0 ? 'unused' : 'invalid');
  }

  socket.on('error', onError).on('end', onEnd).on('close', onEnd).on('readable', onReadable);
}

/** The connection closes after an error, and the listener for that reports it. */
function onError(): void {}

/** From now on the socket reports the address of the client instead of that of the proxy. */
function setRemoteAddress(socket: Socket, address: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: address, configurable: true });
}
