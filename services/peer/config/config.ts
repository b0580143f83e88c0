// Reads the peer's configuration: flags over environment over config.toml over defaults. The only file of the peer
// that reads the environment.
import { dirname, join } from 'node:path';
import { parseBounded } from '../../shared/env.ts';
import { ConfigError, describeError } from '../../shared/errors.ts';
import type { ListenAddress, Variable } from '../../shared/variables.ts';
import { type ConfigFile, readConfigFile, toSettingText } from './config-file.ts';
import { readShellVariables, type ShellVariables } from './shell-variables.ts';
import { readTokenFile } from './hub-settings.ts';
import { createSettings, expandHome, parseToken, type SettingName, type Settings } from './settings.ts';
import { readUserEnvironment } from './user-environment.ts';
import { findWarnings } from './warnings.ts';

export const PROGRAM = {
  name: 'rustory-peer',
  purpose: 'keeps the shell history of your devices in sync, peer to peer.',
} as const;

/** Prefix of every variable except `LOG_LEVEL`. */
const PREFIX = 'RUSTORY_';

/** The variable that names the configuration file. */
const FILE_VARIABLE = 'RUSTORY_CONFIG';

/** The source of a value. */
export type Origin = 'flag' | 'environment' | 'file' | 'default';

/** One setting, with its names on the command line, in the environment and in config.toml. */
export interface Setting {
  readonly name: SettingName;
  /** The key in config.toml, such as `db_path`. */
  readonly key: string;
  /** The environment variable, such as `RUSTORY_DB_PATH`. */
  readonly variable: string;
  /** The flag without its dashes, such as `db-path`. A secret has none, because other users can read arguments. */
  readonly flag: string | undefined;
  readonly doc: string;
  readonly fallback: string | undefined;
  readonly isSecret: boolean;
}

/** One setting with its value, for `doctor` and for writing config.toml. */
export interface SettingReading extends Setting {
  readonly value: Settings[SettingName];
  readonly origin: Origin;
}

export interface PeerConfig {
  readonly databasePath: string;
  /** User that this history belongs to. */
  readonly userId: string;
  /** Name of this device in the entries that it records. */
  readonly deviceId: string;
  /** URLs of trackers. */
  readonly trackers: readonly string[];
  readonly trackerToken: string | undefined;
  /** The file that `trackerToken` was read from; `undefined` when it is a setting. */
  readonly trackerTokenPath: string | undefined;
  /** Whether the token is also sent over http:// to another machine. */
  readonly trackerTokenOverHttp: boolean;
  /** Multiaddrs of relays, the preferred one first. */
  readonly relays: readonly string[];
  readonly swarmKeyPath: string;
  readonly identityPath: string;
  /** Multiaddrs to listen on. Empty: no direct connections. */
  readonly listen: readonly string[];
  /** Which devices may pull from this one; `undefined` when it is not configured. */
  readonly serveTo: Settings['serveTo'];
  /** The only peers that may pull from this one; `undefined` when it is not limited. */
  readonly allowedPeers: ReadonlySet<string> | undefined;
  readonly dialStrategy: Settings['dialStrategy'];
  /** When a request is retried, and when a pull fails. */
  readonly retry: {
    /** Maximum attempts without progress. */
    readonly attempts: number;
    /** Idle timeout of the first attempt. It doubles with each attempt, up to `timeoutCapMs`. */
    readonly timeoutBaseMs: number;
    readonly timeoutCapMs: number;
    /** Pause after the first failed attempt. It doubles with each attempt. */
    readonly backoffBaseMs: number;
  };
  readonly watchStartJitterSeconds: number;
  /** Commands that match are neither recorded nor imported. */
  readonly ignoredCommands: RegExp | undefined;
  readonly hub: HubValues;
  /** Whether received bytes are overwritten as soon as they are processed. */
  readonly poisonReads: boolean;
  readonly logLevel: string;
  /** The home directory, which `~` is replaced by. */
  readonly home: string;
  readonly shellVariables: ShellVariables;
  readonly file: PeerConfigFile;
  /** Every setting in the order of the table. */
  readonly settings: readonly SettingReading[];
  /** Whole sentences about settings without effect. */
  readonly warnings: readonly string[];
}

