// The configuration of the hub: what it requires in addition to that of a device, and its own defaults.
import { statSync } from 'node:fs';
import { readSwarmKey } from '../../private-network/key.ts';
import { describeError } from '../../shared/errors.ts';
import type { PeerConfig, SettingReading } from '../config/config.ts';
import type { SettingName } from '../config/settings.ts';
import { readHubSecret } from './identity.ts';

/** Default device id. It must differ from those of all other devices of the user, which `rr` would skip. */
const DEFAULT_DEVICE_ID = 'hub';

/** Default listen address; `announce_addrs` and port mappings need a port that stays the same. */
const DEFAULT_LISTEN = '/ip4/0.0.0.0/tcp/4002';

/** Permissions of users who are neither the owner nor in the group, which a Secret in a pod is mounted with. */
const WORLD = 0o007;

/** Everything that is wrong with the settings for a hub, as whole sentences. */
export function checkHubSettings(settings: readonly SettingReading[]): string[] {
  const find = (name: SettingName): SettingReading | undefined =>
    settings.find((setting) => setting.name === name);
  const problems: string[] = [];
  if (find('userId')?.origin === 'default')
    problems.push(
      'user_id: The user of the hub is not configured; set RUSTORY_USER_ID, --user-id or user_id in config.toml to the user_id of the devices. The login name is not used, because a hub often runs as another user.',
    );
  const secret = find('hubSecretPath');
  if (typeof secret?.value === 'string') readOrReport(() => readHubSecret(String(secret.value)));
  else if (secret?.origin === 'default')
    problems.push(
      'hub_secret_path: The secret of the hub is not configured; create one with "openssl rand -hex 32", and set RUSTORY_HUB_SECRET_PATH, --hub-secret-path or hub_secret_path to its file.',
    );
  const swarmKey = find('swarmKeyPath')?.value;
  if (typeof swarmKey === 'string') readOrReport(() => readSwarmKey(swarmKey), 'swarm_key_path');
  return problems;

  function readOrReport(read: () => unknown, key = 'hub_secret_path'): void {
    try {
      read();
    } catch (error) {
      problems.push(`${key}: ${describeError(error)}.`);
    }
  }
}

/** The configuration with the defaults of the hub. */
export function withHubDefaults(config: PeerConfig): PeerConfig {
  const defaults = { deviceId: DEFAULT_DEVICE_ID, listen: [DEFAULT_LISTEN] };
  const isDefault = (name: SettingName): boolean =>
    config.settings.some((setting) => setting.name === name && setting.origin === 'default');
  return {
    ...config,
    deviceId: isDefault('deviceId') ? defaults.deviceId : config.deviceId,
    listen: isDefault('listen') ? defaults.listen : config.listen,
    settings: config.settings.map((setting) =>
      setting.origin === 'default' && (setting.name === 'deviceId' || setting.name === 'listen')
        ? { ...setting, value: defaults[setting.name] }
        : setting,
    ),
  };
}

/** Whole sentences about what a hub can start with, but will not work as its operator expects. */
export function hubWarnings({ hub, trackers, relays }: PeerConfig): string[] {
  return [
    ...(trackers.length === 0
      ? [
          'trackers: Without a tracker no device finds the hub, and the hub finds no device; set trackers to the URLs that the devices use.',
        ]
      : []),
    ...(relays.length + hub.internalRelays.length === 0 && hub.announced.length === 0
      ? [
          'relay_addr, announce_addrs: Without one of them the hub has no address and is not registered, so that no device finds it; set relay_addr to the relays that the devices use.',
        ]
      : []),
    ...(hub.secretPath !== undefined && isReadableByAll(hub.secretPath)
      ? [
          `hub_secret_path: Every user of this machine can read ${hub.secretPath} and pretend to be the hub; run: chmod 600 ${hub.secretPath}.`,
        ]
      : []),
  ];
}

function isReadableByAll(path: string): boolean {
  return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & WORLD) !== 0;
}
