// Slow because networks lose packets: names of trackers and relays with several addresses, of which some lead nowhere. The
// peer runs in a network namespace with a name server of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { deviceEnvironment, startRelay, startTracker } from '../../scripts/local-network.ts';
import { finished, startService } from '../../scripts/processes.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { type DnsRecords, startDnsServer } from '../../testing/dns-server.ts';
import { createNamespace, HAS_NAMESPACES, type Namespace } from '../../testing/namespace.ts';

/** An IPv6 address to which the namespace has no route. */
const NO_ROUTE6 = '2001:db8::1';

/** The names, which a relay address uses as /dns/, and the families that the peer may use for it. */
const namesIn = ({ host, host6, nobody, nobody6 }: Namespace): Readonly<Record<string, DnsRecords>> => ({
  'both.test': { A: [host], AAAA: [host6] },
  'no-route.test': { A: [host], AAAA: [NO_ROUTE6] },
  'lost6.test': { A: [host], AAAA: [nobody6] },
  'lost4.test': { A: [nobody], AAAA: [host6] },
  'many-lost.test': { A: [nobody, host], AAAA: [nobody6, NO_ROUTE6] },
  'silent-aaaa.test': { A: [host], AAAA: 'lost' },
  'only4.test': { A: [host] },
  'only6.test': { AAAA: [host6] },
});

let network: { folder: string; namespace: Namespace; port: string; peerId: string; trackerPort: string };

beforeAll(async () => {
  if (!HAS_NAMESPACES) return;
  const folder = mkdtempSync(join(tmpdir(), 'rustory-names-'));
  onCleanup(() => rmSync(folder, { recursive: true }));
  const namespace = createNamespace();
  onCleanup(namespace.remove);
  namespace.lose(namespace.nobody);
  namespace.lose(namespace.nobody6);
  namespace.resolveWith(namespace.host);
  await startDnsServer(namespace.host, namesIn(namespace));
  const relay = await startRelay(folder, { env: { RELAY_LISTEN: '/ip4/0.0.0.0/tcp/0' } });
  onCleanup(relay.stop);
  const [, port = '', peerId = ''] = /\/tcp\/(\d+)\/p2p\/(\w+)/.exec(relay.address) ?? [];
  const relay6 = await startRelay(folder, { env: { RELAY_LISTEN: `/ip6/::/tcp/${port}` } });
  onCleanup(relay6.stop);
  const tracker = await startTracker({
    env: { TRACKER_LISTEN: '[::]:0', TRACKER_ALLOW_UNAUTHENTICATED: 'true' },
  });
  onCleanup(tracker.stop);
  network = { folder, namespace, port, peerId, trackerPort: new URL(tracker.url).port };
});

afterAll(cleanUp);

/** What `doctor` in the namespace finds out about the tracker and the relay with these names. */
async function examine(tracker: string, relay: string): Promise<Record<'tracker' | 'relay', string>> {
  const { folder, namespace, port, peerId, trackerPort } = network;
  const doctor = startService('peer', {
    under: namespace.under,
    args: ['doctor', '--json'],
    env: deviceEnvironment(folder, 'laptop', {
      tracker: { url: `http://${tracker}:${trackerPort}` },
      relay: { address: `/${relay}/tcp/${port}/p2p/${peerId}` },
    }),
  });
  onCleanup(doctor.stop);
  const { stdout } = await finished(doctor);
  const { findings } = JSON.parse(stdout) as { findings: Array<Record<string, string>> };
  const stateOf = (subject: string): string => {
    const found = findings.find((finding) => finding['subject'] === subject);
    return found?.['state'] === 'ok' ? 'ok' : String(found?.['detail']);
  };
  return { tracker: stateOf('tracker'), relay: stateOf('relay') };
}

const OK = { tracker: 'ok', relay: 'ok' };

if (HAS_NAMESPACES) {
  test.each([
    ['both.test', 'dns/both.test', 'both families work'],
    ['both.test', 'dns4/both.test', 'the relay is asked for over IPv4'],
    ['both.test', 'dns6/both.test', 'the relay is asked for over IPv6'],
    ['no-route.test', 'dns/no-route.test', 'there is no route to IPv6'],
    ['lost6.test', 'dns/lost6.test', 'IPv6 is lost'],
    ['lost4.test', 'dns/lost4.test', 'IPv4 is lost'],
    ['many-lost.test', 'dns/many-lost.test', 'only the last of four addresses works'],
    ['silent-aaaa.test', 'dns/silent-aaaa.test', 'the name server does not answer questions about IPv6'],
    ['only4.test', 'dns4/only4.test', 'there is only IPv4'],
    ['only6.test', 'dns6/only6.test', 'there is only IPv6'],
  ])('the tracker %s and the relay %s are reached although %s', async (tracker, relay) => {
    expect(await examine(tracker, relay)).toEqual(OK);
  });

  test.each([
    ['dns4/only6.test', 'No IPv4 address of the name only6.test was found'],
    ['dns6/only4.test', 'No IPv6 address of the name only4.test was found'],
    ['dns4/lost4.test', 'tcp: no response within 6000 ms'],
  ])('the relay %s is not reached over the other family', async (relay, reason) => {
    expect(await examine('only4.test', relay)).toEqual({
      tracker: 'ok',
      relay: expect.stringContaining(reason),
    });
  });

  test('the tracker and the relay are reached although the first packet of each connection is lost', async () => {
    network.namespace.loseFirstPackets();
    for (const name of ['only4.test', 'no-route.test', 'lost6.test'])
      expect([name, await examine(name, `dns/${name}`)]).toEqual([name, OK]);
  });
}
