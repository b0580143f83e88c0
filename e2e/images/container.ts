// Runs images under the restricted Pod Security Standard: unprivileged user, read-only root, no capabilities, bounded
// memory. All containers of a sandbox share one isolated network namespace, like the containers of a pod.
import { attempt, type CommandResult, run } from '../../testing/command.ts';
import { until } from '../../testing/wait.ts';

// crun and the systemd cgroup manager do not work on all machines.
const PODMAN = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs'];
/** The user and group id of the images and the charts. */
export const USER = '65532:65532';
export const MEMORY_BYTES = 128 * 1024 * 1024;
const RESTRICTIONS = (
  `--read-only --read-only-tmpfs=false --user ${USER} --cap-drop all --security-opt no-new-privileges ` +
  `--memory ${MEMORY_BYTES} --memory-swap ${MEMORY_BYTES} --ulimit nofile=20000:20000 --ulimit nproc=4096:4096`
).split(' ');
/** Time between SIGTERM and SIGKILL, in seconds; longer than the drain deadline. */
const STOP_TIMEOUT_SECONDS = 60;

export interface ContainerOptions {
  readonly env?: Record<string, string>;
  /** Folders and files of this machine by their path in the container. Read-only unless they end with `:rw`. */
  readonly mounts?: Record<string, string>;
  /** Replaces the entry point of the image. */
  readonly entrypoint?: string;
  readonly args?: readonly string[];
}

export interface Container {
  readonly id: string;
  logs(): Promise<string>;
  /** Waits for a log line that contains the text. @throws Error if the container exits first, or after a timeout */
  waitForLog(text: string): Promise<string>;
  /** Runs the source text of a module with Node in the container and returns its output. */
  evaluate(source: string): Promise<string>;
  /** Sends SIGTERM and returns the exit code. */
  stop(): Promise<number>;
}

export interface Sandbox {
  start(image: string, options?: ContainerOptions): Promise<Container>;
  /** Runs a container until it exits. */
  runToEnd(image: string, options?: ContainerOptions): Promise<CommandResult>;
  /** Removes all containers. */
  close(): Promise<void>;
}

async function podman(...args: string[]): Promise<string> {
  return run('podman', [...PODMAN, ...args]);
}

/** @param image Any image with Node. An idle container of it holds the network namespace. */
export async function createSandbox(image: string): Promise<Sandbox> {
  const idle = ['--entrypoint', 'node', image, '-e', 'setInterval(() => {}, 1e9)'];
  const holder = await podman('run', '--detach', '--network', 'none', ...RESTRICTIONS, ...idle);
  const started = [holder];
  const network = ['--network', `container:${holder}`];
  return {
    async start(name, options = {}) {
      const id = await podman('run', '--detach', ...network, ...RESTRICTIONS, ...flags(name, options));
      started.push(id);
      return container(id);
    },
    runToEnd: async (name, options = {}) =>
      attempt('podman', [...PODMAN, 'run', '--rm', ...network, ...RESTRICTIONS, ...flags(name, options)]),
    async close() {
      // In sequence: the first container, whose network the others use, must be removed last.
      for (const id of started.toReversed()) await podman('rm', '--force', '--time', '1', id);
    },
  };
}

function flags(image: string, { env = {}, mounts = {}, entrypoint, args = [] }: ContainerOptions): string[] {
  return [
    ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ...Object.entries(mounts).flatMap(([target, source]) => [
      '--volume',
      source.endsWith(':rw') ? `${source.slice(0, -3)}:${target}:rw` : `${source}:${target}:ro`,
    ]),
    ...(entrypoint === undefined ? [] : ['--entrypoint', entrypoint]),
    image,
    ...args,
  ];
}

function container(id: string): Container {
  const logs = async (): Promise<string> => {
    const { stdout, stderr } = await attempt('podman', [...PODMAN, 'logs', id]);
    return `${stdout}${stderr}`;
  };
  return {
    id,
    logs,
    async waitForLog(text) {
      let line: string | undefined;
      const isLogged = async (): Promise<boolean> => {
        line = (await logs()).split('\n').find((candidate) => candidate.includes(text));
        if (line !== undefined) return true;
        if ((await podman('inspect', '--format', '{{.State.Running}}', id)) === 'true') return false;
        throw new Error(`The container exited before it logged "${text}". Its log:\n${await logs()}`);
      };
      await until(isLogged, `the container logs "${text}"`);
      return line ?? '';
    },
    evaluate: async (source) => podman('exec', id, 'node', '--input-type=module', '--eval', source),
    async stop() {
      await podman('stop', '--time', String(STOP_TIMEOUT_SECONDS), id);
      return Number(await podman('inspect', '--format', '{{.State.ExitCode}}', id));
    },
  };
}
