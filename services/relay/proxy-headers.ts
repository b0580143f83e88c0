// The PROXY protocol of load balancers in front of the relay: which connections must have a header, and what is reported
// about it.
import { Counter, type Registry } from 'prom-client';
import { createLimitedLog } from '../shared/limited-log.ts';
import type { Logger } from '../shared/log.ts';
import { proxyHeaderOutcomes } from '../shared/proxy-header-outcomes.ts';
import { createProxyMatcher } from '../shared/trusted-networks.ts';
import { createProxyHeaders } from '../wire/proxy-header.ts';
import type { TcpSocket } from '../wire/tcp-socket.ts';
import type { RelayConfig } from './config.ts';

/** Maximum log lines per minute, each about another load balancer. */
const LINES_PER_MINUTE = 10;

/** Outcomes of connections with `RELAY_PROXY_PROTOCOL`; docs/metrics.md shows the sentences. */
export const PROXY_HEADER_OUTCOMES = proxyHeaderOutcomes('RELAY');

/** Wraps what a listener calls with its connections. */
export type WithProxyHeaders = (accept: (socket: TcpSocket) => void) => (socket: TcpSocket) => void;

/** Registers the metric. Without `RELAY_PROXY_PROTOCOL` connections are accepted as they are. */
export function createRelayProxyHeaders(
  { proxyProtocol, trustedProxies }: Pick<RelayConfig, 'proxyProtocol' | 'trustedProxies'>,
  { registry, log }: { readonly registry: Registry; readonly log: Logger },
): WithProxyHeaders {
  if (!proxyProtocol) return (accept) => accept;
  const writeLimited = createLimitedLog<'header'>({ log, perMinute: LINES_PER_MINUTE });
  const counter = new Counter({
    name: 'rustory_relay_proxy_headers_total',
    help: 'Connections with RELAY_PROXY_PROTOCOL, by what became of their header.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  for (const outcome of Object.keys(PROXY_HEADER_OUTCOMES)) counter.inc({ outcome }, 0);
  return (accept) =>
    createProxyHeaders({
      isTrusted: createProxyMatcher(trustedProxies),
      onConnection: accept,
      onOutcome(outcome, address) {
        counter.inc({ outcome });
        if (outcome === 'client' || outcome === 'proxy' || outcome === 'direct' || outcome === 'unused')
          return;
        const message = 'trusted proxy without a valid header of the PROXY protocol, connection closed';
        writeLimited('header', { address, reason: outcome }, message, address);
      },
    });
}
