// The user and the directories that defaults and `~` depend on.
import { existsSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

export interface UserEnvironment {
  readonly home: string;
  /** The login name. */
  readonly user: string;
  /** The directory of config.toml and the keys. */
  readonly config: string;
}

/**
 * The user and the configuration directory. The XDG directory is used only if it exists, because `rr` uses ~/.config.
 */
export function readUserEnvironment(environment: NodeJS.ProcessEnv): UserEnvironment {
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
