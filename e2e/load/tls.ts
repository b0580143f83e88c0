// `node e2e/load/tls.ts [REQUESTS [CONCURRENCY]]`: requests to a tracker that serves TLS itself, each over a new
// connection with a full handshake as `rr` 1.x makes it, with keys and chains of several kinds. Prints requests per second,
// the time for TCP and TLS, and the CPU time of the tracker.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KeyType, makeCertificate, type TestCertificate } from '../../testing/certificates.ts';
import { cpuSeconds } from '../../testing/process-usage.ts';
import { startTracker } from '../../testing/tracker-process.ts';

const [requests = 2_000, concurrency = 16] = process.argv.slice(2).map(Number);

/** Requests before the measurement, so that the code of the tracker is compiled. */
const WARM_UP = 200;

interface Kind {
  readonly name: string;
  readonly keyType: KeyType;
  readonly intermediates: number;
}

const KINDS: readonly Kind[] = [
  { name: 'ECDSA P-256, 1 intermediate', keyType: 'P-256', intermediates: 1 },
  { name: 'ECDSA P-256, 6 intermediates', keyType: 'P-256', intermediates: 6 },
  { name: 'RSA-2048, 1 intermediate', keyType: 'RSA-2048', intermediates: 1 },
  { name: 'RSA-4096, 1 intermediate', keyType: 'RSA-4096', intermediates: 1 },
];

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** A certificate whose whole chain has keys of the kind, and the authority. */
function makeChain({ keyType, intermediates }: Kind): {
  chain: TestCertificate[];
  authority: TestCertificate;
} {
  const authority = makeCertificate({ names: ['authority'], keyType });
  const chain = [authority];
  for (let depth = 0; depth < intermediates; depth += 1)
    chain.unshift(
      makeCertificate({
        names: [`intermediate-${depth}`],
        keyType,
        issuer: chain[0] ?? authority,
        isAuthority: true,
      }),
    );
  chain.unshift(makeCertificate({ keyType, issuer: chain[0] ?? authority }));
  return { chain: chain.slice(0, -1), authority };
}

/** The time from the first packet to the end of the handshake, in milliseconds. */
async function ping(url: string, ca: string): Promise<number> {
  const done = Promise.withResolvers<number>();
  const startMs = performance.now();
  let securedMs = 0;
  request(`${url}/api/v1/ping`, { agent: false, ca }, (response) => {
    response.resume().once('end', () => done.resolve(securedMs - startMs));
  })
    .once('socket', (socket) => socket.once('secureConnect', () => (securedMs = performance.now())))
    .once('error', done.reject)
    .end();
  return done.promise;
}

async function pingAll(url: string, ca: string, count: number): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      times.push(await ping(url, ca));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return times.toSorted((a, b) => a - b);
}

async function measure(kind: Kind, folder: string): Promise<void> {
  const { chain, authority } = makeChain(kind);
  const [certPath, keyPath] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  writeFileSync(certPath, chain.map(({ cert }) => cert).join(''));
  writeFileSync(keyPath, chain[0]?.key ?? '');
  const tracker = await startTracker({ TRACKER_TLS_CERT_FILE: certPath, TRACKER_TLS_KEY_FILE: keyPath });
  try {
    const url = tracker.url.replace('http:', 'https:');
    await pingAll(url, authority.cert, WARM_UP);
    const [startMs, startCpu] = [performance.now(), cpuSeconds(tracker)];
    const times = await pingAll(url, authority.cert, requests);
    const seconds = (performance.now() - startMs) / 1_000;
    const cpuMs = ((cpuSeconds(tracker) - startCpu) * 1_000) / requests;
    const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(1);
    say(
      `${kind.name}: ${(requests / seconds).toFixed(0)} requests/s; TCP and TLS ${at(0.5)} ms p50, ${at(0.99)} ms p99; tracker CPU ${cpuMs.toFixed(2)} ms per request`,
    );
  } finally {
    await tracker.end('SIGTERM');
  }
}

const folder = mkdtempSync(join(tmpdir(), 'rustory-tls-'));
try {
  say(`${requests} requests per kind, ${concurrency} at the same time`);
  for (const kind of KINDS) await measure(kind, folder);
} finally {
  rmSync(folder, { recursive: true });
}
