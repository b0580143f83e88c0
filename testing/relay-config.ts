// The configuration of relays in tests: the real defaults on a free loopback port, of which a test can override fields.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { createSwarmKeyFile } from '../services/private-network/key.ts';
import { type RelayConfig, type RelayLimits, readRelayConfig } from '../services/relay/config.ts';

/** Those of the chart, so that the defaults of a test do not depend on the machine. */
export const RESOURCES = {
  memoryBytes: 512 * 1024 ** 2,
  memoryOf: 'container',
  fileDescriptors: undefined,
} as const;

const defaults = await readDefaults();

/** The default swarm key of all relays and peers in a test. */
export const { swarmKey } = defaults;

/** The fields and limits that a test changes. */
export interface RelayOverrides extends Partial<Omit<RelayConfig, 'limits'>> {
  readonly limits?: Partial<RelayLimits>;
}

/** The default configuration with a fresh identity. */
export async function relayConfig({ limits, ...fields }: RelayOverrides = {}): Promise<RelayConfig> {
  const identity = await generateKeyPair('Ed25519');
  return { ...defaults, identity, ...fields, limits: relayLimits(limits) };
}

/** The default limits. */
export function relayLimits(overrides: Partial<RelayLimits> = {}): RelayLimits {
  return { ...defaults.limits, ...overrides };
}

async function readDefaults(): Promise<RelayConfig> {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-relay-'));
  try {
    const [swarmKeyFile, seedFile] = [join(folder, 'swarm.key'), join(folder, 'seed')];
    createSwarmKeyFile(swarmKeyFile);
    writeFileSync(seedFile, randomBytes(32).toString('hex'));
    return await readRelayConfig(
      {
        RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
        RELAY_LOCAL: 'true',
        RELAY_SWARM_KEY_FILE: swarmKeyFile,
        RELAY_IDENTITY_SEED_FILE: seedFile,
        RELAY_OPS_LISTEN: '127.0.0.1:0',
        RUSTORY_POISON_READS: 'true',
        LOG_LEVEL: 'silent',
      },
      RESOURCES,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
