// Values of the hub chart that contradict each other.
import { HUB } from '../../testing/charts.ts';
import type { Contradiction } from './contradiction.ts';

const ADA = { name: 'ada', userId: 'ada' };
const LOAD_BALANCER = { service: { type: 'LoadBalancer' }, announce: ['/ip4/203.0.113.7/tcp/4002'] };

export const HUB_CONTRADICTIONS: readonly Contradiction[] = [
  ['hubs without users', HUB, { users: [] }, 'users is empty, and each hub belongs to one user'],
  [
    'two users of one name',
    HUB,
    { users: [ADA, { name: 'ada', userId: 'other' }] },
    'users has the name ada twice',
  ],
  [
    'two hubs of one user',
    HUB,
    { users: [ADA, { name: 'ada2', userId: 'ada' }] },
    'users has the userId "ada" twice, for ada and ada2',
  ],
  [
    'a user id of 257 bytes in 129 characters',
    HUB,
    { users: [{ name: 'ada', userId: `a${'é'.repeat(128)}` }] },
    'the userId of ada has 257 bytes; the maximum is 256',
  ],
  [
    'a user id with white space at its end',
    HUB,
    { users: [{ name: 'ada', userId: 'ada ' }] },
    'the userId of ada begins or ends with white space',
  ],
  [
    'an unknown placeholder',
    HUB,
    { announce: ['/ip4/{ip}/tcp/4002'] },
    'announce contains the unknown placeholder {ip}',
  ],
  [
    'a placeholder without a value',
    HUB,
    { service: { type: 'LoadBalancer' }, announce: ['/ip4/{loadBalancerIP}/tcp/4002'] },
    'announce contains {loadBalancerIP}, but the user ada has no loadBalancerIP',
  ],
  [
    'one address of two hubs',
    HUB,
    { ...LOAD_BALANCER, users: [ADA, { name: 'bob', userId: 'bob' }] },
    'announce contains /ip4/203.0.113.7/tcp/4002 for ada and for bob',
  ],
  [
    'an exposed hub without an address',
    HUB,
    { service: { type: 'LoadBalancer' } },
    'service.type is LoadBalancer, but no address is announced for the user ada',
  ],
  [
    'an address without a Service',
    HUB,
    { ...LOAD_BALANCER, service: { type: 'None' } },
    'announce is set for the user ada, but with the service.type None no connection reaches the hub',
  ],
  [
    'NodePort without a port',
    HUB,
    { ...LOAD_BALANCER, service: { type: 'NodePort' } },
    'the user ada has no nodePort',
  ],
  [
    'a node port without a Service that has one',
    HUB,
    { users: [{ ...ADA, nodePort: 30_402 }] },
    'the nodePort of ada has no effect when service.type is ClusterIP',
  ],
  [
    'the address of a load balancer with another Service',
    HUB,
    { users: [{ ...ADA, loadBalancerIP: '203.0.113.7' }] },
    'the loadBalancerIP of ada requires a load balancer',
  ],
  [
    'a port that the Service does not have',
    HUB,
    { service: { type: 'LoadBalancer' }, announce: ['/ip4/203.0.113.7/tcp/4001'] },
    'announce has no address with the port 4002',
  ],
  [
    'a node port that the Service does not have',
    HUB,
    {
      users: [{ ...ADA, nodePort: 30_402 }],
      service: { type: 'NodePort' },
      announce: ['/ip4/203.0.113.7/tcp/4002'],
    },
    'announce has no address with the port 30402',
  ],
  [
    'a secret as a value and in a Secret',
    HUB,
    { secret: 'a'.repeat(32), existingSecret: 's' },
    'secret and existingSecret are both set',
  ],
  [
    'two disruption budgets of the hubs',
    HUB,
    { pdb: { minAvailable: 1, maxUnavailable: 1 } },
    'pdb.minAvailable and pdb.maxUnavailable are both set',
  ],
  [
    'a disruption budget of all hubs',
    HUB,
    { users: [ADA, { name: 'bob', userId: 'bob' }], pdb: { minAvailable: 2 } },
    'pdb.minAvailable (2) is all of the 2 pods',
  ],
  [
    'two families of addresses in a Service of a hub with one',
    HUB,
    { service: { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6', 'IPv4'] } },
    'service.ipFamilies has two families, but service.ipFamilyPolicy is SingleStack',
  ],
  [
    'a label of the selector of HUB',
    HUB,
    { podLabels: { 'app.kubernetes.io/component': 'other' } },
    'podLabels contains app.kubernetes.io/component',
  ],
  ['a hub without trackers', HUB, { network: { trackers: [] } }, 'network.trackers is empty'],
  ['a hub without relays', HUB, { network: { relays: [] } }, 'network.relays is empty'],
  ['a hub without a swarm key', HUB, { network: { swarmKeySecret: '' } }, 'network.swarmKeySecret is empty'],
  [
    'a star without trackers',
    HUB,
    { star: true },
    'star has no effect, because this chart installs no trackers',
  ],
];
