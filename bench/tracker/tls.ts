// The handshakes of registrations over TLS, each on a new connection, at a constant rate.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from '../../testing/certificates.ts';
import type { Benchmark, Run, RunContext, Sample } from '../benchmark.ts';
import { unavailableBuild } from '../builds.ts';
import { measure } from '../measure.ts';
import { quantile } from '../statistics.ts';
import { figureColumn, latencyColumn } from './columns.ts';
import { REGISTERED } from './register-load.ts';
import { makeDevices, RegisterRequest } from './rr-devices.ts';
import { type Context, type Server, startBare, startTracker } from './servers.ts';
import { requestOverTls, type TlsRequest } from './tls-client.ts';

/** Registrations per second, of devices that each register every 30 seconds. */
const PER_SECOND = 100;
const DEVICES = 3_000;

/** Before the measurement, and measured. */
const [WARM_UP, MEASURED] = [100, 1_050];

/** Time after which `rr` 1.x gives up its first try, in milliseconds. */
const RR_FIRST_TRY_MS = 300;

interface Certificate {
  /** The PEM of the root. */
  readonly root: string;
  readonly cert: string;
  readonly key: string;
}

/** Makes a P-256 certificate with one intermediate authority. */
function makeChain(): Certificate {
  const root = makeCertificate({ names: ['root'] });
  const intermediate = makeCertificate({ names: ['intermediate'], issuer: root, isAuthority: true });
  const leaf = makeCertificate({ issuer: intermediate });
  return { root: root.cert, cert: leaf.cert + intermediate.cert, key: leaf.key };
}

async function startTlsTracker({ cert, key }: Certificate, context: Context): Promise<Server> {
  const { folder } = context;
  const [TRACKER_TLS_CERT_FILE, TRACKER_TLS_KEY_FILE] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  writeFileSync(TRACKER_TLS_CERT_FILE, cert);
  writeFileSync(TRACKER_TLS_KEY_FILE, key);
  return startTracker('ours', 'memory', context, { TRACKER_TLS_CERT_FILE, TRACKER_TLS_KEY_FILE });
}

/** A bare server that answers with the body of the tracker. */
async function startBareTls({ cert, key }: Certificate, context: Context): Promise<Server> {
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
  const body = REGISTERED.probable.bytes.toString('base64');
  return startBare({ register: { status: 200, headers, body }, tls: { cert, key } }, context);
}

/** Starts this number of operations at a constant rate, and waits for all. */
async function atRate<T>(count: number, start: (index: number) => Promise<T>): Promise<T[]> {
  const startedMs = performance.now();
  const started: Promise<T>[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setInterval(() => {
    while (started.length < Math.min(count, ((performance.now() - startedMs) / 1_000) * PER_SECOND)) {
      const each = start(started.length);
      each.catch(reject);
      started.push(each);
    }
    if (started.length === count) resolve();
  }, 1);
  try {
    await promise;
    return await Promise.all(started);
  } finally {
    clearInterval(timer);
  }
}

async function measureTls(
  start: (certificate: Certificate, context: Context) => Promise<Server>,
  context: RunContext,
): Promise<Sample> {
  const certificate = makeChain();
  const server = await start(certificate, context);
  const { port } = server;
  const requests = makeDevices(DEVICES, 20).map((device) => new RegisterRequest(device, port));
  let sequence = 0;
  const register = async (): Promise<TlsRequest> => {
    const bytes = requests[sequence % DEVICES]?.repeated(sequence) as Buffer;
    sequence += 1;
    return requestOverTls(port, bytes, REGISTERED, certificate.root);
  };
  await atRate(WARM_UP, register);
  const { usage, result } = await measure({ servers: [server], load: [] }, async () =>
    atRate(MEASURED, register),
  );
  const handshakes = result.map(({ handshakeMs }) => handshakeMs);
  return {
    ...usage,
    operations: result.length,
    latenciesMs: handshakes,
    figures: {
      answerP99: quantile(
        result.map(({ milliseconds }) => milliseconds),
        0.99,
      ),
      late: handshakes.filter((milliseconds) => milliseconds > RR_FIRST_TRY_MS).length,
    },
    errors: [],
  };
}

const run = (variant: string, title: string, start: typeof startTlsTracker): Run => ({
  case: '',
  variant,
  title,
  unavailable: async () => unavailableBuild('ours'),
  run: async (context) => measureTls(start, context),
});

export const tlsBenchmark: Benchmark = {
  name: 'tracker-tls',
  title: 'Tracker: TLS handshakes',
  about: `${PER_SECOND} registrations per second to a tracker that serves TLS itself (P-256, one intermediate certificate), each over a new connection with a full handshake, as \`rr\` 1.x makes them. The figures are the time from the first packet to the end of the handshake, at the client, whose own part is in them. The tracker of "before" serves no TLS. \`rr\` gives up its first try after ${RR_FIRST_TRY_MS} ms.`,
  raisedLimits: [],
  tables: [
    {
      key: 'tls',
      title: 'TCP and TLS handshake at 100 registrations per second',
      columns: [
        { ...latencyColumn(0.99, 'bare'), title: 'handshake p99' },
        { ...latencyColumn(0.5), title: 'handshake p50' },
        figureColumn('late', `above ${RR_FIRST_TRY_MS} ms`, '', 0),
        figureColumn('answerP99', 'answer p99', 'ms', 2),
        {
          key: 'cpu',
          title: 'CPU',
          unit: 'ms per registration',
          against: 'bare',
          read: ({ cpuSeconds, operations }) => (cpuSeconds * 1_000) / operations,
        },
      ],
      goals: [{ column: 'p99', variant: 'ours', atMost: 50 }],
      runs: [run('ours', 'tracker', startTlsTracker), run('bare', 'bare node:https', startBareTls)],
    },
  ],
};
