-- Claim: one run of each of many jobs, or a look at them.
--
-- KEYS  the instances (zset), only where they are in the same slot of a Cluster (so one key more
--       than a multiple of four); then for each job: k, its state, its lease, its history
-- ARGV  1 injected clock in ms, or ''   2 lease in ms   3 instance   4 history limit
--       5 ms after which an unseen instance is forgotten; then for each job:
--       run id ('': only look), the version it was computed from (the last start in ms, '-':
--       none; with '/N/WHEN' where runs were abandoned: N in a row, the last at that ms; '?':
--       not known), the last ms at which it is early, its due time in ms (0: now)
-- Answer  { Redis's microseconds, now in ms, { status, KNOWN, run that this call recorded as
--         abandoned, detail, due in ms } ... }, for each job in turn
-- KNOWN   { last start, first seen, running run, its lease left in ms, due time of the last
--         run if that was abandoned, how many were in a row, when the last of them was }
-- Status  claimed, again (our own run, claimed before): detail is the token
--         held, early, due (a look), changed (the version differs)
--         corrupt: detail quotes it
-- Touches  the instances, where given; each job's state (first seen; all of a claim), k and lease
--         (a claim); its history (an abandoned run); a lease that has lost its end gets one

local now_ms, micros = clocks(ARGV[1])
local lease_ms, instance, history_limit = ARGV[2], ARGV[3], ARGV[4]

-- A write in every claim, a mere look too: a Redis that takes no writes must not seem well.
local first = #KEYS % 4
local seen
if first == 1 then
  seen = redis.pcall('ZADD', KEYS[1], text(math.floor(micros / 1000)), instance)
else
  seen = redis.pcall('HDEL', KEYS[2], '')  -- a field that is never there
end
if type(seen) == 'table' and seen.err and not string.find(problem_of('', seen), 'WRONGTYPE') then
  return seen
end
if first == 1 then
  redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf',
    text(math.floor(micros / 1000) - tonumber(ARGV[5])))
end

local function claim(keys, job, run, due_ms)
  if due_ms == 0 then
    due_ms = now_ms
  end
  job.token = math.max(job.token + 1, micros)
  redis.call('HSET', keys.state, 'run', run, 'instance', instance, 'token', text(job.token),
    'before_k', job.k or '', 'before_last_ms', job.refined, 'before_due_ms', job.due_ms,
    'before_abandoned_run', job.abandoned_run,
    'before_abandoned_due_ms', job.abandoned_due_ms and text(job.abandoned_due_ms) or '',
    'last_ms', text(now_ms), 'due_ms', text(due_ms))
  redis.call('HDEL', keys.state, 'abandoned_run', 'abandoned_due_ms')
  redis.call('SET', keys.k, text(math.floor(now_ms / 1000)))
  redis.call('SET', keys.lease, run, 'PX', lease_ms)
  redis.pcall('HINCRBY', keys.state, 'runs', 1)
  job.last_ms, job.run, job.lease_left = now_ms, run, tonumber(lease_ms)
  job.abandoned_due_ms = nil
  return due_ms
end

local function decide(keys, run, computed_from, early_until_ms, due_ms)
  local job = read(keys)
  local abandoned = ''
  local function answer(status, detail, due)
    return { status, known(job), abandoned, detail or '', due or 0 }
  end

  if run ~= '' and job.run == run then
    redis.call('SET', keys.lease, run, 'PX', lease_ms)
    job.lease_left, job.last_ms = tonumber(lease_ms), job.started_ms
    return answer('again', job.token, whole(job.due_ms) or job.started_ms)
  end
  if job.corrupt then
    return answer('corrupt', job.corrupt)
  end
  if not job.first_seen_ms then
    job.first_seen_ms = now_ms
    redis.call('HSET', keys.state, 'first_seen_ms', text(now_ms))
  end
  if job.endless then
    -- Somebody took its end away (PERSIST, a restore without times): its run renews it, or is dead.
    redis.call('SET', keys.lease, job.run, 'PX', lease_ms)
    job.lease_left = tonumber(lease_ms)
  end
  if job.run and job.lease_left == 0 then
    abandoned = job.run
    local wrong = record(keys, job, now_ms, 'abandoned', '', history_limit)
    if wrong ~= '' then
      return answer('corrupt', wrong)
    end
  end
  if version(job) ~= computed_from then
    return answer('changed')
  end
  if job.run then
    return answer('held')
  end
  if now_ms <= early_until_ms then
    return answer('early')
  end
  if run == '' then
    return answer('due')
  end
  local due = claim(keys, job, run, due_ms)
  return answer('claimed', job.token, due)
end

local answers = { micros, now_ms }
for i = 0, (#KEYS - first) / 4 - 1 do
  local at = first + 4 * i
  local keys = { k = KEYS[at + 1], state = KEYS[at + 2], lease = KEYS[at + 3],
    history = KEYS[at + 4] }
  answers[i + 3] = decide(keys, ARGV[4 * i + 6], ARGV[4 * i + 7], tonumber(ARGV[4 * i + 8]),
    tonumber(ARGV[4 * i + 9]))
end
return answers
