// The variables by which shells find their history files.

export interface ShellVariables {
  readonly home: string;
  /** Path of the login shell. */
  readonly shell: string;
  /** `undefined` when it is not set; when it is empty, bash and zsh write no file. */
  readonly histfile: string | undefined;
  readonly zdotdir: string;
  readonly xdgDataHome: string;
  /** Name of the session of fish; when it is empty, fish writes no file. */
  readonly fishHistory: string | undefined;
}

export function readShellVariables(home: string, environment: NodeJS.ProcessEnv): ShellVariables {
  return {
    home,
    shell: environment['SHELL'] ?? '',
    histfile: environment['HISTFILE'],
    zdotdir: environment['ZDOTDIR'] ?? '',
    xdgDataHome: environment['XDG_DATA_HOME'] ?? '',
    fishHistory: environment['fish_history'],
  };
}
