// Scripts that use several keys, for a server without a Cluster: a registration and a listing in one command each. A
// server or a proxy that does not permit them gets the scripts of one key.
import {
  CLAIM_FUNCTION,
  CLOCK,
  ENROLL_FUNCTION,
  HOLD_FUNCTIONS,
  REPLACE_FUNCTIONS,
  REPLACE_REFUSALS,
} from './redis-script-functions.ts';

/** The outcomes of the script `register`, and of an ordinary registration, after which nothing else is to be done. */
export const REGISTER_OUTCOMES = { registered: 1, full: 2, held: 3, foreign: 4, hub: 5 } as const;

type RegisterOutcome = (typeof REGISTER_OUTCOMES)[keyof typeof REGISTER_OUTCOMES];

/** The reply of the script `register` for each registration. */
export type RegisterReply =
  | typeof REGISTER_OUTCOMES.registered
  | [
      outcome: RegisterOutcome,
      old?: string,
      micros?: string,
      freed?: string,
      isHoldWritten?: number,
      ofPeer?: string[],
      ofDevice?: string[],
    ];

/** The arguments of the script `register` for each registration, before its claims. */
export const REGISTRATION_ARGUMENTS = 10;

/** The arguments of the script `register` that all its registrations share. */
export const SHARED_ARGUMENTS = 7;

/** The keys of the script `register` that all its registrations share, and those of each. */
export const [SHARED_KEYS, REGISTRATION_KEYS] = [5, 6];

/**
 * Whole registrations in one script, for a server without a Cluster: the same functions as in the scripts of one key.
 * KEYS: all, relayed, circuits, single, hub users; then for each registration its record, hold, claims of the peer, claims of
 * the device, index of its user and hubs of its user, which are not used without a user. ARGV: the shared arguments, then
 * for each registration those in the order of the table and its claims. The clock advances by 1 µs with each, so that no two
 * have the same time. Returns for each 1 when the device is registered and nothing else is to be done. Otherwise the
 * outcome; the old record and the time in µs when the old record belonged to another user; the hold that was freed; whether
 * a hold was written; the claims of both keys when there are rivals.
 */
export const REGISTER = `${CLOCK}${ENROLL_FUNCTION}${REPLACE_FUNCTIONS}${CLAIM_FUNCTION}${HOLD_FUNCTIONS}
local allKey, relayedKey, circuitsKey, singleKey, hubUsersKey = unpack(KEYS, 1, ${SHARED_KEYS})
local ttlMicros, maxPeers, tenureMicros, renewalMicros, keptMicros, forgetMicros, maxClaims = unpack(ARGV, 1, ${SHARED_ARGUMENTS})
local unlimited = '9007199254740991'
local function register(keys, arguments, ofPeerClaims, ofDeviceClaims)
  local recordKey, holdKey, peerClaims, deviceClaims, userKey, hubsKey = unpack(keys)
  local peerId, record, owner, isHubToken, isHubRecord, relays, userId, member = unpack(arguments)
  local hold = owner ~= '' and readHold(holdKey, owner, tenureMicros, renewalMicros) or ''
  if hold == 'held' then return { ${REGISTER_OUTCOMES.held} } end
  local old = redis.call('GET', recordKey)
  local refused = refusal(old, owner, isHubToken)
  if refused then return { refused == ${REPLACE_REFUSALS.hub} and ${REGISTER_OUTCOMES.hub} or ${REGISTER_OUTCOMES.foreign} } end
  if enroll(allKey, peerId, ttlMicros, maxPeers) == 0 then return { ${REGISTER_OUTCOMES.full} } end
  redis.call('SET', recordKey, record, 'PX', text(ttlMicros / 1000))
  local freed = ''
  if owner == '' then freed = redis.call('GETDEL', holdKey) or ''
  elseif hold == 'due' then writeHold(holdKey, owner, tenureMicros, keptMicros, renewalMicros) end
  if tonumber(relays) > 0 then enroll(relayedKey, peerId, ttlMicros, unlimited) else redis.call('ZREM', relayedKey, peerId) end
  for n = 2, tonumber(relays) do enroll(circuitsKey, n .. ' ' .. peerId, ttlMicros, unlimited) end
  if member ~= '' then
    local live = enroll(userKey, peerId, ttlMicros, unlimited)
    if isHubRecord == '1' then
      enroll(hubsKey, peerId, ttlMicros, unlimited)
      enroll(hubUsersKey, userId, ttlMicros, unlimited)
    end
    if live == 1 and redis.call('ZCARD', hubsKey) == 0 then enroll(singleKey, member, ttlMicros, unlimited)
    else redis.call('ZREM', singleKey, member) end
  end
  local ofPeer, ofDevice = {}, {}
  if #ofPeerClaims > 0 then ofPeer = claim(peerClaims, forgetMicros, maxClaims, ofPeerClaims, true) end
  if #ofDeviceClaims > 0 then ofDevice = claim(deviceClaims, forgetMicros, maxClaims, ofDeviceClaims, true) end
  local left = hasLeft(old, record)
  if not left and freed == '' and hold ~= 'due' and #ofPeer == 0 and #ofDevice == 0 then return ${REGISTER_OUTCOMES.registered} end
  return { ${REGISTER_OUTCOMES.registered}, left and old or '', text(nowUnixMicros), freed, hold == 'due' and 1 or 0, ofPeer, ofDevice }
end
local replies, key, argument = {}, ${SHARED_KEYS}, ${SHARED_ARGUMENTS}
while argument < #ARGV do
  local claims = argument + ${REGISTRATION_ARGUMENTS}
  local ofDeviceStart = claims + tonumber(ARGV[claims - 1])
  local next = ofDeviceStart + tonumber(ARGV[claims])
  replies[#replies + 1] = register(
    { unpack(KEYS, key + 1, key + ${REGISTRATION_KEYS}) },
    { unpack(ARGV, argument + 1, claims) },
    { unpack(ARGV, claims + 1, ofDeviceStart) },
    { unpack(ARGV, ofDeviceStart + 1, next) }
  )
  key, argument = key + ${REGISTRATION_KEYS}, next
  nowUnixMicros = nowUnixMicros + 1
end
return replies`;

