// Reads the peer's configuration: flags over environment over config.toml over defaults. The only file of the peer
// that reads the environment.
import { existsSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { parseBounded } from '../../shared/env.ts';
import { ConfigError, describeError } from '../../shared/errors.ts';
import type { Variable } from '../../shared/variables.ts';
import { type ConfigFile, readConfigFile, toSettingText } from './config-file.ts';
import { readShellVariables, type ShellVariables } from './shell-variables.ts';
import {
  createSettings,
  expandHome,
  type SettingName,
  type Settings,
  type UserEnvironment,
} from './settings.ts';

export const PROGRAM = {
  name: 'rustory-peer',
  purpose: 'keeps the shell history of your devices in sync, peer to peer.',
} as const;

/** Prefix of every variable except `LOG_LEVEL`. */
const PREFIX = 'RUSTORY_';

/** The variable that names the configuration file. */
const FILE_VARIABLE = 'RUSTORY_CONFIG';

/**
 * Keys of config.toml, and in upper case variables, that only `rr` has. They have no effect on this peer and cause no
 * warning, because both programs share the file and the hook of `rr` exports variables in every shell.
 */
const KEYS_OF_RR =
  /^(search_limit(_default)?|relay_identity_key_path|require_device_membership|allow_remote_retirement|hook_\w+|p2p_log|(async_upload|auto_prune|auto_tombstone_gc)(_\w+)?)$/;

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

export interface ConfigSources {
  /** The texts of flags, by setting. */
  readonly flags?: Partial<Record<SettingName, string>>;
  /** The path given with `--config`. */
  readonly path?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
}

/** All settings, in the order of the table. */
export function listSettings(environment: NodeJS.ProcessEnv = process.env): Setting[] {
  return toSettings(createSettings(userEnvironmentOf(environment)));
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
export function readPeerConfig({ flags = {}, path, environment = process.env }: ConfigSources): PeerConfig {
  const userEnvironment = userEnvironmentOf(environment);
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
  if (problems.length > 0) throw new ConfigError(problems);
  const values = Object.fromEntries(settings.map(({ name, value }) => [name, value])) as Settings;
  const ownKeys = new Set(settings.map(({ key }) => key));
  const otherKeys = Object.fromEntries(Object.entries(file.table).filter(([key]) => !ownKeys.has(key)));
  return {
    ...toDomain(values),
    home,
    shellVariables: readShellVariables(home, environment),
    file: { path: filePath, exists: file.exists, otherKeys },
    settings,
    warnings: [
      ...timeoutWarnings(values),
      ...unknownKeyWarnings(otherKeys, filePath),
      ...unknownVariableWarnings(environment, settings),
    ],
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

function toDomain(values: Settings) {
  return {
    databasePath: values.dbPath,
    userId: values.userId,
    deviceId: values.deviceId,
    trackers: values.trackers ?? [],
    trackerToken: values.trackerToken,
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
    logLevel: values.logLevel,
  };
}

/**
 * The user and the configuration directory. The XDG directory is used only if it exists, because `rr` uses ~/.config.
 */
function userEnvironmentOf(environment: NodeJS.ProcessEnv): UserEnvironment {
  const home = environment['HOME'] || homedir();
  const xdg = environment['XDG_CONFIG_HOME'] ?? '';
  const xdgConfig = join(xdg, 'rustory');
  const config = isAbsolute(xdg) && existsSync(xdgConfig) ? xdgConfig : join(home, '.config', 'rustory');
  return { home, user: environment['USER'] || loginName(), config };
}

/** The login name. The user of a container may have none. */
function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}

function timeoutWarnings({
  p2pRequestTimeoutBaseSec: base,
  p2pRequestTimeoutCapSec: cap,
}: Settings): string[] {
  if (base <= cap) return [];
  return [
    `p2p_request_timeout_base_sec: ${base} seconds is above p2p_request_timeout_cap_sec, so that every attempt waits ${cap} seconds.`,
  ];
}

function unknownKeyWarnings(otherKeys: Record<string, unknown>, path: string): string[] {
  return Object.keys(otherKeys)
    .filter((key) => !KEYS_OF_RR.test(key))
    .map(
      (key) =>
        `${path}: ${JSON.stringify(key)} is not a known key and has no effect; ${PROGRAM.name} settings --help lists the keys.`,
    );
}

function unknownVariableWarnings(environment: NodeJS.ProcessEnv, settings: readonly Setting[]): string[] {
  const known = new Set([FILE_VARIABLE, ...settings.map(({ variable }) => variable)]);
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && !known.has(name))
    .filter((name) => !KEYS_OF_RR.test(name.slice(PREFIX.length).toLowerCase()))
    .map(
      (name) =>
        `${name} is not a known variable and has no effect; ${PROGRAM.name} settings --help lists the variables.`,
    );
}
