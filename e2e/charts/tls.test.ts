// TLS of the tracker: at the Ingress, or in the tracker itself, and the notes about what devices accept.
import { describe, expect, test } from '@jest/globals';
import { mayReceiveToken } from '../../services/shared/loopback.ts';
import {
  environment,
  type KubernetesObject,
  podSpec,
  type Release,
  render,
  sourceOfFile,
  TRACKER,
  UMBRELLA,
  type Values,
  valueAt,
} from '../../testing/charts.ts';

const HOST = 'tracker.example.org';

async function ingress(values: Values): Promise<KubernetesObject> {
  return (await render(TRACKER, { ingress: { host: HOST, ...values } })).only('Ingress');
}

describe('ingress.tls', () => {
  test.each([
    ['letsencrypt', 'cert-manager.io/cluster-issuer'],
    ['ClusterIssuer/letsencrypt', 'cert-manager.io/cluster-issuer'],
    ['Issuer/letsencrypt', 'cert-manager.io/issuer'],
  ])('needs only the issuer %s for a certificate with an ECDSA key', async (issuer, annotation) => {
    const object = await ingress({ tls: { issuer } });
    expect(object.metadata.annotations).toEqual({
      [annotation]: 'letsencrypt',
      'cert-manager.io/private-key-algorithm': 'ECDSA',
      'cert-manager.io/private-key-size': '256',
      'cert-manager.io/private-key-rotation-policy': 'Always',
    });
    expect(valueAt(object, 'spec', 'tls')).toEqual([
      { hosts: [HOST], secretName: 'rustory-tracker-ingress-tls' },
    ]);
  });

  test('uses the names and annotations of the values', async () => {
    const object = await ingress({
      annotations: { 'cert-manager.io/private-key-size': '384' },
      tls: { issuer: 'le', secretName: 'mine' },
    });
    expect(object.metadata.annotations).toMatchObject({ 'cert-manager.io/private-key-size': '384' });
    expect(valueAt(object, 'spec', 'tls')).toEqual([{ hosts: [HOST], secretName: 'mine' }]);
  });

  test('that is off turns off the redirect to https, which rr does not follow', async () => {
    const off = {
      'nginx.ingress.kubernetes.io/ssl-redirect': 'false',
      'nginx.ingress.kubernetes.io/force-ssl-redirect': 'false',
    };
    expect((await ingress({})).metadata.annotations).toEqual(off);
    expect((await ingress({ annotations: { note: 'x' } })).metadata.annotations).toEqual({
      ...off,
      note: 'x',
    });
    expect((await ingress({ tls: { enabled: true } })).metadata.annotations).toBeUndefined();
  });
});

/** The ports of a rule, as the NetworkPolicy has them. */
function ruleFor(policy: KubernetesObject, port: string): unknown {
  const rules = valueAt(policy, 'spec', 'ingress') as readonly unknown[];
  return rules.find((rule) => valueAt(rule, 'ports', 0, 'port') === port);
}

