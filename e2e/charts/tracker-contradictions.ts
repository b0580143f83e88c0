// Values of the tracker chart that contradict each other.
import { TRACKER } from '../../testing/charts.ts';
import type { Contradiction } from './contradiction.ts';

const REDIS = { externalRedis: { url: 'redis://r' } };

export const TRACKER_CONTRADICTIONS: readonly Contradiction[] = [
  [
    'a star without tokens',
    TRACKER,
    { auth: { enabled: false }, config: { TRACKER_STAR: true } },
    'config.TRACKER_STAR requires tokens',
  ],
  [
    'the Redis of the umbrella chart in the tracker chart alone',
    TRACKER,
    { bundledRedis: { enabled: true } },
    'bundledRedis.enabled requires the Redis of the chart rustory-p2p',
  ],
  [
    'several trackers without Redis',
    TRACKER,
    { replicaCount: 2 },
    'Set externalRedis.url or externalRedis.existingSecret, or set replicaCount to 1.',
  ],
  [
    'an autoscaler without Redis',
    TRACKER,
    { autoscaling: { enabled: true, minReplicas: 1 } },
    'autoscaling.enabled requires a Redis',
  ],
  [
    'two URLs of Redis',
    TRACKER,
    { externalRedis: { url: 'redis://r', existingSecret: 's' } },
    'externalRedis.url and externalRedis.existingSecret both contain a URL',
  ],
  [
    'a password key without a Secret',
    TRACKER,
    { externalRedis: { url: 'redis://r', passwordKey: 'k' } },
    'externalRedis.passwordKey is set without a Secret',
  ],
  [
    'a password key of the Sentinels without a Secret',
    TRACKER,
    { externalRedis: { url: 'redis+sentinel://s/m', sentinels: { passwordKey: 'k' } } },
    'externalRedis.sentinels.passwordKey is set without a Secret',
  ],
  [
    'a user of the Sentinels without a password',
    TRACKER,
    { externalRedis: { url: 'redis+sentinel://s/m', sentinels: { username: 'watcher' } } },
    'externalRedis.sentinels.username is set without a password',
  ],
  [
    'TLS of Sentinels without an external Redis',
    TRACKER,
    { externalRedis: { sentinels: { tls: false } } },
    'externalRedis.sentinels is set without an external Redis',
  ],
  [
    'a login of Sentinels for a Redis without them',
    TRACKER,
    { externalRedis: { url: 'redis://r', existingSecret: 's', sentinels: { passwordKey: 'k' } } },
    'externalRedis.url has no Sentinels',
  ],
  [
    'a certificate authority without an external Redis',
    TRACKER,
    { externalRedis: { caConfigMap: 'c' } },
    'externalRedis.caConfigMap is set without an external Redis',
  ],
  [
    'tokens as values and in a Secret',
    TRACKER,
    { auth: { tokens: ['a-token-for-the-tests'], existingSecret: 's' } },
    'auth.tokens and auth.existingSecret are both set',
  ],
  [
    'tokens without authentication',
    TRACKER,
    { auth: { enabled: false, existingSecret: 's' } },
    'auth.enabled is false, but tokens are set',
  ],
  ['TLS without a host name', TRACKER, { ingress: { tls: { enabled: true } } }, 'Set ingress.host.'],
  ['an issuer without a host name', TRACKER, { ingress: { tls: { issuer: 'le' } } }, 'Set ingress.host.'],
  [
    'an issuer of an Ingress that does not exist',
    TRACKER,
    { ingress: { enabled: false, tls: { issuer: 'le' } } },
    'ingress.tls.issuer has no effect when ingress.enabled is false. Set tls.issuer',
  ],
  [
    'two issuers',
    TRACKER,
    {
      ingress: {
        host: 'tracker.example.org',
        annotations: { 'cert-manager.io/issuer': 'a' },
        tls: { issuer: 'b' },
      },
    },
    'ingress.tls.issuer and ingress.annotations both name an issuer',
  ],
  [
    'TLS of the tracker behind an Ingress',
    TRACKER,
    { tls: { existingSecret: 's' } },
    'Set ingress.enabled to false, or use ingress.tls instead of tls.',
  ],
  [
    'a certificate in a Secret and from an issuer',
    TRACKER,
    { ingress: { enabled: false }, tls: { existingSecret: 's', issuer: 'le', hosts: ['a.example.org'] } },
    'tls.existingSecret and tls.issuer are both set',
  ],
  [
    'an issuer of the tracker without a host name',
    TRACKER,
    { ingress: { enabled: false }, tls: { issuer: 'le' } },
    'Set tls.hosts.',
  ],
  [
    'host names without a certificate',
    TRACKER,
    { tls: { hosts: ['a.example.org'] } },
    'tls.hosts has no effect without a certificate',
  ],
  [
    'a node port for a ClusterIP Service',
    TRACKER,
    { service: { nodePort: 30_001 } },
    'service.nodePort has no effect when service.type is ClusterIP',
  ],
  [
    'a maximum below the minimum of the autoscaler',
    TRACKER,
    { ...REDIS, autoscaling: { enabled: true, minReplicas: 9 } },
    'autoscaling.maxReplicas (6) is less than autoscaling.minReplicas (9)',
  ],
  [
    'an autoscaler without a target',
    TRACKER,
    { ...REDIS, autoscaling: { enabled: true, targetCPUUtilizationPercentage: 0 } },
    'autoscaling.enabled requires a target',
  ],
  [
    'an autoscaler without a resource request',
    TRACKER,
    { ...REDIS, autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
    'Set resources.requests.cpu.',
  ],
  [
    'two disruption budgets of the tracker',
    TRACKER,
    { pdb: { minAvailable: 1, maxUnavailable: 1 } },
    'pdb.minAvailable and pdb.maxUnavailable are both set',
  ],
  [
    'a disruption budget of all pods of TRACKER',
    TRACKER,
    { ...REDIS, replicaCount: 2, pdb: { minAvailable: 2 } },
    'pdb.minAvailable (2) is all of the 2 pods',
  ],
  [
    'a disruption budget of 100 % of TRACKER',
    TRACKER,
    { ...REDIS, replicaCount: 2, pdb: { minAvailable: '100%' } },
    'pdb.minAvailable (100%) is all of the 2 pods',
  ],
  [
    'a label of the selector of TRACKER',
    TRACKER,
    { podLabels: { 'app.kubernetes.io/name': 'other' } },
    'podLabels contains app.kubernetes.io/name',
  ],
  [
    'a disruption budget of TRACKER that is rounded up to all pods',
    TRACKER,
    { ...REDIS, replicaCount: 2, pdb: { minAvailable: '51%' } },
    'pdb.minAvailable (51%) is all of the 2 pods',
  ],
  [
    'a disruption budget of TRACKER of three pods that is rounded up to all',
    TRACKER,
    { ...REDIS, replicaCount: 3, pdb: { minAvailable: '67%' } },
    'pdb.minAvailable (67%) is all of the 3 pods',
  ],
  [
    'two families of addresses in a Service of TRACKER with one',
    TRACKER,
    { service: { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6', 'IPv4'] } },
    'service.ipFamilies has two families, but service.ipFamilyPolicy is SingleStack',
  ],
  [
    'a password as a value and in a Secret',
    TRACKER,
    { bundledRedis: { password: 'p', existingSecret: 's' } },
    'bundledRedis.password and bundledRedis.existingSecret are both set',
  ],
  [
    'the PROXY protocol of TRACKER without trusted proxies',
    TRACKER,
    { config: { TRACKER_PROXY_PROTOCOL: true } },
    'config.TRACKER_PROXY_PROTOCOL is true, but config.TRACKER_TRUSTED_PROXIES is empty',
  ],
];
