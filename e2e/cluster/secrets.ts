// Scenario `secrets`: what upgrades, rollbacks and a deleted Secret do to the generated Secrets and to the pods.
import type { Checks } from '../../testing/checks.ts';
import { UMBRELLA } from './cases.ts';
import { createNamespace, type Namespace, RELEASE } from './kubernetes.ts';
import type { Options } from './options.ts';

const SWARM_KEY = `${RELEASE}-relay-swarm-key`;
const TOKENS = `${RELEASE}-tracker-tokens`;

export async function checkSecrets(checks: Checks, { values }: Options): Promise<void> {
  const namespace = await createNamespace('rustory-secrets');
  const upgrade = async (...set: string[]): Promise<void> => namespace.upgrade(UMBRELLA, values, set);
  try {
    let before = '';
    await checks.check('an upgrade that changes nothing restarts nothing and keeps all Secrets', async () => {
      await namespace.install(UMBRELLA, values);
      before = `${await podsOf(namespace)} ${await dataOf(namespace)}`;
      await upgrade();
      await upgrade();
      if (`${await podsOf(namespace)} ${await dataOf(namespace)}` !== before)
        throw new Error('A pod was replaced, or a Secret has changed.');
    });
    await checks.check('the release does not contain the generated Secrets', async () => {
      const manifest = await namespace.helm('get', 'manifest', RELEASE);
      if (/^kind: Secret$/m.test(manifest)) throw new Error('The manifest contains a Secret.');
    });
    await checks.check('a rollback changes no Secret, also one that its operator has changed', async () => {
      await namespace.secret(TOKENS, { token: 'a-rotated-token' });
      const rotated = await dataOf(namespace);
      await namespace.helm('rollback', RELEASE, '1', '--wait', '--timeout=4m');
      if ((await dataOf(namespace)) !== rotated) throw new Error('The rollback has changed a Secret.');
    });
    await checks.check('a deleted swarm key is generated again and restarts only the relays', async () => {
      const pods = { tracker: await podsOf(namespace, 'tracker'), relay: await podsOf(namespace, 'relay') };
      await namespace.kubectl('delete', 'secret', SWARM_KEY);
      await upgrade();
      if ((await podsOf(namespace, 'tracker')) !== pods.tracker) throw new Error('A tracker was replaced.');
      if ((await podsOf(namespace, 'relay')) === pods.relay) throw new Error('The relay was not replaced.');
    });
    await checks.check('the same swarm key as a value restarts nothing', async () => {
      const pods = await podsOf(namespace);
      const digits = (await namespace.readSecret(SWARM_KEY, 'swarm.key')).trim().split('\n').at(-1) ?? '';
      await upgrade(`relay.swarmKey.value=${digits}`);
      if ((await podsOf(namespace)) !== pods) throw new Error('A pod was replaced.');
    });
  } finally {
    await namespace.remove();
  }
}

/** The ids of the pods. */
async function podsOf(namespace: Namespace, component?: string): Promise<string> {
  const selector = component === undefined ? undefined : `app.kubernetes.io/name=${component}`;
  const pods = await namespace.list('pods', selector);
  return pods
    .map(({ metadata }) => (metadata as unknown as { uid: string }).uid)
    .toSorted()
    .join();
}

/** The contents of the generated Secrets. */
async function dataOf(namespace: Namespace): Promise<string> {
  const secrets = await namespace.list('secrets', 'app.kubernetes.io/part-of=rustory-p2p');
  return JSON.stringify(secrets.map(({ metadata, data }) => [metadata.name, data]));
}