/** The configuration file in use. */
export interface PeerConfigFile {
  readonly path: string;
  /** Whether the file exists. A missing file is not a problem. */
  readonly exists: boolean;
  /** Keys that are not settings of this peer: keys of `rr`, and typing errors. */
  readonly otherKeys: Readonly<Record<string, unknown>>;
}

/** The settings that only the hub uses. */
export interface HubValues {
  readonly secretPath: string | undefined;
  /** Multiaddrs at which devices reach the hub directly. */
  readonly announced: readonly string[];
  /** Multiaddrs of relays without their peer ids. */
  readonly internalRelays: readonly string[];
  readonly intervalSeconds: number;
  readonly opsListen: ListenAddress;
  readonly maxDatabaseBytes: number | undefined;
  readonly minFreeBytes: number;
}

export interface ConfigSources {
  /** The texts of flags, by setting. */
  readonly flags?: Partial<Record<SettingName, string>>;
  /** The path given with `--config`. */
  readonly path?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
  /** Further checks of one command: returns whole sentences about what is wrong. */
  readonly check?: ((settings: readonly SettingReading[]) => readonly string[]) | undefined;
}

/** All settings, in the order of the table. */
export function listSettings(environment: NodeJS.ProcessEnv = process.env): Setting[] {
  return toSettings(createSettings(readUserEnvironment(environment)));
}

/** The table of all settings, by environment variable. */
export function listVariables(): Record<string, Variable<unknown>> {
  const table = createSettings(readUserEnvironment({}));
  return Object.fromEntries(toSettings(table).map(({ name, variable }) => [variable, table[name]]));
}