/**
 * Joins lists of strings to few strings of some kilobytes. In Lua one long string of all costs twice as much as everything
 * else of a listing, and a reply for each costs the client more than the rest.
 */
const PIECES_FUNCTION = `
local function pieces(list, s)
  local found, whole = {}, #list - #list % 8
  for i = 1, whole, 8 do
    local a, b, c, d, e, f, g, h = unpack(list, i, i + 7)
    found[#found + 1] = a .. s .. b .. s .. c .. s .. d .. s .. e .. s .. f .. s .. g .. s .. h
  end
  if whole < #list then found[#found + 1] = table.concat(list, s, whole + 1) end
  return found
end
local function digest(list)
  local digests = {}
  for i = 1, #list do digests[i] = redis.sha1hex(list[i]) end
  return redis.sha1hex(table.concat(digests))
end`;

/** The reply of the script `readListing`: only the digest when the client has the listing. */
export type ListingReply =
  | string
  | readonly [digest: string, ids: readonly string[], records: readonly string[]];

/**
 * A whole listing in one script, for a server without a Cluster. KEYS: index; ARGV: maximum entries, prefix of the keys of
 * records, digest of the listing that the client has. Returns nothing when there are more entries, the digest when the client
 * has this listing, and otherwise the digest, `id score id score …`, newest first, and the records, joined by NUL, both in
 * pieces. Each record has one NUL; of a missing one only that is returned.
 */
export const READ_LISTING = `${PIECES_FUNCTION}
if redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[1]) then return false end
local flat = redis.call('ZRANGE', KEYS[1], '+inf', '-inf', 'BYSCORE', 'REV', 'WITHSCORES')
local keys, records = {}, {}
for i = 1, #flat, 2 do keys[#keys + 1] = ARGV[2] .. flat[i] end
if #keys > 0 then records = redis.call('MGET', unpack(keys)) end
for i = 1, #keys do records[i] = records[i] or '\\0' end
local idPieces, recordPieces = pieces(pieces(flat, ' '), ' '), pieces(records, '\\0')
local found = digest(idPieces) .. digest(recordPieces)
if found == ARGV[3] then return found end
return { found, idPieces, recordPieces }`;
