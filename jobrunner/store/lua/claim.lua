-- Claim: one run of each of many jobs, or a look at them.
--
-- KEYS  the instances (zset) and the control stream, only where they are in the same slot of a
--       Cluster (so two keys more than a multiple of four); then for each job: k, its state, its
--       lease, its history
-- ARGV  1 injected clock in ms, or ''   2 lease in ms   3 instance   4 history limit
--       5 ms after which an unseen instance is forgotten
--       6 the id of the newest entry of the control stream that the instance has read, or ''
--       7 by how many ms a claim may come before its time (its run starts at that time, and its
--       instance waits for it)
--       then for each job, in one argument and parted by blanks:
--       run id (nothing: only look), the version it was computed from (the last start in ms, '-':
--       none; with '/N/WHEN' where runs were abandoned: N in a row, the last at that ms; with
--       '@MS' the last due time served, '-': none; '?': not known; '*': whatever it is), the last
--       ms at which it is early, its due time in ms (0: now; -1: out of turn, for the request; -2:
--       out of turn, by hand), a note (or nothing)
-- Note  REASON:MS,MS: due times that passed without a run, in order; overdue:MS: no success since
-- Answer  { Redis's microseconds, now in ms, CONTROL, FLEET, then for each job { status, KNOWN, run
--         that this call recorded as abandoned, detail, due in ms, the part of the note that is
--         new }; or the token alone: it is claimed for the due time that was named, and else all
--         is as it was when the version was told }
-- CONTROL  '' when nothing is new; else { newest id, 1 where some may have been missed, the names
--         of the jobs that a person has touched ... }
-- FLEET   how many instances live, this one with them; 0 where that cannot be told: they are not
--         given, or no zset, or ZCARD is not allowed
-- KNOWN   { last start, first seen, running run, its lease left in ms, due time of the last
--         run if that was abandoned, how many were in a row, when the last of them was, last due
--         time served, last finish, last success, 1 if noted as overdue, { paused until, request,
--         run to be cancelled } }; nil for what there is not
-- Status  claimed, again (our own run, claimed before): detail is the token
--         held, early, paused, due (a look), changed (the version differs)
--         corrupt: detail quotes it
-- Touches  the instances, where given; each job's state (first seen; notes; all of a claim), k and
--         lease (a claim); its history (an abandoned run); a lease that has lost its end gets one

local OF_REQUEST = -1

local ASK = '^([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) (.*)$'

local now_ms, micros = clocks(ARGV[1])
local now, now_seconds, micros_text = text(now_ms), text(math.floor(now_ms / 1000)), text(micros)
local lease_ms, instance, history_limit = ARGV[2], ARGV[3], ARGV[4]
local lease_left, ahead_ms = tonumber(lease_ms), tonumber(ARGV[7])

-- A write in every claim, a mere look too: a Redis that takes no writes must not seem well.
local first = #KEYS % 4
local seen
if first == 2 then
  seen = try('ZADD', KEYS[1], text(math.floor(micros / 1000)), instance)
else
  seen = try('HDEL', KEYS[2], '')  -- a field that is never there
end
if type(seen) == 'table' and seen.err and not find(problem_of('', seen), 'WRONGTYPE') then
  return seen
end
local fleet = 0
if first == 2 then
  try('ZREMRANGEBYSCORE', KEYS[1], '-inf',
    text(math.floor(micros / 1000) - tonumber(ARGV[5])))
  local living = redis.pcall('ZCARD', KEYS[1])
  fleet = type(living) == 'number' and living or 0
end

