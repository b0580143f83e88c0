// The Lua that Redis runs for the registry: each touches one key, reads Redis' own clock where time matters,
// and removes at most a bounded number of old entries, so that none makes other clients wait.

/** Old index entries removed by one call. */
const SWEEP = 100;

/** Age below which an index entry is not repaired, in microseconds: its record may still be on its way to another node. */
const REPAIR_GRACE_MICROS = 1_000_000;

// Lua prints numbers with 14 digits unless told otherwise, and microseconds since 1970 have 16.
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
`;

/** KEYS: index; ARGV: peer id, time to live in µs, most live entries. 1 when entered, 0 when new and full. */
export const ENROLL = `${NOW}
local dead = now - ARGV[2]
local seen = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not seen or tonumber(seen) <= dead then
  if redis.call('ZCOUNT', KEYS[1], '(' .. text(dead), '+inf') >= tonumber(ARGV[3]) then return 0 end
end
redis.call('ZADD', KEYS[1], text(now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], text(ARGV[2] / 1000))
local old = redis.call('ZCOUNT', KEYS[1], '-inf', text(dead))
if old > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, math.min(old, ${SWEEP}) - 1) end
return 1`;

/** KEYS: index of all; ARGV: time to live in µs. Sweeps, and returns the number of live entries. */
export const COUNT_LIVE = `${NOW}
local dead = text(now - ARGV[1])
local old = redis.call('ZCOUNT', KEYS[1], '-inf', dead)
if old > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, math.min(old, ${10 * SWEEP}) - 1) end
return redis.call('ZCOUNT', KEYS[1], '(' .. dead, '+inf')`;

/** KEYS: index; ARGV: pairs of peer id and the time seen in it. Removes entries that did not change since. */
export const REPAIR = `${NOW}
local removed = 0
for i = 1, #ARGV, 2 do
  local seen = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if seen and tonumber(seen) == tonumber(ARGV[i + 1]) and tonumber(seen) < now - ${REPAIR_GRACE_MICROS} then
    removed = removed + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return removed`;

const OWNED = `
local old = redis.call('GET', KEYS[1])
local function owned(owner) return string.sub(old, 1, #owner + 1) == owner .. '\\0' end
`;

/** KEYS: record; ARGV: new record, time to live in ms, owner. 0 when the record belongs to another. */
export const REPLACE = `${OWNED}
if old and not owned(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

/** KEYS: record; ARGV: owner or empty. Deletes and returns the record, unless it belongs to another. */
export const TAKE = `${OWNED}
if not old or (ARGV[1] ~= '' and not owned(ARGV[1])) then return false end
redis.call('DEL', KEYS[1])
return old`;

/** KEYS: record; ARGV: record. Deletes it if it is still the one given. */
export const WITHDRAW = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;
