// Values of releases with hubs, and how their objects are read.
import { type KubernetesObject, type Release, render, UMBRELLA } from '../../testing/charts.ts';

/** Ids that no name of Kubernetes, no environment variable and no list can contain unchanged. */
export const IDS = [
  'ada',
  'Grace Hopper <grace@example.org>',
  'a,b="c"\\d',
  '$(HOME) $$ 100%',
  'пользователь+1',
];
export const USERS = IDS.map((userId, index) => ({ name: `user-${index}`, userId }));
export const ADA = { enabled: true, users: [{ name: 'ada', userId: 'ada' }] };

export const umbrella = async (hub: object, more: object = {}): Promise<Release> =>
  render(UMBRELLA, { hub: { ...ADA, ...hub }, ...more });

// A render of the umbrella takes a second of CPU time, so one serves several tests.
const ANY_NAMESPACE = [{ namespaceSelector: {} }];
/** With all NetworkPolicies, and two relays. */
export const withPolicies = async (): Promise<Release> =>
  umbrella(
    { serveTo: 'anyone', networkPolicy: { enabled: true } },
    {
      tracker: { networkPolicy: { enabled: true, apiFrom: ANY_NAMESPACE } },
      relay: { replicaCount: 2, networkPolicy: { enabled: true, p2pFrom: ANY_NAMESPACE } },
    },
  );
/** A star whose hubs are dialed directly. */
export const directStar = async (): Promise<Release> =>
  umbrella({
    star: true,
    users: [
      { name: 'ada', userId: 'ada', loadBalancerIP: '203.0.113.7' },
      { name: 'bob', userId: 'bob', announce: ['/ip4/203.0.113.9/tcp/4002'] },
    ],
    announce: ['/ip4/{loadBalancerIP}/tcp/4002'],
    service: { type: 'LoadBalancer' },
  });
export const ofAllUsers = async (): Promise<Release> => umbrella({ users: USERS });

/** The text of a variable as the process sees it: Kubernetes replaces a double dollar sign. */
export const seenByProcess = (value: unknown): string => String(value).replaceAll('$$', '$');

export const hubOf = (release: Release, name = 'rustory-hub-ada'): KubernetesObject =>
  release.only('StatefulSet', name);
