// Measures what decides whether `rr` 1.x can use a tracker: the time for a new connection, and whether the public
// authorities issued its certificate. Also finds a redirect. Nothing here sends the token.
import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls, rootCertificates } from 'node:tls';
import { describeError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';
import { connectTcp } from '../../shared/tcp-connect.ts';
import { describeRedirect } from './tracker-client.ts';
import { hostOf, PORTS, requestTracker } from './tracker-request.ts';

/** Deadline of one probe in milliseconds; longer than `rr` 1.x waits in any of its tries. */
const PROBE_TIMEOUT_MS = 5_000;

/** Time in milliseconds within which TCP and TLS together must finish in each try of `rr` 1.x. */
export const RR_CONNECT_LIMITS_MS = [300, 600, 1_200] as const;

/** How a new connection to a tracker was opened. Times are in milliseconds. */
export interface ConnectionMeasurement {
  readonly tcpMs: number;
  /** `undefined` for http. */
  readonly tlsMs: number | undefined;
  /** Why a client that has only the public authorities built in rejects the certificate; `undefined` if it accepts it. */
  readonly untrusted: string | undefined;
}

export interface ProbeDeps {
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

/** Opens a connection as `rr` does, and closes it. @throws Error when there is none within the deadline */
export async function measureConnection(
  trackerUrl: string,
  { nowMs, signal }: ProbeDeps,
): Promise<ConnectionMeasurement> {
  const { protocol, hostname, port } = new URL(trackerUrl);
  const host = hostOf(hostname);
  const deadline = anySignal(signal, AbortSignal.timeout(PROBE_TIMEOUT_MS));
  let startMs = nowMs();
  // The limits of `rr` do not include the look-up.
  const onStart = (): void => void (startMs = nowMs());
  const target = { host, port: Number(port || PORTS[protocol]) };
  const socket = await connectTcp(target, { signal: deadline, onStart });
  try {
    const tcpMs = nowMs() - startMs;
    if (protocol === 'http:') return { tcpMs, tlsMs: undefined, untrusted: undefined };
    const untrusted = await secure(socket, host, deadline);
    return { tcpMs, tlsMs: nowMs() - startMs - tcpMs, untrusted };
  } finally {
    // Ends a pending connection as well.
    socket.on('error', () => {}).destroy();
  }
}

/** Encrypts the connection, also with a certificate that is not trusted. Returns why it is not. */
async function secure(socket: Socket, host: string, signal: AbortSignal): Promise<string | undefined> {
  const secured = connectTls({
    socket,
    host,
    ...(isIP(host) === 0 && { servername: host }),
    // Without the authorities that only this machine or NODE_EXTRA_CA_CERTS has, like rr.
    ca: [...rootCertificates],
    rejectUnauthorized: false,
  });
  try {
    await once(secured, 'secureConnect', { signal });
    return secured.authorized ? undefined : describeError(secured.authorizationError);
  } finally {
    secured.on('error', () => {}).destroy();
  }
}

/** A sentence when the tracker answers a request without a token with a redirect; otherwise `undefined`. */
export async function findRedirect(trackerUrl: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const response = await requestTracker(`${trackerUrl}/api/v1/ping`, {
      method: 'GET',
      signal: anySignal(signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)),
    });
    await response.body?.cancel();
    return describeRedirect(trackerUrl, response);
  } catch {
    // The request of the other checks reports why there is no answer.
    return undefined;
  }
}
