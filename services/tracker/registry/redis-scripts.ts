// The Lua scripts of the registry. Each script accesses one key, uses the clock of Redis for times, and removes a
// limited number of old entries, so that it does not delay other clients.

import {
  CLAIM_FUNCTION,
  CLOCK,
  ENROLL_FUNCTION,
  HOLD_FUNCTIONS,
  RECORD_FUNCTIONS,
  REPLACE_FUNCTIONS,
  SWEEP,
} from './redis-script-functions.ts';
import { READ_LISTING, REGISTER } from './redis-whole-scripts.ts';

/** Age in microseconds below which an index entry is not repaired, because its record may still arrive at its node. */
const REPAIR_GRACE_MICROS = 1_000_000;

/**
 * KEYS: index; ARGV: peer id, time to live in µs, maximum live entries. 1 when added or renewed, 0 when new and full.
 */
const ENROLL = `${CLOCK}${ENROLL_FUNCTION}
return math.min(enroll(KEYS[1], ARGV[1], ARGV[2], ARGV[3]), 1)`;

/** KEYS: index of all; ARGV: time to live in µs. Removes old entries and returns the number of live ones. */
const COUNT_LIVE = `${CLOCK}
local expired = text(nowUnixMicros - ARGV[1])
local old = redis.call('ZCOUNT', KEYS[1], '-inf', expired)
if old > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, math.min(old, ${10 * SWEEP}) - 1) end
return redis.call('ZCOUNT', KEYS[1], '(' .. expired, '+inf')`;

/** KEYS: index; ARGV: pairs of peer id and score as read. Removes the entries that did not change since. */
const REPAIR = `${CLOCK}
local removed = 0
for i = 1, #ARGV, 2 do
  local seen = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if seen and tonumber(seen) == tonumber(ARGV[i + 1]) and tonumber(seen) < nowUnixMicros - ${REPAIR_GRACE_MICROS} then
    removed = removed + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return removed`;

/** KEYS: index; ARGV: time to live in µs. Returns the live members. */
const LIVE_MEMBERS = `${CLOCK}
return redis.call('ZRANGE', KEYS[1], '(' .. text(nowUnixMicros - ARGV[1]), '+inf', 'BYSCORE')`;

/** The reply about the record of a hub that is kept. No record is like it, because each has a NUL. */
export const KEPT_HUB = 'hub';

/**
 * KEYS: record; ARGV: new record, time to live in ms, owner or empty, whether a token of a hub made it (1 or 0). Returns
 * the refusal when the record belongs to another owner, or to a hub and the new one was not made by a hub; otherwise 1, or
 * the old record and the time in µs when the old record belonged to another user.
 */
const REPLACE = `${CLOCK}${REPLACE_FUNCTIONS}
local old = redis.call('GET', KEYS[1])
local refused = refusal(old, ARGV[3], ARGV[4])
if refused then return refused end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if hasLeft(old, ARGV[1]) then return { old, text(nowUnixMicros) } end
return 1`;

/** KEYS: index; ARGV: peer id, time in µs. Removes the peer if it did not register since. */
const LEAVE = `
local seen = redis.call('ZSCORE', KEYS[1], ARGV[1])
if seen and tonumber(seen) <= tonumber(ARGV[2]) then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0`;

/**
 * KEYS: record; ARGV: owner or empty, whether the token is that of a hub (1 or 0). Deletes and returns the record, unless it
 * belongs to another owner. Returns "hub" for the record of a hub, which is kept for other tokens.
 */
const TAKE = `${RECORD_FUNCTIONS}
local old = redis.call('GET', KEYS[1])
if not old or (ARGV[1] ~= '' and not owned(old, ARGV[1])) then return false end
if isHub(old) and ARGV[2] ~= '1' then return '${KEPT_HUB}' end
redis.call('DEL', KEYS[1])
return old`;

/** KEYS: record; ARGV: record. Deletes the record if it did not change. */
const WITHDRAW = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

