import { expect, test } from '@jest/globals';
import { countRelays, MAX_COUNTED_RELAYS } from './counts.ts';

const CIRCUIT = '/ip4/192.0.2.1/tcp/4001/p2p/relay1/p2p-circuit';

test.each<[string, number, string[]]>([
  ['no address', 0, []],
  ['a direct address', 0, ['/ip4/192.0.2.1/tcp/1/p2p/device']],
  ['a circuit', 1, [CIRCUIT]],
  ['a circuit with the target', 1, [`${CIRCUIT}/p2p/device`]],
  ['two addresses of one relay', 1, [CIRCUIT, '/dns6/relay/tcp/4001/p2p/relay1/p2p-circuit/p2p/device']],
  ['two relays', 2, [CIRCUIT, CIRCUIT.replace('relay1', 'relay2')]],
  [
    'more relays than are counted',
    MAX_COUNTED_RELAYS,
    [1, 2, 3, 4, 5].map((n) => CIRCUIT.replace('relay1', `r${n}`)),
  ],
])('%s lists circuits at %i relays', (_, relays, addrs) => {
  expect(countRelays(addrs)).toBe(relays);
});
