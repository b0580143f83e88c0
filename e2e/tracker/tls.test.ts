// The tracker with TLS, as a process, and a client that does what `rr` 1.x does: every request is a new connection, a
// token is never sent over http to a host that is not loopback, and a redirect is never followed.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { makeCertificate, type TestCertificate } from '../../testing/certificates.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { makeDirectory } from '../../testing/peer.ts';
import { runTracker, startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

const TOKEN = 'a-token-of-the-network';
const PING = '/api/v1/ping';

/** Stands in for a public authority, which issues the certificates of the tracker. */
const authority = makeCertificate({ names: ['authority'] });

interface Request {
  readonly url: string;
  readonly token?: string;
  readonly ca?: string;
}

/** The status of a request as `rr` 1.x sends it. @throws Error when it sends none, or when there is no answer */
async function requestLikeRr({ url, token, ca = authority.cert }: Request): Promise<number> {
  const { protocol, hostname } = new URL(url);
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
  if (token !== undefined && protocol === 'http:' && !isLoopback)
    throw new Error('rr sends no token over http to this host.');
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = Promise.withResolvers<number>();
  const options = { agent: false as const, headers };
  const sent =
    protocol === 'https:'
      ? requestHttps(`${url}${PING}`, { ...options, ca })
      : requestHttp(`${url}${PING}`, options);
  sent
    .once('error', answer.reject)
    .once('response', (response) => {
      response.resume();
      answer.resolve(response.statusCode ?? 0);
    })
    .end();
  return answer.promise;
}

/** An address that reaches a server on 127.0.0.1, but is not loopback for `rr`. */
function asRemote(url: string): string {
  return url.replace('127.0.0.1', '[::ffff:127.0.0.1]');
}

interface SecuredTracker extends TrackerProcess {
  readonly directory: string;
  readonly plainUrl: string;
  renew(certificate: TestCertificate): void;
  metric(series: string): Promise<number>;
}

async function startSecured(
  certificate: TestCertificate,
  env: Record<string, string> = {},
): Promise<SecuredTracker> {
  const directory = makeDirectory();
  const path = (name: string): string => join(directory, name);
  const renew = ({ cert, key }: TestCertificate): void => {
    writeFileSync(path('tls.crt'), cert);
    writeFileSync(path('tls.key'), key);
  };
  renew(certificate);
  writeFileSync(path('tokens'), `${TOKEN}\n`);
  const tracker = await startTracker({
    TRACKER_TOKENS_FILE: path('tokens'),
    TRACKER_TLS_CERT_FILE: path('tls.crt'),
    TRACKER_TLS_KEY_FILE: path('tls.key'),
    TRACKER_PLAIN_LISTEN: '127.0.0.1:0',
    ...env,
  });
  onCleanup(async () => void (await tracker.end('SIGKILL')));
  const plain = await tracker.waitFor('listening without TLS');
  return {
    ...tracker,
    url: tracker.url.replace('http:', 'https:'),
    plainUrl: `http://${String(plain['address'])}`,
    directory,
    renew,
    async metric(series) {
      const text = await (await fetch(`${tracker.opsUrl}/metrics`)).text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
      return Number(line?.slice(series.length));
    },
  };
}

describe('rr 1.x reaches a tracker', () => {
  test('over https with a certificate of an authority that it trusts, with a token', async () => {
    const { url } = await startSecured(makeCertificate({ issuer: authority }));
    expect(await requestLikeRr({ url, token: TOKEN })).toBe(200);
    expect(await requestLikeRr({ url, token: 'another-token-altogether' })).toBe(401);
  });

  test('over http without a token, in a private network', async () => {
    const tracker = await startTracker({ TRACKER_ALLOW_UNAUTHENTICATED: 'true' });
    onCleanup(async () => void (await tracker.end('SIGKILL')));
    expect(await requestLikeRr({ url: asRemote(tracker.url) })).toBe(200);
  });

  test('over http with a token through loopback, as with a port-forward', async () => {
    const { plainUrl } = await startSecured(makeCertificate({ issuer: authority }));
    expect(await requestLikeRr({ url: plainUrl, token: TOKEN })).toBe(200);
    await expect(requestLikeRr({ url: asRemote(plainUrl), token: TOKEN })).rejects.toThrow('no token');
  });
});

describe('a tracker with TLS', () => {
  test('is not trusted by a client without its authority, which the log and a metric show', async () => {
    const tracker = await startSecured(makeCertificate({ issuer: authority }));
    const { host } = new URL(tracker.url);
    const bundle = join(tracker.directory, 'other.crt');
    writeFileSync(bundle, makeCertificate().cert);
    // OpenSSL sends an alert like `rr`, and Node only closes the connection.
    const args = ['s_client', '-connect', host, '-verify_return_error', '-CAfile', bundle];
    expect(() => execFileSync('openssl', args, { stdio: 'ignore', timeout: 60_000 })).toThrow();
    await until(
      () => tracker.output().includes('client rejected the certificate'),
      'the log has the rejection',
    );
    expect(await tracker.metric('rustory_tracker_tls_handshakes_total{outcome="untrusted"}')).toBe(1);
  });

  test('answers plain http with 400, and logs the address of the client', async () => {
    const tracker = await startSecured(makeCertificate({ issuer: authority }));
    expect(await requestLikeRr({ url: tracker.url.replace('https:', 'http:') })).toBe(400);
    await until(() => tracker.output().includes('must begin with https://'), 'the log has the mistake');
    expect(tracker.output()).toMatch(/"address":"127\.0\.0\.1".*"msg":"http without TLS on the TLS port/);
  });

  test('names the setting for a load balancer that sends headers of the PROXY protocol', async () => {
    const tracker = await startSecured(makeCertificate({ issuer: authority }));
    const socket = connect(Number(new URL(tracker.url).port), '127.0.0.1').on('error', () => {});
    socket.end('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n');
    socket.resume();
    await until(() => tracker.output().includes('set TRACKER_PROXY_PROTOCOL'), 'the log has the setting');
    expect(await tracker.metric('rustory_tracker_tls_handshakes_total{outcome="invalid"}')).toBe(1);
  });

  test('writes one line about a port scan', async () => {
    const tracker = await startSecured(makeCertificate({ issuer: authority }));
    const port = Number(new URL(tracker.url).port);
    await tracker.waitFor('started');
    const before = tracker.output().length;
    const failed = (outcome: string): Promise<number> =>
      tracker.metric(`rustory_tracker_tls_handshakes_total{outcome="${outcome}"}`);
    for (const bytes of [
      'GET / HTTP/1.0\r\n\r\n',
      'SSH-2.0-scanner\r\n',
      '\r\n\r\n',
      '\x16\x03\x01\x00\xc8',
    ]) {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      socket.end(bytes, 'latin1');
      socket.resume();
      await until(() => socket.closed, 'the connection is closed');
    }
    for (const outcome of ['plain_http', 'invalid'])
      await until(async () => (await failed(outcome)) > 0, `${outcome} is counted`);
    const lines = tracker.output().slice(before).trim().split('\n');
    expect(lines).toEqual([expect.stringContaining('"address":"127.0.0.1"')]);
  });

  test('uses a renewed certificate without a restart, and exports when it expires', async () => {
    const soon = Math.floor(Date.now() / 1_000) * 1_000 + 3_600_000;
    const tracker = await startSecured(makeCertificate({ issuer: authority, notAfterUnixMs: soon }));
    const expiry = 'rustory_tracker_tls_certificate_expiry_timestamp_seconds';
    expect(await tracker.metric(expiry)).toBe(soon / 1_000);
    const other = makeCertificate({ names: ['other authority'] });
    tracker.renew(makeCertificate({ issuer: other, notAfterUnixMs: soon + 1_000 }));
    await until(async () => (await tracker.metric(expiry)) === soon / 1_000 + 1, 'the new one is used');
    expect(await requestLikeRr({ url: tracker.url, token: TOKEN, ca: other.cert })).toBe(200);
    await expect(requestLikeRr({ url: tracker.url, token: TOKEN })).rejects.toThrow();
    expect(tracker.output()).not.toContain('PRIVATE KEY');
  });

  test('keeps its certificate when the new key does not belong to the new certificate', async () => {
    const tracker = await startSecured(makeCertificate({ issuer: authority }));
    const renewed = makeCertificate({ issuer: authority });
    writeFileSync(join(tracker.directory, 'tls.crt'), renewed.cert);
    await until(() => tracker.output().includes('certificate not read again'), 'the problem is logged');
    expect(await requestLikeRr({ url: tracker.url, token: TOKEN })).toBe(200);
    tracker.renew(renewed);
    await until(() => tracker.output().includes('"msg":"certificate read again"'), 'the new one is used');
    expect(await requestLikeRr({ url: tracker.url, token: TOKEN })).toBe(200);
  });

  test('drains and stops with exit code 0', async () => {
    const tracker = await startSecured(makeCertificate({ issuer: authority }));
    expect(await requestLikeRr({ url: tracker.url, token: TOKEN })).toBe(200);
    expect(await tracker.end('SIGTERM')).toBe(0);
  });

  test('does not start with a key of another certificate', async () => {
    const directory = makeDirectory();
    const [certPath, keyPath] = [join(directory, 'tls.crt'), join(directory, 'tls.key')];
    writeFileSync(certPath, makeCertificate().cert);
    writeFileSync(keyPath, makeCertificate().key);
    const { exitCode, output } = await runTracker({
      TRACKER_LISTEN: '127.0.0.1:0',
      TRACKER_TLS_CERT_FILE: certPath,
      TRACKER_TLS_KEY_FILE: keyPath,
    });
    expect(exitCode).toBe(78);
    expect(output).toContain(
      `TRACKER_TLS_KEY_FILE: ${keyPath}: The key does not belong to the certificate in ${certPath}.`,
    );
  });
});
