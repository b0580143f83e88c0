import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { makeCertificate } from '../../../testing/certificates.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestHome } from '../../../testing/cli.ts';
import { measureConnection } from '../discovery/tracker-probe.ts';
import { describeConnection } from './doctor-tracker.ts';
import type { Finding } from './finding.ts';

afterEach(cleanUp);

const URL_OF_TRACKER = 'https://tracker.example.org';

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.on('connection', (socket) => onCleanup(() => void socket.destroy()));
  onCleanup(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const answerList: RequestListener = (_, response) =>
  void response
    .writeHead(200, { 'Content-Type': 'application/json', Connection: 'close' })
    .end(JSON.stringify({ peers: [] }));

async function findingsOf(url: string, environment: Record<string, string> = {}): Promise<Finding[]> {
  const home = createTestHome();
  const { stdout } = await home.run(['doctor', '--json'], { RUSTORY_TRACKERS: url, ...environment });
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return findings.filter(({ subject }) => /^(tracker|connection|certificate)/.test(subject));
}

describe('the time for a connection', () => {
  test.each<[number, number | undefined, Finding['state'], RegExp | undefined]>([
    [20, 40, 'ok', undefined],
    [100, 200, 'ok', undefined],
    [20, undefined, 'ok', undefined],
    [101, 200, 'warning', /allows 300 ms at its first try, and needs a second or third one/],
    [301, undefined, 'warning', /second or third/],
    [600, 601, 'warning', /does not reach this tracker/],
  ])('TCP %s ms and TLS %s ms: %s', (tcpMs, tlsMs, state, advice) => {
    const [finding, ...others] = describeConnection(URL_OF_TRACKER, { tcpMs, tlsMs, untrusted: undefined });
    expect(finding).toMatchObject({ subject: 'connection', state });
    if (advice === undefined) expect(finding).not.toHaveProperty('advice');
    else expect(finding?.advice).toMatch(advice);
    expect(others).toEqual([]);
  });

  test('is that of TCP and TLS, without the lookup of the name', async () => {
    const { cert, key } = makeCertificate();
    const host = await listen(createTlsServer({ cert, key }, answerList));
    let nowMs = 0;
    const clock = (): number => (nowMs += 10);
    const signal = new AbortController().signal;
    const measured = await measureConnection(`https://${host}`, { nowMs: clock, signal });
    expect(measured).toMatchObject({ tcpMs: 10, tlsMs: 10 });
    expect(measured.untrusted).toMatch(/self.signed/i);
  });

  test('is not measured when the handshake does not succeed', async () => {
    const host = await listen(createTcpServer((socket) => void socket.end('SSH-2.0\r\n')));
    const deps = { nowMs: () => 0, signal: new AbortController().signal };
    await expect(measureConnection(`https://${host}`, deps)).rejects.toThrow();
  });
});

describe('doctor', () => {
  test('reports the time of a new connection to a tracker', async () => {
    const host = await listen(createServer(answerList));
    expect(await findingsOf(`http://${host}`, { RUSTORY_TRACKER_TOKEN: 'a-token' })).toMatchObject([
      { subject: 'tracker', state: 'ok' },
      { subject: 'connection', detail: expect.stringMatching(/took TCP in \d+ ms\.$/) },
    ]);
  });

  test('warns that rr rejects a certificate that no public authority issued', async () => {
    const { cert, key } = makeCertificate();
    const host = await listen(createTlsServer({ cert, key }, answerList));
    expect(await findingsOf(`https://${host}`)).toMatchObject([
      { subject: 'tracker', state: 'failed' },
      { subject: 'connection', detail: expect.stringMatching(/took TCP in \d+ ms and TLS in \d+ ms\.$/) },
      {
        subject: 'certificate',
        state: 'warning',
        detail: expect.stringContaining('rr rejects the certificate'),
      },
    ]);
  });

  test('says that a device with a token sends no request over http to another machine', async () => {
    const requests: string[] = [];
    const host = await listen(
      createServer((request, response) => {
        requests.push(request.headers.authorization ?? 'no token');
        answerList(request, response);
      }),
    );
    const url = `http://${host.replace('127.0.0.1', '[::ffff:127.0.0.1]')}`;
    const token = { RUSTORY_TRACKER_TOKEN: 'a-token' };
    const [refused] = await findingsOf(url, token);
    expect(refused).toMatchObject({
      subject: 'tracker',
      state: 'failed',
      detail: expect.stringContaining('neither https nor loopback'),
    });
    expect(requests).not.toContain('Bearer a-token');
    const allowed = await findingsOf(url, { ...token, RUSTORY_TRACKER_TOKEN_OVER_HTTP: 'true' });
    expect(allowed).toContainEqual(
      expect.objectContaining({ state: 'warning', detail: expect.stringContaining('in clear text') }),
    );
    expect(requests).toContain('Bearer a-token');
  });

  test.each([{}, { RUSTORY_TRACKER_TOKEN: 'a-token' }])(
    'names the target of a redirect on the way, with %j',
    async (environment) => {
      const host = await listen(
        createServer((_, response) => {
          const headers = { Location: 'https://tracker.example.org/', Connection: 'close' };
          response.writeHead(308, headers).end();
        }),
      );
      const url = `http://${host.replace('127.0.0.1', '[::ffff:127.0.0.1]')}`;
      expect(await findingsOf(url, environment)).toContainEqual({
        subject: 'tracker',
        state: 'failed',
        detail: expect.stringContaining('a redirect to https://tracker.example.org/, which neither rr nor'),
      });
    },
  );
});