/** KEYS: claims; ARGV: time in µs after which a claim is forgotten, maximum claims, claims. Returns all claims. */
const CLAIM = `${CLOCK}${CLAIM_FUNCTION}
return claim(KEYS[1], ARGV[1], ARGV[2], { unpack(ARGV, 3) }, false)`;

/** KEYS: conflicts; ARGV: time in µs for which a conflict is reported, maximum conflicts, conflict. */
const REPORT = `${CLOCK}
redis.call('ZADD', KEYS[1], text(nowUnixMicros), ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(nowUnixMicros - ARGV[1]))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[2])
redis.call('PEXPIRE', KEYS[1], text(ARGV[1] / 1000))
return 1`;

/** KEYS: conflicts; ARGV: time in µs for which a conflict is reported. Returns the conflicts, newest first. */
const REPORTED = `${CLOCK}
return redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. text(nowUnixMicros - ARGV[1]))`;

/**
 * KEYS: hold; ARGV: owner, time in µs after which a hold is tenured, time in µs between two writes. Returns "held" when
 * it is tenured and belongs to another owner, "due" when it must be written, otherwise "fresh".
 */
const READ_HOLD = `${CLOCK}${HOLD_FUNCTIONS}
return readHold(KEYS[1], ARGV[1], ARGV[2], ARGV[3])`;

/**
 * KEYS: hold; ARGV: owner, time in µs after which a hold is tenured, times in µs that a tenured hold is kept and that
 * each hold is kept longer. Returns "held" when it is tenured and belongs to another owner, otherwise "written".
 */
const WRITE_HOLD = `${CLOCK}${HOLD_FUNCTIONS}
return writeHold(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])`;

/**
 * KEYS: holds of a user; ARGV: peer id, maximum holds, age in µs from which a hold may be replaced, age in µs at which
 * a hold ends. Returns the peer id whose hold is too much: an old one, or the new one; empty when there are few enough.
 */
const COUNT_HOLD = `${CLOCK}
local ended = redis.call('ZCOUNT', KEYS[1], '-inf', text(nowUnixMicros - ARGV[4]))
if ended > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, math.min(ended, ${SWEEP}) - 1) end
local excess = ''
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if tonumber(oldest[2]) > nowUnixMicros - ARGV[3] then return ARGV[1] end
  redis.call('ZREM', KEYS[1], oldest[1])
  excess = oldest[1]
end
redis.call('ZADD', KEYS[1], text(nowUnixMicros), ARGV[1])
redis.call('PEXPIRE', KEYS[1], text(ARGV[4] / 1000))
return excess`;

/** KEYS: hold; ARGV: owner. Deletes the hold and returns its owner; empty when there was none of this owner. */
const FREE_HOLD = `
local owner = string.match(redis.call('GET', KEYS[1]) or '', '^%d+ %d+ (.*)$')
if owner ~= ARGV[1] then return '' end
redis.call('DEL', KEYS[1])
return owner`;

/** The scripts as commands of the client. */
export const SCRIPTS = {
  register: { lua: REGISTER },
  readListing: { lua: READ_LISTING, numberOfKeys: 1 },
  enroll: { lua: ENROLL, numberOfKeys: 1 },
  leave: { lua: LEAVE, numberOfKeys: 1 },
  replace: { lua: REPLACE, numberOfKeys: 1 },
  take: { lua: TAKE, numberOfKeys: 1 },
  withdraw: { lua: WITHDRAW, numberOfKeys: 1 },
  repair: { lua: REPAIR, numberOfKeys: 1 },
  claim: { lua: CLAIM, numberOfKeys: 1 },
  report: { lua: REPORT, numberOfKeys: 1 },
  reported: { lua: REPORTED, numberOfKeys: 1 },
  readHold: { lua: READ_HOLD, numberOfKeys: 1 },
  writeHold: { lua: WRITE_HOLD, numberOfKeys: 1 },
  countHold: { lua: COUNT_HOLD, numberOfKeys: 1 },
  freeHold: { lua: FREE_HOLD, numberOfKeys: 1 },
  liveMembers: { lua: LIVE_MEMBERS, numberOfKeys: 1 },
  countLive: { lua: COUNT_LIVE, numberOfKeys: 1 },
};
