// The HTTP servers of the API: one, with TLS if a certificate is configured, and then optionally a second one without
// TLS for clients in a network that is trusted.
import { createHttpServer } from '../shared/app-server.ts';
import type { HttpServerEvents } from '../shared/http-server.ts';
import type { Component } from '../shared/lifecycle.ts';
import type { Logger } from '../shared/log.ts';
import type { TlsOptions } from '../shared/tls.ts';
import type { createApp } from './app.ts';
import type { TrackerConfig } from './config.ts';
import { HTTP_LIMITS, PLAIN_LIMITS, TLS_LIMITS } from './http-limits.ts';
import type { TrackerMetrics } from './metrics.ts';
import { createProxyMatcher } from '../shared/trusted-networks.ts';
import { createProxyAdmission } from './proxy-protocol/admission.ts';
import { createReloadedCertificate } from './tls/certificate-reload.ts';
import { MIN_TLS_VERSION } from './tls/certificate.ts';
import { createHandshakeObserver } from './tls/handshakes.ts';

export interface ServerDeps {
  readonly app: ReturnType<typeof createApp>;
  readonly metrics: Pick<TrackerMetrics, 'registry'>;
  readonly log: Logger;
  readonly clientLog: Required<HttpServerEvents>;
}

type ServersConfig = Pick<
  TrackerConfig,
  'listen' | 'plainListen' | 'tls' | 'proxyProtocol' | 'trustedProxies'
>;

/** The servers and the certificate, in the order in which they start. */
export function createServers(
  { listen, plainListen, tls, proxyProtocol, trustedProxies }: ServersConfig,
  { app, metrics, log, clientLog }: ServerDeps,
): Component[] {
  const logAddress =
    (message: string) =>
    (address: string): void =>
      log.info({ address, tls: message === 'listening' && tls !== undefined }, message);
  // The second port is for clients in the same network, which connect directly.
  const admission = proxyProtocol
    ? createProxyAdmission({ isTrusted: createProxyMatcher(trustedProxies), registry: metrics.registry, log })
    : undefined;
  const events = { onBroken: clientLog.onBroken };
  const options = admission === undefined ? events : { ...events, admission };
  if (tls === undefined)
    return [createHttpServer('api server', listen, app, HTTP_LIMITS, logAddress('listening'), options)];
  const certificate = createReloadedCertificate(tls, { log, nowUnixMs: Date.now });
  const observer = createHandshakeObserver({
    registry: metrics.registry,
    log,
    validity: () => certificate.current(),
  });
  const secured: TlsOptions = {
    source: certificate,
    minVersion: MIN_TLS_VERSION,
    onSecured: () => observer.secured(),
    onFailed: (handshake) => observer.failed(handshake),
  };
  const api = createHttpServer('api server', listen, app, TLS_LIMITS, logAddress('listening'), {
    ...options,
    tls: secured,
  });
  if (plainListen === undefined) return [certificate, api];
  const plain = createHttpServer(
    'plain api server',
    plainListen,
    app,
    PLAIN_LIMITS,
    logAddress('listening without TLS'),
    clientLog,
  );
  return [certificate, plain, api];
}
