-- What the scripts share; put in front of each of them when they are loaded.
--
-- A job is four keys: k (the last start in whole seconds), its state (a hash), its lease
-- (a string, PX) and its history (a stream). The fields of the state:
--   last_ms        last start, in milliseconds; refines k while both name the same second
--   due_ms         what the last run was due for     first_seen_ms  when the fleet first saw the
--                  job, long before any time after a reset
--   served_ms      the last due time of the schedule that a run was claimed for
--   run, instance  the run that is running, and where; missing when nobody runs it
--   request        the request that the running run answers
--   token          the newest fencing token          finished_ms, outcome, error   of the last run
--   abandoned_run, abandoned_due_ms   the mark of a run recorded as abandoned and its due time,
--                                     until the next claim
--   abandoned_in_row, abandoned_ms    how many runs were, one after the other, and when the last
--   before_*       what the running run's claim replaced: k, last_ms, due_ms, served_ms, the mark
--                  and the request
--   given_back     the last run ids that were given back, the newest first: their claims may yet
--                  arrive
--   paused         until which ms a person has paused the job, '-': until resumed; pause_reason
--   trigger        a request to run now that no run has taken     cancel  the run id to be stopped
--   succeeded_ms, result  when a run last succeeded, and what that one returned (JSON)
--   overdue_ms     when it was noticed that no success came
--   progress       how far the running run is (JSON)
--   skip_reason, skip_due_ms          the last due time that passed without a run, and why
--   skip_due_REASON                   the last one of that reason
--   runs, count_OUTCOME, count_skip_REASON             counters
--
-- Ownership is state.run == run id, and not the lease key: the claimer makes the id before it
-- asks, so every script may be sent again after a lost answer and does nothing twice.

-- Lua prints large numbers as floats and loses digits.
local function text(number)
  return string.format('%.0f', number)
end