-- What people have touched since the entry `read_id`.
local function control_since(stream, read_id)
  local newest = try('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  if newest.err or not newest[1] then
    return read_id ~= '0-0' and { '0-0', read_id ~= '' and 1 or 0 } or ''
  end
  local newest_id = newest[1][1]
  if newest_id == read_id then
    return ''
  elseif read_id == '' then
    return { newest_id, 0 }  -- an instance that begins looks at all of them anyway
  end
  -- The entry that was read last must be there still: else others were trimmed, or lost, with it.
  local entries = try('XRANGE', stream, read_id, '+', 'COUNT', 500)
  local found = { newest_id, 0 }
  local from = 1
  if read_id ~= '0-0' then
    if not entries[1] or entries[1][1] ~= read_id then
      return { newest_id, 1 }
    end
    from = 2
  end
  if #entries == 0 or entries[#entries][1] ~= newest_id then
    return { newest_id, 1 }
  end
  for j = from, #entries do
    found[#found + 1] = entries[j][2][2]
  end
  return found
end

-- Whether the job is paused; a pause that is over is taken away.
local function is_paused(keys, job)
  local until_ms = whole(job.paused)
  if until_ms and until_ms <= now_ms then
    call('HDEL', keys.state, 'paused', 'pause_reason')
    job.paused = ''
  end
  return job.paused ~= ''
end

-- Notes due times that passed without a run, each once for a reason. Returns those that were not
-- noted before, as REASON:MS,MS; '' when there are none.
local function skip(keys, reason, times)
  local last = whole(call('HGET', keys.state, 'skip_due_' .. reason)) or 0
  local new = {}
  for _, due_ms in ipairs(times) do
    if due_ms > last then
      new[#new + 1] = text(due_ms)
    end
  end
  if #new == 0 then
    return ''
  end
  call('HSET', keys.state, 'skip_due_' .. reason, new[#new],
    'skip_reason', reason, 'skip_due_ms', new[#new])
  try('HINCRBY', keys.state, 'count_skip_' .. reason, #new)
  return reason .. ':' .. table.concat(new, ',')
end

local function take_note(keys, job, note)
  local reason, list = match(note, '^(%a+):([%d,-]+)$')
  local times = {}
  for ms in string.gmatch(list, '%-?%d+') do
    times[#times + 1] = tonumber(ms)
  end
  if reason ~= 'overdue' then
    return skip(keys, reason, times)
  end
  if job.overdue_ms or (job.succeeded_ms or job.first_seen_ms) ~= times[1] then
    return ''
  end
  call('HSET', keys.state, 'overdue_ms', text(now_ms))
  job.overdue_ms = now_ms
  return note
end

local function claim(keys, job, run, due_ms, start_ms)
  -- What is repeated was served when it was claimed first, or was out of turn.
  local of_schedule, request = due_ms >= 0 and due_ms ~= job.abandoned_due_ms, ''
  if due_ms == OF_REQUEST then
    request = job.trigger
  end
  if due_ms <= 0 then
    due_ms = now_ms
  end
  local due, token = text(due_ms), micros_text
  if job.token >= micros then
    job.token = job.token + 1
    token = text(job.token)
  else
    job.token = micros
  end
  local set, gone = { 'run', run, 'instance', instance, 'token', token, 'last_ms', text(start_ms),
    'due_ms', due, 'before', before_words(job.k or '', job.refined, job.due_ms,
      job.served_ms and text(job.served_ms) or '', job.abandoned_run,
      job.abandoned_due_ms and text(job.abandoned_due_ms) or '', request) }, {}
  if of_schedule then
    set[13], set[14] = 'served_ms', due
    job.served_ms = due_ms
  end
  local runs = counted(job.more_2)
  if runs ~= '' then
    set[#set + 1], set[#set + 2] = 'runs', runs
  end
  if request ~= '' then
    set[#set + 1], set[#set + 2] = 'request', request
    gone[1] = 'trigger'
    job.trigger = ''
  end
  if job.is_marked then
    gone[#gone + 1], gone[#gone + 2] = 'abandoned_run', 'abandoned_due_ms'
  end
  write(keys.state, set, gone)
  call('SET', keys.k, text(math.floor(start_ms / 1000)))
  call('SET', keys.lease, run, 'PX', lease_ms)
  job.last_ms, job.run, job.lease_left = start_ms, run, lease_left
  job.abandoned_due_ms = nil
  return due_ms
end

local function decide(keys, run, computed_from, early_until_ms, due_ms, note)
  local job = read(keys, 'given_back', 'runs')
  local abandoned, noted = '', ''
  local function answer(status, detail, due)
    return { status, known(job), abandoned, detail or '', due or 0, noted }
  end

  if run ~= '' and job.run == run then
    call('SET', keys.lease, run, 'PX', lease_ms)
    job.lease_left, job.last_ms = lease_left, job.started_ms
    return answer('again', job.token, whole(job.due_ms) or job.started_ms)
  end
  if job.corrupt then
    return answer('corrupt', job.corrupt)
  end
  if not job.first_seen_ms then
    job.first_seen_ms = now_ms
    call('HSET', keys.state, 'first_seen_ms', now)
  end
  if job.endless then
    -- Somebody took its end away (PERSIST, a restore without times): its run renews it, or is dead.
    call('SET', keys.lease, job.run, 'PX', lease_ms)
    job.lease_left = lease_left
  end
  if job.run and job.lease_left == 0 then
    abandoned = job.run
    local count = counted(call('HGET', keys.state, 'count_abandoned'))
    local wrong = record(keys, job, now_ms, 'abandoned', '', history_limit, count, {})
    if wrong ~= '' then
      return answer('corrupt', wrong)
    end
  end
  if note ~= '' then
    noted = take_note(keys, job, note)
  end
  if run ~= '' and job.more
      and find(' ' .. job.more .. ' ', ' ' .. run .. ' ', 1, true) then
    return answer('changed')  -- given back before its claim arrived
  end
  local served = find(computed_from, '@', 1, true)
  if served then
    if sub(computed_from, served + 1) ~= (job.served_ms and text(job.served_ms) or '-') then
      return answer('changed')  -- by a run that started in the same millisecond as the one before
    end
    computed_from = sub(computed_from, 1, served - 1)
  end
  if computed_from ~= '*' and version(job) ~= computed_from then
    return answer('changed')
  end
  if due_ms == OF_REQUEST and job.trigger == '' then
    return answer('changed')
  end
  if job.run then
    if now_ms > early_until_ms and noted == '' then
      noted = skip(keys, 'held', { due_ms })
    end
    return answer('held')
  end
  local start_ms = now_ms
  if due_ms >= 0 then
    local paused = is_paused(keys, job)
    if now_ms <= early_until_ms then
      start_ms = early_until_ms + 1
      if run == '' or paused or start_ms > now_ms + ahead_ms then
        return answer('early')
      end
    end
    if paused then
      if noted == '' then
        noted = skip(keys, 'paused', { due_ms })
      end
      return answer('paused')
    end
  end
  if run == '' then
    return answer('due')
  end
  local due = claim(keys, job, run, due_ms, start_ms)
  return answer('claimed', job.token, due)
end

-- The common case: the job is due by its schedule, nobody runs it, and nothing but runs has happened
-- to it. Does what `decide` does then, in half the time. Returns the token; nil where there is
-- more to it: then it has done nothing.
local function claim_plainly(k, state, lease, run, computed_from, early_until_ms, due_ms)
  local job = try('HMGET', state, 'last_ms', 'run', 'due_ms', 'served_ms', 'token', 'first_seen_ms',
    'runs', 'given_back', 'abandoned_ms', 'abandoned_in_row', 'abandoned_run', 'abandoned_due_ms',
    'paused', 'trigger', 'cancel')
  local last_ms, due_before, served = job[1], whole(job[3]), whole(job[4] or '0')
  local token, runs, given_back = whole(job[5]), whole(job[7] or '0'), job[8]
  local start_ms = math.max(now_ms, early_until_ms + 1)
  if last_ms ~= computed_from or (job[2] or '') ~= '' or not (due_before and served and token
      and runs and whole(job[6])) or token >= micros or start_ms > now_ms + ahead_ms or due_ms <= 0
      or job[9] or job[10] or job[11] or job[12] or job[13] or job[14] or job[15]
      or given_back and find(' ' .. given_back .. ' ', ' ' .. run .. ' ', 1, true) then
    return nil
  end
  local last = try('GET', k)
  if not names_second(last, last_ms) then
    return nil
  end
  local start, second = now, now_seconds
  if start_ms > now_ms then
    start, second = text(start_ms), text(math.floor(start_ms / 1000))
  end
  call('HSET', state, 'run', run, 'instance', instance, 'token', micros_text, 'last_ms', start,
    'due_ms', due_ms, 'served_ms', due_ms, 'runs', runs + 1, 'before',
    last .. '\n' .. last_ms .. '\n' .. due_before .. '\n' .. (job[4] and served or '') .. '\n\n\n')
  call('SET', k, second)
  call('SET', lease, run, 'PX', lease_ms)
  return micros
end

local answers = { micros, now_ms, first == 2 and control_since(KEYS[2], ARGV[6]) or '', fleet }
for i = 0, (#KEYS - first) / 4 - 1 do
  local at = first + 4 * i
  local k, state, lease = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  local run, computed_from, early_until_ms, due_ms, note = match(ARGV[i + 8], ASK)
  early_until_ms, due_ms = tonumber(early_until_ms), tonumber(due_ms)
  answers[i + 5] = run ~= '' and note == ''
      and claim_plainly(k, state, lease, run, computed_from, early_until_ms, due_ms)
    or decide({ k = k, state = state, lease = lease, history = KEYS[at + 4] }, run, computed_from,
      early_until_ms, due_ms, note)
end
return answers
