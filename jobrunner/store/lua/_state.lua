-- What the scripts share; put in front of each of them when they are loaded.
--
-- A job is four keys: k (the last start in whole seconds), its state (a hash), its lease
-- (a string, PX) and its history (a stream). The fields of the state:
--   last_ms        last start, in milliseconds; refines k while both name the same second
--   due_ms         what the last run was due for     first_seen_ms  when the fleet first saw the
--                  job, long before any time after a reset
--   served_ms      the last due time of the schedule that a run was claimed for
--   run, instance  the run that is running, and where; run is missing or empty when nobody runs it
--   request        the request that the running run answers
--   token          the newest fencing token          finished_ms, outcome, error   of the last run
--   abandoned_run, abandoned_due_ms   the mark of a run recorded as abandoned and its due time,
--                                     until the next claim
--   abandoned_in_row, abandoned_ms    how many runs were, one after the other, and when the last
--   before         what the running run's claim replaced, a line each: k, last_ms, due_ms,
--                  served_ms, the mark (run and due time), the request; an empty line: nothing
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
--
-- A script blocks Redis while it runs, so each command that it can do without counts: what is
-- written to one key is written by one command, and what is not there is not taken away.

local call, try, find, match, sub = redis.call, redis.pcall, string.find, string.match, string.sub

-- Lua prints large numbers as floats and loses digits.
local function text(number)
  return string.format('%.0f', number)
end

