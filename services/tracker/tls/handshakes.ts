// Counts and logs the handshakes of the tracker's TLS port. A mistake of a device, such as http:// in its URL, becomes
// visible here, because it never becomes a request.
import { Counter, Gauge, type Registry } from 'prom-client';
import { createLimitedLog } from '../../shared/limited-log.ts';
import type { Logger } from '../../shared/log.ts';
import { type FailedHandshake, PLAIN_HTTP_CODE } from '../../shared/tls.ts';
import type { Certificate } from './certificate.ts';

type Validity = Pick<Certificate, 'notBeforeUnixMs' | 'notAfterUnixMs'>;

/** Maximum log lines per minute, each about another address, so that a port scan writes one line. */
const LINES_PER_MINUTE = 10;

interface HandshakeRule {
  readonly doc: string;
  /** The message of the log. An outcome without one is logged only at debug. */
  readonly log?: string;
}

/** All outcomes of a handshake. */
export const HANDSHAKE_OUTCOMES = {
  secured: { doc: 'The connection is encrypted.' },
  plain_http: {
    doc: 'A client sent an HTTP request without TLS, and got 400. Change `http://` to `https://` in the `trackers` of the device.',
    log: 'http without TLS on the TLS port; the URL of this client must begin with https://',
  },
  untrusted: {
    doc: 'A client rejected the certificate. `rr` accepts only certificates of public authorities that are valid for the host name in its URL.',
    log: 'client rejected the certificate; rr accepts only a valid one of a public authority for the host in its URL',
  },
  incompatible: {
    doc: 'A client and the tracker have no version or cipher of TLS in common. The tracker requires TLS 1.2.',
    log: 'client has no version or cipher of TLS that the tracker accepts',
  },
  aborted: {
    doc: 'A client closed the connection during the handshake. `rr` 1.x does so when TCP and TLS together take longer than 0.3 seconds: use an ECDSA key and a short chain, and check the CPU of the tracker and the distance to the devices.',
    log: 'client closed the connection during the handshake; rr 1.x allows 0.3 seconds for TCP and TLS',
  },
  timeout: {
    doc: 'A client did not finish the handshake within 5 seconds, and was disconnected.',
    log: 'handshake timed out',
  },
  invalid: {
    doc: 'A client sent bytes that are not TLS. Probably a port scan, or a load balancer that sends headers of the PROXY protocol, which require `TRACKER_PROXY_PROTOCOL` and `TRACKER_TRUSTED_PROXIES`.',
    log: 'not a TLS handshake; if it is a load balancer with the PROXY protocol, set TRACKER_PROXY_PROTOCOL and TRACKER_TRUSTED_PROXIES',
  },
  unused: {
    doc: 'A client closed the connection before it sent a byte, as the probe of a load balancer does.',
  },
} as const satisfies Record<string, HandshakeRule>;

export type HandshakeOutcome = keyof typeof HANDSHAKE_OUTCOMES;

export interface HandshakeObserver {
  secured(): void;
  failed(handshake: FailedHandshake): void;
}

export interface HandshakeObserverOptions {
  readonly registry: Registry;
  readonly log: Logger;
  /** The validity of the certificate in use, for the metrics. */
  readonly validity: () => Validity;
}

/** Registers the metrics of TLS. They exist only when the tracker serves TLS. */
export function createHandshakeObserver({
  registry,
  log,
  validity,
}: HandshakeObserverOptions): HandshakeObserver {
  const limitedLog = createLimitedLog<'handshake'>({ log, perMinute: LINES_PER_MINUTE });
  const handshakes = new Counter({
    name: 'rustory_tracker_tls_handshakes_total',
    help: 'TLS handshakes, by outcome.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  for (const outcome of Object.keys(HANDSHAKE_OUTCOMES)) handshakes.inc({ outcome }, 0);
  registerValidity(registry, validity);
  return {
    secured: () => handshakes.inc({ outcome: 'secured' }),
    failed(handshake) {
      const outcome = outcomeOf(handshake);
      const { address, code } = handshake;
      handshakes.inc({ outcome });
      const rule: HandshakeRule = HANDSHAKE_OUTCOMES[outcome];
      if (rule.log !== undefined) limitedLog('handshake', { address, code }, rule.log, address);
      else log.debug({ address, code, outcome }, 'handshake failed');
    },
  };
}

function outcomeOf({ code, bytes }: FailedHandshake): HandshakeOutcome {
  if (code === PLAIN_HTTP_CODE) return 'plain_http';
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout';
  if (code === 'ECONNRESET' || code === 'EPIPE') return bytes === 0 ? 'unused' : 'aborted';
  // The alerts with which a client rejects a certificate (RFC 8446, section 6.2).
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|(UNSUPPORTED_)?CERTIFICATE(_\w+)?)$/.test(code)) return 'untrusted';
  if (/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|ALERT_PROTOCOL_VERSION|NO_SHARED|ALERT_HANDSHAKE/.test(code))
    return 'incompatible';
  return 'invalid';
}

function registerValidity(registry: Registry, validity: () => Validity): void {
  const ends = [
    ['not_before', 'from which', 'notBeforeUnixMs'],
    ['expiry', 'at which', 'notAfterUnixMs'],
  ] as const;
  for (const [name, when, field] of ends)
    registry.registerMetric(
      new Gauge({
        name: `rustory_tracker_tls_certificate_${name}_timestamp_seconds`,
        help: `Unix time ${when} the certificate, or another one of its chain, ${name === 'expiry' ? 'expires' : 'is valid'}.`,
        registers: [],
        collect() {
          this.set(validity()[field] / 1_000);
        },
      }),
    );
}
