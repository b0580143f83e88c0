// Values of the relay chart that contradict each other.
import { RELAY } from '../../testing/charts.ts';
import type { Contradiction } from './contradiction.ts';

const LOAD_BALANCER = { expose: 'LoadBalancer', announce: ['/dns4/relay-{ordinal}.example.org/tcp/4001'] };

export const RELAY_CONTRADICTIONS: readonly Contradiction[] = [
  [
    'exposed relays without an announced address',
    RELAY,
    { p2p: { expose: 'LoadBalancer' } },
    'Set p2p.announce,',
  ],
  [
    'an unknown placeholder',
    RELAY,
    { p2p: { announce: ['/dns4/{pod}.example.org/tcp/1'] } },
    'p2p.announce contains the unknown placeholder {pod}',
  ],
  [
    'one address for two relays',
    RELAY,
    { replicaCount: 2, p2p: { announce: ['/dns4/relay.example.org/tcp/1'] } },
    'Add {ordinal} to it',
  ],
  [
    'fewer node ports than relays',
    RELAY,
    { replicaCount: 3, p2p: { ...LOAD_BALANCER, nodePorts: [30_001] } },
    'p2p.nodePorts has 1 items, but replicaCount is 3',
  ],
  [
    'more load balancer addresses than relays',
    RELAY,
    { p2p: { ...LOAD_BALANCER, loadBalancerIPs: ['192.0.2.1', '192.0.2.2'] } },
    'p2p.loadBalancerIPs has 2 items, but replicaCount is 1',
  ],
  [
    'fewer annotations than relays',
    RELAY,
    { replicaCount: 2, p2p: { ...LOAD_BALANCER, perRelayAnnotations: [{}] } },
    'p2p.perRelayAnnotations has 1 items, but replicaCount is 2',
  ],
  [
    'node ports without Services',
    RELAY,
    { p2p: { nodePorts: [30_001] } },
    'p2p.nodePorts has no effect when p2p.expose is ClusterIP',
  ],
  [
    'NodePort without node ports',
    RELAY,
    { p2p: { ...LOAD_BALANCER, expose: 'NodePort' } },
    'Set p2p.nodePorts',
  ],
  [
    'load balancer addresses with NodePort',
    RELAY,
    { p2p: { ...LOAD_BALANCER, expose: 'NodePort', nodePorts: [30_001], loadBalancerIPs: ['192.0.2.1'] } },
    'p2p.loadBalancerIPs requires a load balancer',
  ],
  [
    'external-dns without Services',
    RELAY,
    { p2p: { externalDNS: { enabled: true } } },
    'p2p.externalDNS.enabled has no effect when p2p.expose is ClusterIP',
  ],
  [
    'external-dns without a host name',
    RELAY,
    { p2p: { expose: 'LoadBalancer', announce: ['/ip4/192.0.2.1/tcp/1'], externalDNS: { enabled: true } } },
    'p2p.externalDNS.enabled requires a host name',
  ],
  [
    'a swarm key as a value and in a Secret',
    RELAY,
    { swarmKey: { value: 'a'.repeat(64), existingSecret: 's' } },
    'swarmKey.value and swarmKey.existingSecret are both set',
  ],
  ['an invalid swarm key', RELAY, { swarmKey: { value: 'secret' } }, 'swarmKey.value is not a swarm key'],
  [
    'a seed as a value and in a Secret',
    RELAY,
    { identity: { seed: 'a'.repeat(32), existingSecret: 's' } },
    'identity.seed and identity.existingSecret are both set',
  ],
  [
    'two disruption budgets of the relay',
    RELAY,
    { pdb: { minAvailable: 1, maxUnavailable: 1 } },
    'pdb.minAvailable and pdb.maxUnavailable are both set',
  ],
  [
    'a disruption budget of all pods of RELAY',
    RELAY,
    { replicaCount: 2, pdb: { minAvailable: 2 } },
    'pdb.minAvailable (2) is all of the 2 pods',
  ],
  [
    'a disruption budget of 100 % of RELAY',
    RELAY,
    { replicaCount: 2, pdb: { minAvailable: '100%' } },
    'pdb.minAvailable (100%) is all of the 2 pods',
  ],
  [
    'a label of the selector of RELAY',
    RELAY,
    { podLabels: { 'app.kubernetes.io/name': 'other' } },
    'podLabels contains app.kubernetes.io/name',
  ],
  [
    'a port that the Service does not have',
    RELAY,
    { p2p: { expose: 'LoadBalancer', announce: ['/dns4/relay.example.org/tcp/4002'] } },
    'p2p.announce has no address with the port 4001',
  ],
  [
    'a node port that the Service does not have',
    RELAY,
    { p2p: { expose: 'NodePort', nodePorts: [30_401], announce: ['/ip4/{hostIP}/tcp/30402'] } },
    'p2p.announce has no address with the port 30401',
  ],
  [
    'a disruption budget of RELAY that is rounded up to all pods',
    RELAY,
    { replicaCount: 2, pdb: { minAvailable: '51%' } },
    'pdb.minAvailable (51%) is all of the 2 pods',
  ],
  [
    'a disruption budget of RELAY of three pods that is rounded up to all',
    RELAY,
    { replicaCount: 3, pdb: { minAvailable: '67%' } },
    'pdb.minAvailable (67%) is all of the 3 pods',
  ],
  [
    'two families of addresses in a Service of RELAY with one',
    RELAY,
    { p2p: { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6', 'IPv4'] } },
    'p2p.ipFamilies has two families, but p2p.ipFamilyPolicy is SingleStack',
  ],
  [
    'the PROXY protocol of RELAY without trusted proxies',
    RELAY,
    { config: { RELAY_PROXY_PROTOCOL: true } },
    'config.RELAY_PROXY_PROTOCOL is true, but config.RELAY_TRUSTED_PROXIES is empty',
  ],
];