-- The milliseconds that decide what is due (an injected clock's, where given), and Redis's own
-- microseconds.
local function clocks(injected_ms)
  local time = redis.call('TIME')
  local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
  if injected_ms ~= '' then
    return tonumber(injected_ms), micros
  end
  return math.floor(micros / 1000), micros
end

-- A stored whole number; nil for what is missing, is no such number, or has more digits than a
-- Lua number keeps.
local function whole(stored)
  local number = stored and string.match(stored, '^%-?%d+$') and tonumber(stored)
  return number and math.abs(number) < 2 ^ 53 and number or nil
end

-- The text of an error reply; over fakeredis it is an object of Python's, not a string.
local function problem_of(key, reply)
  return key .. ': ' .. tostring(reply.err)
end

-- The last start in milliseconds, or nil and, when k is no whole number, what is wrong with it.
local function last_start(k, refined)
  if not k then
    return nil
  end
  if #k > 20 or not string.match(k, '^%-?%d+$') then
    return nil, k
  end
  -- Twelve digits reach the year 33658; what lies beyond is as wrong, and keeps its digits here.
  local second = math.max(-999999999999, math.min(999999999999, tonumber(k)))
  refined = whole(refined)
  if refined and math.floor(refined / 1000) == second then
    return refined
  end
  -- Somebody else wrote k: it counts as the end of its second, as whole-second rules do.
  return second * 1000 + 999
end

-- Whether a reply says that a key holds something else than we put there. Any other error, such
-- as a right that is missing, is no matter of one job: the same call again ends the script with it.
local function is_wrong_type(reply, ...)
  if type(reply) ~= 'table' or not reply.err then
    return false
  end
  if not string.find(tostring(reply.err), 'WRONGTYPE') then
    redis.call(...)
  end
  return true
end

-- Reads one job. A key of a wrong type makes this job corrupt, and stops no other.
local function read(keys)
  local k, wrong_k = redis.pcall('GET', keys.k), nil
  if is_wrong_type(k, 'GET', keys.k) then
    k, wrong_k = false, problem_of(keys.k, k)
  end
  local fields = redis.pcall('HMGET', keys.state, 'last_ms', 'first_seen_ms', 'run', 'token',
    'instance', 'due_ms', 'abandoned_run', 'abandoned_due_ms', 'abandoned_in_row', 'abandoned_ms',
    'served_ms', 'finished_ms', 'succeeded_ms', 'overdue_ms', 'paused', 'trigger', 'cancel',
    'given_back')
  if is_wrong_type(fields, 'HMGET', keys.state, 'run') then
    return { corrupt = problem_of(keys.state, fields) }
  end
  local job = { k = k, run = fields[3] ~= '' and fields[3], token = whole(fields[4]) or 0,
    instance = fields[5] or '', due_ms = whole(fields[6]) and fields[6] or '',
    refined = fields[1] or '', lease_left = 0, abandoned_run = fields[7] or '',
    abandoned_due_ms = whole(fields[8]), abandoned_in_row = whole(fields[9]) or 0,
    abandoned_ms = whole(fields[10]), served_ms = whole(fields[11]),
    finished_ms = whole(fields[12]), succeeded_ms = whole(fields[13]),
    overdue_ms = whole(fields[14]), paused = fields[15] or '', trigger = fields[16] or '',
    cancel = fields[17] or '', given_back = fields[18] or '' }
  local wrong
  job.last_ms, wrong = last_start(k, fields[1])
  job.started_ms = whole(fields[1]) or job.last_ms or 0
  job.first_seen_ms = whole(fields[2])
  job.corrupt = wrong_k or (wrong and keys.k .. ' = ' .. wrong)
  if job.run then
    local holder = redis.pcall('GET', keys.lease)
    if type(holder) == 'table' then
      job.corrupt = problem_of(keys.lease, holder)
    elseif holder == job.run then
      local left = redis.call('PTTL', keys.lease)
      job.endless = left == -1
      job.lease_left = math.max(1, left)
    end
  end
  return job
end

-- What the state holds of a running run, and what its claim replaced, is over.
local function forget_run(state)
  redis.call('HDEL', state, 'run', 'instance', 'request', 'cancel', 'progress', 'before_k',
    'before_last_ms', 'before_due_ms', 'before_served_ms', 'before_abandoned_run',
    'before_abandoned_due_ms', 'before_trigger')
end

-- A run has succeeded: since when the job is well, and what it returned.
local function succeeded(keys, job, at_ms, result)
  job.succeeded_ms, job.overdue_ms = at_ms, nil
  redis.call('HSET', keys.state, 'succeeded_ms', text(at_ms))
  redis.call('HDEL', keys.state, 'overdue_ms')
  if result == '' then
    redis.call('HDEL', keys.state, 'result')
  else
    redis.call('HSET', keys.state, 'result', result)
  end
end

-- Adds an entry to a history; `more` are fields that most entries do not have.
local function add_entry(history, history_limit, fields, more)
  for field, value in pairs(more) do
    if value and value ~= '' then
      fields[#fields + 1] = field
      fields[#fields + 1] = value
    end
  end
  return redis.pcall('XADD', history, 'MAXLEN', history_limit, '*', unpack(fields))
end

-- Writes how a run ended, into state and history, and makes the job free. `more`: what else there
-- is to say of it, as fields of its entry: attempts, traceback, result.
local function record(keys, job, finished_ms, outcome, err, history_limit, more)
  more = more or {}
  more.request = redis.call('HGET', keys.state, 'request')
  redis.call('HSET', keys.state, 'finished_ms', text(finished_ms), 'outcome', outcome, 'error', err)
  forget_run(keys.state)
  job.finished_ms, job.cancel = finished_ms, ''
  redis.pcall('HINCRBY', keys.state, 'count_' .. outcome, 1)
  if outcome == 'abandoned' then
    job.abandoned_run, job.abandoned_due_ms = job.run, whole(job.due_ms) or job.started_ms
    job.abandoned_in_row, job.abandoned_ms = job.abandoned_in_row + 1, finished_ms
    redis.call('HSET', keys.state, 'abandoned_run', job.run,
      'abandoned_due_ms', text(job.abandoned_due_ms), 'abandoned_ms', text(finished_ms),
      'abandoned_in_row', text(job.abandoned_in_row))
  elseif outcome == 'succeeded' or outcome == 'failed' or outcome == 'timed_out'
      or outcome == 'cancelled' then
    -- It ended, well or badly, and its instance lived: the row is broken.
    redis.call('HDEL', keys.state, 'abandoned_in_row')
    job.abandoned_in_row = 0
  end
  if outcome == 'succeeded' then
    succeeded(keys, job, finished_ms, more.result or '')
  end
  local added = add_entry(keys.history, history_limit, { 'run', job.run,
    'token', text(job.token), 'instance', job.instance, 'due_ms', job.due_ms,
    'started_ms', text(job.started_ms), 'finished_ms', text(finished_ms),
    'outcome', outcome, 'error', err }, more)
  job.run = false
  job.lease_left = 0
  if type(added) == 'table' and added.err then
    return problem_of(keys.history, added)
  end
  return ''
end

-- What a due time was computed from, so that a claim can say which state of affairs it knows.
-- The number alone comes back: a late finish takes one away, the next death adds one.
local function version(job)
  local last = job.last_ms and text(job.last_ms) or '-'
  if not job.abandoned_ms then
    return last
  end
  return last .. '/' .. text(job.abandoned_in_row) .. '/' .. text(job.abandoned_ms)
end

-- The part of an answer that every script gives.
local function known(job)
  local touched = ''
  if job.paused ~= '' or job.trigger ~= '' or job.cancel ~= '' then
    touched = { job.paused, job.trigger, job.cancel }
  end
  return { job.last_ms or '', job.first_seen_ms or '', job.run or '', job.lease_left or 0,
    job.abandoned_due_ms or '', job.abandoned_in_row or 0, job.abandoned_ms or '',
    job.served_ms or '', job.finished_ms or '', job.succeeded_ms or '',
    job.overdue_ms and 1 or 0, touched }
end
