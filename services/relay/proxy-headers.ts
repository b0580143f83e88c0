// The PROXY protocol of load balancers in front of the relay: which connections must have a header, and what is reported
// about it.
import type { Registry } from 'prom-client';
import type { Logger } from '../shared/log.ts';
import { createProxyHeaderReport } from '../shared/proxy-header-report.ts';
import { proxyHeaderOutcomes } from '../shared/proxy-header-outcomes.ts';
import { createProxyMatcher } from '../shared/trusted-networks.ts';
import { createProxyHeaders } from '../wire/proxy-header.ts';
import type { TcpSocket } from '../wire/tcp-socket.ts';
import type { RelayConfig } from './config.ts';

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
  const onOutcome = createProxyHeaderReport({
    name: 'rustory_relay_proxy_headers_total',
    help: 'Connections with RELAY_PROXY_PROTOCOL, by what became of their header.',
    outcomes: PROXY_HEADER_OUTCOMES,
    registry,
    log,
  });
  return (accept) =>
    createProxyHeaders({
      isTrusted: createProxyMatcher(trustedProxies),
      onConnection: accept,
      onOutcome,
    });
}