/** Whether the environment allows colors: https://no-color.org */
export function wantsColor(environment: NodeJS.ProcessEnv = process.env): boolean {
  return (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
}

/**
 * Reads the whole configuration.
 *
 * @throws ConfigError with all problems at once. Each is a sentence that begins with its flag, variable or key.
 */
export function readPeerConfig({
  flags = {},
  path,
  environment = process.env,
  check = () => [],
}: ConfigSources): PeerConfig {
  const userEnvironment = readUserEnvironment(environment);
  const { home } = userEnvironment;
  const defaultPath = environment[FILE_VARIABLE]?.trim() || join(userEnvironment.config, 'config.toml');
  const filePath = expandHome(path ?? defaultPath, home);
  const problems: string[] = [];
  const file = readConfigFile(filePath, problems);
  // By default, the keys are in the directory of the configuration file.
  const table = createSettings({ ...userEnvironment, config: dirname(filePath) });
  const settings = toSettings(table).map((setting) =>
    readSetting(setting, table[setting.name], { flags, environment, file, problems }),
  );
  const values = Object.fromEntries(settings.map(({ name, value }) => [name, value])) as Settings;
  const trackerToken = readToken(values, problems);
  problems.push(...check(settings));
  if (problems.length > 0) throw new ConfigError(problems);
  const ownKeys = new Set(settings.map(({ key }) => key));
  const otherKeys = Object.fromEntries(Object.entries(file.table).filter(([key]) => !ownKeys.has(key)));
  return {
    ...toDomain(values),
    trackerToken,
    home,
    shellVariables: readShellVariables(home, environment),
    file: { path: filePath, exists: file.exists, otherKeys },
    settings,
    warnings: findWarnings(values, {
      program: PROGRAM.name,
      otherKeys: Object.keys(otherKeys),
      path: filePath,
      variables: Object.keys(environment).filter((name) => name.startsWith(PREFIX)),
      known: new Set([FILE_VARIABLE, ...settings.map(({ variable }) => variable)]),
    }),
  };
}

function toSettings(table: Readonly<Record<SettingName, Variable<unknown>>>): Setting[] {
  return Object.entries(table).map(([name, { doc, fallback, isSecret = false }]) => {
    const key = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return {
      name: name as SettingName,
      key,
      variable: name === 'logLevel' ? 'LOG_LEVEL' : `${PREFIX}${key.toUpperCase()}`,
      flag: isSecret ? undefined : key.replaceAll('_', '-'),
      doc,
      fallback,
      isSecret,
    };
  });
}

interface SettingSources {
  readonly flags: Partial<Record<SettingName, string>>;
  readonly environment: NodeJS.ProcessEnv;
  readonly file: ConfigFile;
  readonly problems: string[];
}

/** Reads a setting from the first source that has a value. A problem is added with the name in that source. */
function readSetting(
  setting: Setting,
  { parse }: Variable<unknown>,
  { flags, environment, file, problems }: SettingSources,
): SettingReading {
  const { name, key, variable, flag, fallback } = setting;
  const candidates: ReadonlyArray<readonly [Origin, label: string, unknown]> = [
    ['flag', `--${flag}`, flags[name]],
    ['environment', variable, environment[variable]],
    ['file', `${file.path}: ${key}`, file.table[key]],
  ];
  const [origin, label, given] = candidates.find(([, , value]) => isGiven(value)) ?? [
    'default',
    key,
    fallback,
  ];
  let value: unknown;
  try {
    if (given !== undefined) value = parseBounded(toSettingText(given), parse);
  } catch (error) {
    problems.push(`${label}: ${describeError(error)}.`);
  }
  return { ...setting, value: value as Settings[SettingName], origin };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && (typeof value !== 'string' || value.trim() !== '');
}

/** The token in the settings or in its file; a problem is added when it cannot be read, or both are given. */
function readToken(
  { trackerToken, trackerTokenPath }: Partial<Settings>,
  problems: string[],
): string | undefined {
  if (trackerTokenPath === undefined) return trackerToken;
  if (trackerToken !== undefined) {
    problems.push('tracker_token, tracker_token_path: Set only one of them.');
    return undefined;
  }
  try {
    return readTokenFile(trackerTokenPath, parseToken);
  } catch (error) {
    problems.push(`tracker_token_path: ${describeError(error)}.`);
    return undefined;
  }
}

function toDomain(values: Settings) {
  return {
    databasePath: values.dbPath,
    userId: values.userId,
    deviceId: values.deviceId,
    trackers: values.trackers ?? [],
    trackerTokenPath: values.trackerTokenPath,
    trackerTokenOverHttp: values.trackerTokenOverHttp,
    relays: values.relayAddr ?? [],
    swarmKeyPath: values.swarmKeyPath,
    identityPath: values.p2pIdentityKeyPath,
    listen: values.listen,
    serveTo: values.serveTo,
    allowedPeers: values.allowedPeers && new Set(values.allowedPeers),
    dialStrategy: values.dialStrategy,
    retry: {
      attempts: values.p2pRequestAttempts,
      timeoutBaseMs: values.p2pRequestTimeoutBaseSec * 1000,
      timeoutCapMs: values.p2pRequestTimeoutCapSec * 1000,
      backoffBaseMs: values.p2pRequestBackoffBaseMs,
    },
    watchStartJitterSeconds: values.p2pWatchStartJitterSec,
    ignoredCommands: values.recordIgnoreRegex,
    hub: {
      secretPath: values.hubSecretPath,
      announced: values.announceAddrs ?? [],
      internalRelays: values.internalRelayAddrs ?? [],
      intervalSeconds: values.hubIntervalSec,
      opsListen: { host: values.opsHost, port: values.opsPort },
      maxDatabaseBytes: values.maxDatabaseBytes,
      minFreeBytes: values.minFreeBytes,
    },
    poisonReads: values.poisonReads,
    logLevel: values.logLevel,
  };
}
