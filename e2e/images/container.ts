// Runs images as a cluster with the restricted Pod Security Standard does: as nobody, read-only, with no capability, in
// bounded memory. All containers of one sandbox share a network that reaches nothing but itself, as those of a pod do.
import { attempt, type CommandResult, run } from '../../testing/command.ts';
import { until } from '../../testing/wait.ts';

// The other runtime and the other manager refuse the control groups of some machines.
const PODMAN = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs'];
/** As the images say, and as the charts do. */
export const USER = '65532:65532';
export const MEMORY_BYTES = 128 * 1024 * 1024;
const LOCKED = (
  `--read-only --read-only-tmpfs=false --user ${USER} --cap-drop all --security-opt no-new-privileges ` +
  `--memory ${MEMORY_BYTES} --memory-swap ${MEMORY_BYTES} --ulimit nofile=20000:20000 --ulimit nproc=4096:4096`
).split(' ');
/** How long a container may take to end after SIGTERM before it is killed; longer than any drain. */
const STOP_SECONDS = 60;

export interface ContainerOptions {
  readonly env?: Record<string, string>;
  /** Folders and files of this machine, by where the container sees them; `:rw` at the end lets it write there. */
  readonly mounts?: Record<string, string>;
  /** Another program than the image's own. */
  readonly entrypoint?: string;
  readonly args?: readonly string[];
}

export interface Container {
  readonly id: string;
  logs(): Promise<string>;
  /** Waits for a log line with the text. @throws when it does not come, or when the container ends first */
  says(text: string): Promise<string>;
  /** Runs a module on the container's own Node, in the container. */
  evaluate(module: string): Promise<string>;
  /** SIGTERM; answers the exit code. */
  stop(): Promise<number>;
}

export interface Sandbox {
  start(image: string, options?: ContainerOptions): Promise<Container>;
  /** Runs a container to its end. */
  finish(image: string, options?: ContainerOptions): Promise<CommandResult>;
  /** Ends and removes all that was started. */
  close(): Promise<void>;
}

async function podman(...args: string[]): Promise<string> {
  return run('podman', [...PODMAN, ...args]);
}

/** @param image any of ours; an idle container of it holds the network */
export async function createSandbox(image: string): Promise<Sandbox> {
  const idle = ['--entrypoint', 'node', image, '-e', 'setInterval(() => {}, 1e9)'];
  const holder = await podman('run', '--detach', '--network', 'none', ...LOCKED, ...idle);
  const started = [holder];
  const network = ['--network', `container:${holder}`];
  return {
    async start(name, options = {}) {
      const id = await podman('run', '--detach', ...network, ...LOCKED, ...flags(name, options));
      started.push(id);
      return container(id);
    },
    finish: async (name, options = {}) =>
      attempt('podman', [...PODMAN, 'run', '--rm', ...network, ...LOCKED, ...flags(name, options)]),
    async close() {
      // One after the other: the first one, whose network the others use, has to go last.
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
    async says(text) {
      let line: string | undefined;
      const look = async (): Promise<boolean> => {
        line = (await logs()).split('\n').find((candidate) => candidate.includes(text));
        if (line !== undefined) return true;
        if ((await podman('inspect', '--format', '{{.State.Running}}', id)) === 'true') return false;
        throw new Error(`the container ended before it said «${text}»:\n${await logs()}`);
      };
      await until(look, `the container says «${text}»`);
      return line ?? '';
    },
    evaluate: async (module) => podman('exec', id, 'node', '--input-type=module', '--eval', module),
    async stop() {
      await podman('stop', '--time', String(STOP_SECONDS), id);
      return Number(await podman('inspect', '--format', '{{.State.ExitCode}}', id));
    },
  };
}
