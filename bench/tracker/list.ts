// Listings per second, while the listed devices register.
import type { Benchmark, Run, RunContext, Sample, Table } from '../benchmark.ts';
import { type Build, unavailableBuild } from '../builds.ts';
import { type BodyCheck, exactBody } from './answer-reader.ts';
import { cpuColumn, latencyColumn, rateColumn, REDIS_COLUMN, speedGoals } from './columns.ts';
import { exchange, type Exchange, headerOf } from './exchange.ts';
import { startHeartbeats } from './heartbeat-load.ts';
import { CONNECTIONS, KeepAliveLoad } from './keep-alive-load.ts';
import { Heartbeats, ListingCheck } from './listing-check.ts';
import { measureLoad, registerAll, WARM_UP_TEXT } from './register-load.ts';
import { listRequest, makeDevices, RegisterRequest, type RrDevice, TOKENS, userName } from './rr-devices.ts';
import {
  bareAnswer,
  checkSameAnswer,
  type Context,
  type RegistryKind,
  type Server,
  startBare,
  startTracker,
  type Tracker,
} from './servers.ts';

/** What is asked. */
interface Question {
  readonly title: string;
  /** The number of devices, all of one user. */
  readonly count: number;
  /** Whether the client has the listing already. */
  readonly isConditional: boolean;
}

const QUESTIONS = {
  small: { title: '20 devices', count: 20, isConditional: false },
  large: { title: '1,000 devices', count: 1_000, isConditional: false },
  unchanged: { title: '304 for 1,000 devices', count: 1_000, isConditional: true },
} as const satisfies Record<string, Question>;

/** Why listings cost more than the same bytes. */
const NOTES: Readonly<Record<RegistryKind, string>> = {
  memory:
    'The tracker checks a token and limits, counts, and makes a new version of the listing when a device has registered; for long listings half of its CPU time is the sending of the bytes ([tracker](decisions/tracker-hot-path.md)).',
  redis:
    'Redis is asked for each listing, also for a 304, so that every registration that any replica acknowledged is in it. It reads all devices of the user for that, and has one thread ([tracker](decisions/tracker-hot-path.md)).',
};

function devicesOf({ count }: Question): RrDevice[] {
  return makeDevices(count, count);
}

function requestOf({ port }: Server, token: string, ifNoneMatch?: string): Buffer {
  return listRequest({ port, userId: userName(0), token, ifNoneMatch });
}

/** What a tracker with the devices of a question answers. */
interface Answers {
  readonly register: Exchange;
  readonly list: Exchange;
  readonly notModified: Exchange;
}

async function prepare(tracker: Tracker, question: Question, { onEnd }: Context): Promise<Answers> {
  const [token = ''] = TOKENS;
  const register = await registerAll(tracker, devicesOf(question), onEnd);
  const list = await exchange(tracker.port, requestOf(tracker, token));
  const notModified = await exchange(tracker.port, requestOf(tracker, token, headerOf(list, 'etag')));
  if (notModified.status !== 304) throw new Error(`If-None-Match got the status ${notModified.status}.`);
  return { register, list, notModified };
}

interface LoadOptions {
  readonly question: Question;
  readonly check: BodyCheck;
  readonly etag: string | undefined;
  /** The registrations meanwhile; absent: none. */
  readonly heartbeats?: Heartbeats;
}

async function measureListings(
  server: Server,
  { question, check, etag, heartbeats }: LoadOptions,
  context: RunContext,
): Promise<Sample> {
  const requests = TOKENS.slice(0, CONNECTIONS).map((token) =>
    requestOf(server, token, question.isConditional ? etag : undefined),
  );
  const load = await KeepAliveLoad.open({
    port: server.port,
    check,
    next: (connection) => requests[connection % requests.length] as Buffer,
    // Other answers do not show when the devices registered.
    required: () => (check instanceof ListingCheck ? (heartbeats?.acknowledged ?? 0) : 0),
  });
  context.onEnd(() => load.close());
  if (heartbeats === undefined) return measureLoad(server, load, context);
  const registering = startHeartbeats(server.port, devicesOf(question), heartbeats, (error) =>
    load.fail(error),
  );
  try {
    return await measureLoad(server, load, context);
  } finally {
    await registering.stop();
  }
}

