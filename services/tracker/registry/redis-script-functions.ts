// Lua functions that the scripts of the registry share: those of one key, and those of a whole registration.

/** Maximum old index entries that one call removes. Further ones are removed by later calls. */
export const SWEEP = 100;

// Lua prints numbers with 14 digits by default, and microseconds since 1970 have 16.
export const CLOCK = `
local time = redis.call('TIME')
local nowUnixMicros = time[1] * 1000000 + time[2]
local function text(number) return string.format('%.0f', number) end
`;

/** Adds or renews an entry of an index. Returns 0 when it is new and the index is full, otherwise the number of live entries. */
export const ENROLL_FUNCTION = `
local function enroll(index, peerId, ttlMicros, maxEntries)
  local expired = text(nowUnixMicros - ttlMicros)
  local old = redis.call('ZCOUNT', index, '-inf', expired)
  local seen = redis.call('ZSCORE', index, peerId)
  local live = redis.call('ZCARD', index) - old
  if not seen or tonumber(seen) <= tonumber(expired) then
    if live >= tonumber(maxEntries) then return 0 end
    live = live + 1
    if seen then old = old - 1 end
  end
  redis.call('ZADD', index, text(nowUnixMicros), peerId)
  redis.call('PEXPIRE', index, text(ttlMicros / 1000))
  if old > 0 then redis.call('ZREMRANGEBYRANK', index, 0, math.min(old, ${SWEEP}) - 1) end
  return live
end`;

// The record of a hub has a space between the NUL and the JSON.
export const RECORD_FUNCTIONS = `
local function owned(record, owner) return string.sub(record, 1, #owner + 1) == owner .. '\\0' end
local function isHub(record) return string.find(record, '^[^%z]*%z ') ~= nil end
`;

/** What the script that replaces a record returns when the registration is refused. */
export const REPLACE_REFUSALS = { foreign: 0, hub: -1 } as const;

export const REPLACE_FUNCTIONS = `${RECORD_FUNCTIONS}
local function refusal(old, owner, isHubToken)
  if old and owner ~= '' and not owned(old, owner) then return ${REPLACE_REFUSALS.foreign} end
  if old and isHub(old) and isHubToken ~= '1' then return ${REPLACE_REFUSALS.hub} end
end
local function hasLeft(old, record)
  local before = old and string.match(old, '^(=[^%z]*)%z')
  return before and before ~= string.match(record, '^(=[^%z]*)%z')
end`;

/**
 * Stores claims. New ones above the maximum are not stored. Returns all claims with the times when they were made first and
 * last; with `onlyRivals` nothing when no other claim has the same start, up to the NUL, as one of them.
 */
export const CLAIM_FUNCTION = `
local function claim(key, forgetMicros, maxClaims, claims, onlyRivals)
  local stored = redis.call('HGETALL', key)
  local times, count, now = {}, 0, text(nowUnixMicros)
  for i = 1, #stored, 2 do
    local first, last = string.match(stored[i + 1], '(%d+):(%d+)')
    if tonumber(last) > nowUnixMicros - forgetMicros then
      times[stored[i]] = { first, last }
      count = count + 1
    else
      redis.call('HDEL', key, stored[i])
    end
  end
  local changed = {}
  for i = 1, #claims do
    local old = times[claims[i]]
    if old or count < tonumber(maxClaims) then
      if not old then count = count + 1 end
      times[claims[i]] = { old and old[1] or now, now }
      changed[#changed + 1] = claims[i]
      changed[#changed + 1] = times[claims[i]][1] .. ':' .. now
    end
  end
  if #changed > 0 then redis.call('HSET', key, unpack(changed)) end
  redis.call('PEXPIRE', key, text(forgetMicros / 1000))
  local flat, rivals = {}, not onlyRivals
  if onlyRivals and count <= #claims then return flat end
  local groups = {}
  for i = 1, #claims do groups[string.match(claims[i], '^[^%z]*')] = claims[i] end
  for each, time in pairs(times) do
    local own = groups[string.match(each, '^[^%z]*')]
    if own and own ~= each then rivals = true end
    flat[#flat + 1] = each
    flat[#flat + 1] = time[1] .. ':' .. time[2]
  end
  return rivals and flat or {}
end`;

export const HOLD_FUNCTIONS = `
local function readHold(key, owner, tenureMicros, renewalMicros)
  local first, last, current = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (.*)$')
  local function isTenured(till) return tonumber(till) - first >= tonumber(tenureMicros) end
  if not current then return 'due' end
  if current ~= owner then return isTenured(last) and 'held' or 'due' end
  if nowUnixMicros - last >= tonumber(renewalMicros) then return 'due' end
  return isTenured(nowUnixMicros) and not isTenured(last) and 'due' or 'fresh'
end
local function writeHold(key, owner, tenureMicros, keptMicros, longerMicros)
  local first, last, current = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (.*)$')
  local function isTenured(till) return tonumber(till) - first >= tonumber(tenureMicros) end
  if current and current ~= owner then
    if isTenured(last) then return 'held' end
    first = nil
  end
  first = first or text(nowUnixMicros)
  local kept = isTenured(nowUnixMicros) and keptMicros or tenureMicros
  redis.call('SET', key, first .. ' ' .. text(nowUnixMicros) .. ' ' .. owner, 'PX', text((kept + longerMicros) / 1000))
  return 'written'
end`;
