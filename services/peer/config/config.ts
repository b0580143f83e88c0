// Reads the peer's configuration: flags over environment over config.toml over defaults, and remembers where each
// value came from. The only file of the peer that looks at the environment.
import { existsSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { parse as parseToml, TomlError } from 'smol-toml';
import type { Variable } from '../../shared/variables.ts';
import { ConfigError, describeError, errorCode } from '../../shared/errors.ts';
import {
  createSettings,
  expandHome,
  type SettingName,
  type Settings,
  type Surroundings,
} from './settings.ts';

/** Largest config.toml, in bytes; a full one has about 2 KiB. */
const MAX_FILE_BYTES = 256 * 1024;

/** Longest text of one setting, in characters. */
const MAX_TEXT_LENGTH = 8192;

/**
 * What `rr` alone has, in the same file and as `RUSTORY_…` variables (its hook exports one in every shell): it means
 * nothing to this peer, and is no reason to warn.
 */
const NAMES_OF_RR =
  /^(search_limit(_default)?|relay_identity_key_path|require_device_membership|allow_remote_retirement|hook_\w+|p2p_log|(async_upload|auto_prune|auto_tombstone_gc)(_\w+)?)$/;

/** What the name of every variable begins with. */
const PREFIX = 'RUSTORY_';

export type Origin = 'flag' | 'environment' | 'file' | 'default';

/** One setting as help texts, flags and `doctor` name it. */
export interface SettingInfo {
  readonly name: SettingName;
  /** The key in config.toml, such as `db_path`. */
  readonly key: string;
  /** The environment variable, such as `RUSTORY_DB_PATH`. */
  readonly variable: string;
  /** The flag without its dashes, such as `db-path`; a secret has none, because arguments can be read by all. */
  readonly flag: string | undefined;
  readonly doc: string;
  readonly fallback: string | undefined;
  readonly secret: boolean;
}

export interface Config {
  readonly settings: Settings;
  readonly origins: Readonly<Record<SettingName, Origin>>;
  readonly path: string;
  /** What `~` stands for. */
  readonly home: string;
  /** What the file has besides our settings: what `rr` alone has, and typing errors. */
  readonly others: Readonly<Record<string, unknown>>;
  /** False where there is no such file, which is fine. */
  readonly fileExists: boolean;
  /** Typing errors that did no harm: keys and variables that nobody knows. */
  readonly warnings: readonly string[];
}

export interface ConfigSources {
  /** The texts of flags, by setting. */
  readonly flags?: Partial<Record<SettingName, string>>;
  /** The path that `--config` gave. */
  readonly path?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv;
}

/** All settings with their names, in the order of the table. */
export function describeSettings(environment: NodeJS.ProcessEnv = process.env): SettingInfo[] {
  return Object.entries<Variable<unknown>>(createSettings(surroundingsOf(environment))).map(
    ([name, rule]) => {
      const key = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      return {
        name: name as SettingName,
        key,
        variable: name === 'logLevel' ? 'LOG_LEVEL' : `${PREFIX}${key.toUpperCase()}`,
        flag: rule.isSecret === true ? undefined : key.replaceAll('_', '-'),
        doc: rule.doc,
        fallback: rule.fallback,
        secret: rule.isSecret === true,
      };
    },
  );
}

/** Whether colours are wanted at all: https://no-color.org */
export function wantsColour(environment: NodeJS.ProcessEnv = process.env): boolean {
  return (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
}

/**
 * Reads the whole configuration.
 *
 * @throws ConfigError with all problems at once, each naming its flag, variable or key; a malformed file is named
 * with line and column.
 */
export function loadConfig({ flags = {}, path: given, environment = process.env }: ConfigSources): Config {
  const standard = surroundingsOf(environment);
  const named = given ?? (environment['RUSTORY_CONFIG']?.trim() || join(standard.config, 'config.toml'));
  const path = expandHome(named, standard.home);
  const file = readFile(path);
  const infos = describeSettings(environment);
  // Keys without a path of their own stand beside the file in use.
  const rules: Record<string, Variable<unknown>> = createSettings({
    ...standard,
    config: dirname(path),
  });

  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  const problems: string[] = [];
  for (const { name, key, variable, flag, secret } of infos) {
    const candidates: ReadonlyArray<readonly [Origin, string, unknown]> = [
      ['flag', `--${flag}`, flags[name]],
      ['environment', variable, environment[variable]],
      ['file', `${key} in ${path}`, file.table[key]],
      ['default', `the default of ${key}`, rules[name]?.fallback],
    ];
    const [origin = 'default', label, value] = candidates.find((one) => isGiven(one[2])) ?? [];
    origins[name] = origin;
    if (value === undefined) continue;
    try {
      values[name] = rules[name]?.parse(textOf(value));
    } catch (error) {
      const shown = secret ? '' : `, got ${JSON.stringify(value).slice(0, 100)}`;
      problems.push(`${label} ${describeError(error)}${shown}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const ours = new Set(infos.map(({ key }) => key));
  const others = Object.fromEntries(Object.entries(file.table).filter(([key]) => !ours.has(key)));
  return {
    settings: values as Settings,
    origins: origins as Config['origins'],
    path,
    home: standard.home,
    others,
    fileExists: file.exists,
    warnings: findUnknown(others, environment, infos, path),
  };
}

/** Whose program this is, and where `rr` keeps its configuration; a directory of XDG counts where somebody has made it. */
function surroundingsOf(environment: NodeJS.ProcessEnv): Surroundings {
  const home = environment['HOME'] || homedir();
  const xdg = environment['XDG_CONFIG_HOME'] ?? '';
  const ofXdg = join(xdg, 'rustory');
  const config = isAbsolute(xdg) && existsSync(ofXdg) ? ofXdg : join(home, '.config', 'rustory');
  return { home, user: environment['USER'] || loginName(), config };
}

/** For where the environment does not tell, as `rr` does it first. A container's user may have no name at all. */
function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'unknown';
  }
}

function readFile(path: string): { readonly table: Record<string, unknown>; readonly exists: boolean } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { table: {}, exists: false };
    throw new ConfigError([`${path} cannot be read: ${describeError(error)}`]);
  }
  if (text.length > MAX_FILE_BYTES) throw new ConfigError([`${path} is larger than ${MAX_FILE_BYTES} bytes`]);
  try {
    return { table: parseToml(text), exists: true };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Only the first line: the library goes on with the lines around it, which may hold the token.
    const [reason = ''] = error.message.replace('Invalid TOML document: ', '').split('\n', 1);
    throw new ConfigError([`${path}:${error.line}:${error.column}: ${reason}`]);
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && (typeof value !== 'string' || value.trim() !== '');
}

/** Every origin is read by the same rule, so a value of the file becomes the text that a variable would have. */
function textOf(value: unknown): string {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  const texts = items.map((item) => {
    if (typeof item === 'string') return item.trim();
    if (typeof item === 'number' || typeof item === 'boolean') return String(item);
    throw new Error('must be text, a number or a list of texts');
  });
  const text = texts.join(',');
  if (text.length > MAX_TEXT_LENGTH) throw new Error(`is longer than ${MAX_TEXT_LENGTH} characters`);
  return text;
}

function findUnknown(
  others: Record<string, unknown>,
  environment: NodeJS.ProcessEnv,
  infos: readonly SettingInfo[],
  path: string,
): string[] {
  const variables = new Set(['RUSTORY_CONFIG', ...infos.map(({ variable }) => variable)]);
  const unknownKeys = Object.keys(others).filter((key) => !NAMES_OF_RR.test(key));
  const unknownVariables = Object.keys(environment).filter(
    (name) =>
      name.startsWith(PREFIX) &&
      !variables.has(name) &&
      !NAMES_OF_RR.test(name.slice(PREFIX.length).toLowerCase()),
  );
  return [
    ...unknownKeys.map((key) => `${path}: the key ${JSON.stringify(key)} is not known and has no effect`),
    ...unknownVariables.map((name) => `the environment variable ${name} is not known and has no effect`),
  ];
}