async function measureTracker(
  build: Build,
  registry: RegistryKind,
  question: Question,
  isStatic: boolean,
  context: RunContext,
): Promise<Sample> {
  const tracker = await startTracker(build, registry, context);
  const { list, notModified } = await prepare(tracker, question, context);
  const heartbeats = new Heartbeats();
  const listing = new ListingCheck(devicesOf(question), heartbeats);
  listing.check(list.body);
  const unchanged = exactBody(304, notModified.body);
  const check = question.isConditional ? unchanged : isStatic ? exactBody(200, list.body) : listing;
  const etag = headerOf(list, 'etag');
  const sample = await measureListings(
    tracker,
    { question, check, etag, ...(isStatic ? {} : { heartbeats }) },
    context,
  );
  await checkChange(tracker, question, etag);
  return sample;
}

/** @throws Error when the ETag stays the same while a device has a new address */
async function checkChange(tracker: Tracker, question: Question, etag: string | undefined): Promise<void> {
  const [token = ''] = TOKENS;
  await exchange(
    tracker.port,
    new RegisterRequest(devicesOf(question)[0] as RrDevice, tracker.port).changed(1),
  );
  const { status } = await exchange(tracker.port, requestOf(tracker, token, etag));
  if (status !== 200) throw new Error(`A changed listing got the status ${status} instead of 200.`);
}

async function measureBare(question: Question, context: RunContext): Promise<Sample> {
  // It is idle until the end of the run.
  const recorded = await startTracker('ours', 'memory', context);
  const { register, list, notModified } = await prepare(recorded, question, context);
  const server = await startBare(
    {
      register: bareAnswer(register),
      list: bareAnswer(list),
      notModified: bareAnswer(notModified),
    },
    context,
  );
  const etag = headerOf(list, 'etag');
  const expected = question.isConditional ? notModified : list;
  await checkSameAnswer(server, requestOf(server, '', question.isConditional ? etag : undefined), expected);
  const check = exactBody(expected.status, expected.body);
  return measureListings(server, { question, check, etag, heartbeats: new Heartbeats() }, context);
}

function runsOf(registry: RegistryKind, question: Question): Run[] {
  const tracker = (build: Build, variant: string, title: string): Run => ({
    case: question.title,
    variant,
    title,
    unavailable: async () => unavailableBuild(build),
    run: async (context) => measureTracker(build, registry, question, variant === 'static', context),
  });
  return [
    tracker('ours', 'ours', 'tracker'),
    {
      case: question.title,
      variant: 'bare',
      title: 'bare node:http',
      unavailable: async () => unavailableBuild('ours'),
      run: async (context) => measureBare(question, context),
    },
    // The goal against it is about long listings.
    ...(question === QUESTIONS.large ? [tracker('before', 'before', 'tracker before')] : []),
    tracker('ours', 'static', 'tracker, no registrations'),
  ];
}

function tableOf(registry: RegistryKind, share: number): Table {
  const { small, large: many, unchanged } = QUESTIONS;
  const cases = [small.title, many.title, unchanged.title];
  return {
    key: registry,
    title: `Listings, ${registry === 'memory' ? 'memory registry' : 'Redis'}`,
    columns: [
      rateColumn('bare'),
      rateColumn('before', 'rateBefore'),
      cpuColumn('bare'),
      cpuColumn('before', 'cpuBefore'),
      ...(registry === 'redis' ? [REDIS_COLUMN] : []),
      latencyColumn(0.5),
      latencyColumn(0.99),
    ],
    goals: [
      ...speedGoals(share, 'bare', cases, { note: NOTES[registry] }),
      ...speedGoals(3, 'before', [many.title], { columns: ['rateBefore', 'cpuBefore'] }),
    ],
    runs: [small, many, unchanged].flatMap((question) => runsOf(registry, question)),
  };
}

const ABOUT = `${CONNECTIONS} connections ask for all devices of a user, while each of these devices registers every 30 seconds over a new connection, as \`rr\` 1.x does. Each listing must have exactly these devices as they registered, the newest first, with every registration that was acknowledged before the listing was requested. The bare server sends the bytes of one listing, gets the same registrations, and parses them. In the third case the client has the listing already (\`If-None-Match\`); after the run a changed device must change the listing. ${WARM_UP_TEXT}`;

export const listBenchmark: Benchmark = {
  name: 'tracker-list',
  title: 'Tracker: listings, memory registry',
  about: ABOUT,
  raisedLimits: [],
  tables: [tableOf('memory', 0.8)],
};

export const listRedisBenchmark: Benchmark = {
  name: 'tracker-list-redis',
  title: 'Tracker: listings, Redis',
  about: ABOUT,
  raisedLimits: [],
  tables: [tableOf('redis', 0.4)],
};