-- The milliseconds that decide what is due (an injected clock's, where given), and Redis's own
-- microseconds.
local function clocks(injected_ms)
  local time = call('TIME')
  local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
  if injected_ms ~= '' then
    return tonumber(injected_ms), micros
  end
  return math.floor(micros / 1000), micros
end

-- A stored whole number; nil for what is missing, is no such number, or has more digits than a
-- Lua number keeps.
local function whole(stored)
  local number = stored and tonumber(stored)
  return number and number < 2 ^ 53 and number > -2 ^ 53 and number % 1 == 0 and number or nil
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
  if #k > 20 or not find(k, '^%-?%d+$') then
    return nil, k
  end
  local second = tonumber(k)
  if refined and math.floor(refined / 1000) == second then
    return refined
  end
  -- Twelve digits reach the year 33658; what lies beyond is as wrong, and keeps its digits here.
  second = math.max(-999999999999, math.min(999999999999, second))
  -- Somebody else wrote k: it counts as the end of its second, as whole-second rules do.
  return second * 1000 + 999
end

-- Whether k, as it stands there, is the second of the start `ms`, as that stands there: in the
-- common case. When it is not, `last_start` says what k is.
local function names_second(k, ms)
  return k == sub(ms, 1, -4) and #ms > 3 and sub(ms, 1, 1) ~= '-'
end

-- Whether a reply says that a key holds something else than we put there. Any other error, such
-- as a right that is missing, is no matter of one job: the same call again ends the script with it.
local function is_wrong_type(reply, ...)
  if type(reply) ~= 'table' or not reply.err then
    return false
  end
  if not find(tostring(reply.err), 'WRONGTYPE') then
    call(...)
  end
  return true
end

-- Every job of a call is read into the same table, which the next one overwrites: a new one for
-- each takes longer than all else here that is not a command.
local job = {}

-- Reads one job; `...`: fields of its state that only some scripts need, into `more` and `more_2`.
-- A key of a wrong type makes this job corrupt, and stops no other.
local function read(keys, ...)
  local k, wrong_k = try('GET', keys.k), nil
  if is_wrong_type(k, 'GET', keys.k) then
    k, wrong_k = false, problem_of(keys.k, k)
  end
  local fields = try('HMGET', keys.state, 'last_ms', 'first_seen_ms', 'run', 'token', 'instance',
    'due_ms', 'served_ms', 'finished_ms', 'succeeded_ms', 'overdue_ms', 'paused', 'trigger',
    'cancel', 'request', 'abandoned_run', 'abandoned_due_ms', 'abandoned_in_row', 'abandoned_ms',
    ...)
  if is_wrong_type(fields, 'HMGET', keys.state, 'run') then
    return { corrupt = problem_of(keys.state, fields), paused = '', trigger = '', cancel = '',
      lease_left = 0 }
  end
  local refined = whole(fields[1])
  local last_ms, wrong = last_start(k, refined)
  job.k, job.last_ms, job.refined = k, last_ms, refined and fields[1] or ''
  job.corrupt = wrong_k or (wrong and keys.k .. ' = ' .. wrong)
  job.started_ms, job.first_seen_ms = refined or last_ms or 0, whole(fields[2])
  job.run, job.token, job.instance = fields[3] ~= '' and fields[3], whole(fields[4]) or 0,
    fields[5] or ''
  job.due_ms, job.served_ms = whole(fields[6]) and fields[6] or '', whole(fields[7])
  job.finished_ms, job.succeeded_ms = whole(fields[8]), whole(fields[9])
  job.is_overdue, job.overdue_ms = fields[10], whole(fields[10])
  job.paused, job.trigger, job.cancel = fields[11] or '', fields[12] or '', fields[13] or ''
  job.request = fields[14]
  job.is_marked = fields[15] or fields[16]
  job.abandoned_run, job.abandoned_due_ms = fields[15] or '', whole(fields[16])
  job.has_row, job.abandoned_in_row = fields[17], whole(fields[17]) or 0
  job.abandoned_ms = whole(fields[18])
  job.more, job.more_2 = fields[19], fields[20]
  job.holder, job.endless, job.lease_left = nil, false, 0
  if job.run then
    job.holder = try('GET', keys.lease)
    if type(job.holder) == 'table' then
      job.corrupt = problem_of(keys.lease, job.holder)
    elseif job.holder == job.run then
      local left = call('PTTL', keys.lease)
      job.endless = left == -1
      job.lease_left = math.max(1, left)
    end
  end
  return job
end

-- What a claim replaces, in the words of the field `before`.
local function before_words(k, last_ms, due_ms, served_ms, marked_run, marked_due_ms, request)
  if find(marked_run, '%s') then
    marked_run, marked_due_ms = '', ''  -- no run has such an id
  end
  return table.concat({ k, last_ms, due_ms, served_ms, marked_run, marked_due_ms, request }, '\n')
end

-- The seven parts of `before`; nothing when they are not there.
local function before_parts(stored)
  return match(stored or '', '^(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.*)$')
end

-- A counter of the state, one higher than `stored`; '' when what is stored is no number.
local function counted(stored)
  local number = whole(stored or '0')
  return number and text(number + 1) or ''
end

-- Writes fields of a state, given as name, value, name, value, and takes others away; one command
-- each, and none for nothing.
local function write(state, set, gone)
  if #set > 0 then
    call('HSET', state, unpack(set))
  end
  if #gone > 0 then
    call('HDEL', state, unpack(gone))
  end
end

-- What a state holds of its running run and of what that one's claim replaced.
local function of_the_run(job)
  local gone = { 'run', 'instance', 'before', 'progress' }
  if job.request then
    gone[5] = 'request'
  end
  if job.cancel ~= '' then
    gone[#gone + 1] = 'cancel'
  end
  return gone
end

-- A run has succeeded at `at_ms`: since when the job is well, and what it returned. Adds to what
-- is to be written, and to what is to go.
local function succeeded(job, at_ms, result, set, gone)
  job.succeeded_ms = at_ms
  set[#set + 1], set[#set + 2] = 'succeeded_ms', text(at_ms)
  if job.is_overdue then
    job.overdue_ms = nil
    gone[#gone + 1] = 'overdue_ms'
  end
  if result == '' then
    gone[#gone + 1] = 'result'
  else
    set[#set + 1], set[#set + 2] = 'result', result
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
  return try('XADD', history, 'MAXLEN', history_limit, '*', unpack(fields))
end

-- Outcomes of runs that ended, well or badly, and whose instance lived.
local ENDED = { succeeded = true, failed = true, timed_out = true, cancelled = true }

-- Writes how a run ended, into state and history, and makes the job free. `count`: how many runs
-- have ended so, this one with them; '': the stored number cannot be read and stays. `more`: what
-- else there is to say of it, as fields of its entry: attempts, traceback, result.
local function record(keys, job, finished_ms, outcome, err, history_limit, count, more)
  local finished = text(finished_ms)
  local set = { 'finished_ms', finished, 'outcome', outcome, 'error', err }
  local gone = of_the_run(job)
  if count ~= '' then
    set[7], set[8] = 'count_' .. outcome, count
  end
  if outcome == 'abandoned' then
    job.abandoned_run, job.abandoned_due_ms = job.run, whole(job.due_ms) or job.started_ms
    job.abandoned_in_row, job.abandoned_ms = job.abandoned_in_row + 1, finished_ms
    for _, one in ipairs({ 'abandoned_run', job.run, 'abandoned_due_ms', text(job.abandoned_due_ms),
      'abandoned_ms', finished, 'abandoned_in_row', text(job.abandoned_in_row) }) do
      set[#set + 1] = one
    end
  elseif ENDED[outcome] then
    if job.has_row then
      gone[#gone + 1] = 'abandoned_in_row'
    end
    job.abandoned_in_row = 0
  end
  if outcome == 'succeeded' then
    succeeded(job, finished_ms, more.result or '', set, gone)
  end
  write(keys.state, set, gone)
  more.request = job.request
  local added = add_entry(keys.history, history_limit, { 'run', job.run,
    'token', text(job.token), 'instance', job.instance, 'due_ms', job.due_ms,
    'started_ms', text(job.started_ms), 'finished_ms', finished,
    'outcome', outcome, 'error', err }, more)
  job.finished_ms, job.cancel, job.run, job.lease_left = finished_ms, '', false, 0
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

-- The part of an answer that every script gives; false: there is none.
local function known(job)
  local touched = false
  if job.paused ~= '' or job.trigger ~= '' or job.cancel ~= '' then
    touched = { job.paused, job.trigger, job.cancel }
  end
  return { job.last_ms or false, job.first_seen_ms or false, job.run or false, job.lease_left,
    job.abandoned_due_ms or false, job.abandoned_in_row or 0, job.abandoned_ms or false,
    job.served_ms or false, job.finished_ms or false, job.succeeded_ms or false,
    job.overdue_ms and 1 or 0, touched }
end