describe('a tracker that serves TLS itself', () => {
  const values = { ingress: { enabled: false }, tls: { existingSecret: 'cert', hosts: [HOST] } };

  test('reads certificate and key from the Secret, and has a second port without TLS', async () => {
    const object = (await render(TRACKER, values)).only('Deployment');
    const variables = environment(object);
    expect(sourceOfFile(object, String(variables['TRACKER_TLS_CERT_FILE']))).toBe('cert/tls.crt');
    expect(sourceOfFile(object, String(variables['TRACKER_TLS_KEY_FILE']))).toBe('cert/tls.key');
    expect(variables['TRACKER_PLAIN_LISTEN']).toBe('[::]:8851');
    expect(valueAt(podSpec(object), 'containers', 0, 'ports')).toContainEqual({
      name: 'plain',
      containerPort: 8851,
    });
  });

  test('listens without TLS on the addresses that config names', async () => {
    const config = { TRACKER_LISTEN: '[::]:8850' };
    expect(environment((await render(TRACKER, { ...values, config })).only('Deployment'))).toMatchObject({
      TRACKER_PLAIN_LISTEN: '[::]:8851',
    });
  });

  test.each([[{}], [{ networkPolicy: { enabled: true, apiFrom: [{ podSelector: {} }] } }]])(
    'opens the port without TLS only to the pods of the release, with %j',
    async (more) => {
      const release = await render(TRACKER, { ...values, ...more });
      expect(ruleFor(release.only('NetworkPolicy'), 'plain')).toEqual({
        ports: [{ port: 'plain' }],
        from: [{ podSelector: { matchLabels: { 'app.kubernetes.io/instance': 'rustory' } } }],
      });
    },
  );

  test('restricts no other port without networkPolicy.enabled', async () => {
    const policy = (await render(TRACKER, values)).only('NetworkPolicy');
    expect(valueAt(policy, 'spec', 'policyTypes')).toEqual(['Ingress']);
    expect(valueAt(policy, 'spec', 'ingress')).toContainEqual({
      ports: [
        { port: 1, endPort: 8850, protocol: 'TCP' },
        { port: 8852, endPort: 65_535, protocol: 'TCP' },
      ],
    });
  });

  test('is tested by `helm test` through the port without TLS', async () => {
    const release = await render(UMBRELLA, { tracker: values });
    const url = new URL(String(environment(release.only('Pod'))['RUSTORY_TRACKERS']));
    expect(url.protocol).toBe('http:');
    const service = release.only('Service', url.hostname.split('.')[0]);
    expect(valueAt(service, 'spec', 'type')).toBe('ClusterIP');
    expect(valueAt(service, 'spec', 'ports')).toEqual([
      { name: 'plain', port: Number(url.port), targetPort: 'plain' },
    ]);
    expect(environment(release.only('Pod'))).toMatchObject({ RUSTORY_TRACKER_TOKEN_OVER_HTTP: 'true' });
  });

  test('gets its certificate from an issuer of cert-manager', async () => {
    const release = await render(TRACKER, {
      ingress: { enabled: false },
      tls: { issuer: 'Issuer/le', hosts: [HOST, 'other.example.org'] },
    });
    const certificate = release.only('Certificate');
    expect(valueAt(certificate, 'spec')).toMatchObject({
      dnsNames: [HOST, 'other.example.org'],
      privateKey: { algorithm: 'ECDSA', size: 256 },
      issuerRef: { group: 'cert-manager.io', kind: 'Issuer', name: 'le' },
    });
    const object = release.only('Deployment');
    expect(sourceOfFile(object, String(environment(object)['TRACKER_TLS_CERT_FILE']))).toBe(
      `${String(valueAt(certificate, 'spec', 'secretName'))}/tls.crt`,
    );
  });

  test('has no port, Service, Certificate or NetworkPolicy for TLS by default', async () => {
    const release = await render(TRACKER);
    expect(release.all('Service')).toHaveLength(1);
    expect(release.all('NetworkPolicy')).toEqual([]);
    expect(release.all('Certificate')).toEqual([]);
    expect(environment(release.only('Deployment'))).not.toHaveProperty('TRACKER_PLAIN_LISTEN');
  });
});

function urlOf({ notes }: Release): string {
  return /trackers = \["([^"]+)"\]/.exec(notes)?.[1] ?? '';
}

describe('the notes', () => {
  test.each<[Values, string]>([
    [{ ingress: { host: HOST, tls: { issuer: 'le' } } }, `https://${HOST}`],
    [{ ingress: { host: HOST, path: '/rr/' } }, `http://${HOST}/rr`],
    [{ ingress: { enabled: false }, tls: { existingSecret: 's', hosts: [HOST] } }, `https://${HOST}:8850`],
    [
      { ingress: { enabled: false }, tls: { existingSecret: 's', hosts: [HOST] }, service: { port: 443 } },
      `https://${HOST}`,
    ],
    [{ ingress: { enabled: false }, tls: { existingSecret: 's' } }, 'https://rustory-tracker.p2p.svc:8850'],
    [{}, 'http://rustory-tracker.p2p.svc:8850'],
  ])('of %j have the URL %s, with a warning if devices send no token there', async (values, url) => {
    const release = await render(TRACKER, values);
    expect(urlOf(release)).toBe(url);
    expect(release.notes.includes(`devices with a token send no request to ${url}.`)).toBe(
      !mayReceiveToken(new URL(url)),
    );
    const open = await render(TRACKER, { ...values, auth: { enabled: false } });
    expect(open.notes).not.toContain('WARNING');
  });

  test.each([
    [{}, 'service/rustory-tracker 8850:8850'],
    [
      { ingress: { enabled: false }, tls: { existingSecret: 's' }, service: { port: 443 } },
      'service/rustory-tracker-plain 8850:443',
    ],
  ])('of %j have the three ways that work with rr 1.x', async (values, forward) => {
    const { notes } = await render(TRACKER, values);
    expect(notes).toContain('1. https with a certificate of a public authority');
    expect(notes).toContain('2. No token, in a private network: auth.enabled=false');
    expect(notes).toContain(`kubectl --namespace p2p port-forward ${forward}`);
    expect(notes).toContain('rr never follows a redirect');
    expect(notes).toContain('within 0.3 seconds');
  });

  test('name the values of the umbrella chart', async () => {
    const { notes } = await render(UMBRELLA);
    for (const value of ['ingress.tls.issuer', 'tls.existingSecret', 'tls.hosts', 'auth.enabled=false'])
      expect(notes).toContain(`tracker.${value}`);
  });
});
