-- Finish: record how many runs ended, release what is still theirs.
--
-- KEYS  for each run: k, its state, its lease, its history
-- ARGV  1 injected clock in ms, or ''   2 history limit   3 ms that an entry of the history may be
--       old, or ''; then for each run: run id, outcome, ms since it ended, attempts, and how many
--       arguments follow, parted by blanks; those, if any: error, the end of the traceback, the
--       result as JSON ('': none of it)
-- Answer  { Redis's microseconds, now in ms, then for each run { status, KNOWN, problem }, KNOWN as
--         in claim.lua; or the ms of its end alone: it is finished, has succeeded, and else all is
--         as it was when it was claimed }
-- Status  finished; amended (somebody had recorded it as abandoned);
--         gone (recorded before, or superseded: nothing done)
-- Touches  of each run: state, lease, history

local now_ms, micros = clocks(ARGV[1])
local history_limit, oldest = ARGV[2], nil
if ARGV[3] ~= '' then
  -- The ids of the entries are times by Redis's own clock.
  oldest = text(math.max(0, math.floor(micros / 1000) - tonumber(ARGV[3])))
end

-- The history's entry of `run`, as id and fields; nil when it was trimmed away.
local function entry_of(history, run)
  local entries = try('XREVRANGE', history, '+', '-', 'COUNT', history_limit)
  for _, entry in ipairs(entries) do
    local fields = {}
    for j = 1, #entry[2], 2 do
      fields[entry[2][j]] = entry[2][j + 1]
    end
    if fields.run == run then
      return entry[1], fields
    end
  end
end

-- Takes back what recording the run as abandoned has set off: its place in the row, and the mark
-- for which it would be run again (or which a give-back would put there again).
local function take_back(keys, job, run)
  if job.abandoned_in_row > 0 then
    job.abandoned_in_row = job.abandoned_in_row - 1
    call('HSET', keys.state, 'abandoned_in_row', text(job.abandoned_in_row))
  end
  if job.abandoned_run == run then
    job.abandoned_due_ms = nil
    call('HDEL', keys.state, 'abandoned_run', 'abandoned_due_ms')
  end
  local k, last_ms, due_ms, served_ms, marked_run, _, request =
    before_parts(call('HGET', keys.state, 'before'))
  if marked_run == run then
    call('HSET', keys.state, 'before',
      before_words(k, last_ms, due_ms, served_ms, '', '', request))
  end
end

-- A finish that comes after somebody recorded `abandoned` puts the truth in its place.
local function amend(keys, job, run, outcome, err, ended_ms, more)
  local id, fields = entry_of(keys.history, run)
  if not id or fields.outcome ~= 'abandoned' then
    return 'gone'
  end
  call('XDEL', keys.history, id)
  more.request = fields.request
  add_entry(keys.history, history_limit, { 'run', run,
    'token', fields.token, 'instance', fields.instance, 'due_ms', fields.due_ms,
    'started_ms', fields.started_ms, 'finished_ms', text(ended_ms), 'outcome', outcome,
    'error', err }, more)
  try('HINCRBY', keys.state, 'count_abandoned', -1)
  try('HINCRBY', keys.state, 'count_' .. outcome, 1)
  take_back(keys, job, run)
  if call('HGET', keys.state, 'token') == fields.token then
    call('HSET', keys.state, 'finished_ms', text(ended_ms), 'outcome', outcome, 'error', err)
    job.finished_ms = ended_ms
  end
  if outcome == 'succeeded'
      and ended_ms > (whole(call('HGET', keys.state, 'succeeded_ms')) or -1) then
    local set, gone = {}, {}
    succeeded(job, ended_ms, more.result, set, gone)  -- unless a newer success stands there
    write(keys.state, set, gone)
  end
  return 'amended'
end

-- The common case: the running run has succeeded, and nobody has touched its job meanwhile. Does
-- what `read` and `record` do then, in half the time; what would be taken away is nothing while `run`
-- is empty, and the next claim writes it anew. Returns the ms of its end; nil where there is more
-- to it: then it has done nothing.
local function finish_plainly(k, state, lease, history, run, ago_ms)
  local job = try('HMGET', state, 'run', 'last_ms', 'token', 'due_ms', 'instance',
    'count_succeeded', 'request', 'cancel', 'progress', 'paused', 'trigger', 'result', 'overdue_ms',
    'abandoned_in_row')
  local started_ms, count = whole(job[2]), whole(job[6] or '0')
  if job[1] ~= run or not (started_ms and count and whole(job[3]) and whole(job[4])) or job[7]
      or job[8] or job[9] or job[10] or job[11] or job[12] or job[13] or job[14]
      or not names_second(try('GET', k), job[2]) or try('GET', lease) ~= run then
    return nil
  end
  local ended_ms = math.max(started_ms, now_ms - ago_ms)
  local added = try('XADD', history, 'MAXLEN', history_limit, '*', 'run', run, 'token', job[3],
    'instance', job[5] or '', 'due_ms', job[4], 'started_ms', job[2], 'finished_ms', ended_ms,
    'outcome', 'succeeded', 'error', '')
  if type(added) == 'table' then
    return nil
  end
  call('HSET', state, 'finished_ms', ended_ms, 'outcome', 'succeeded', 'error', '', 'run', '',
    'succeeded_ms', ended_ms, 'count_succeeded', count + 1)
  call('DEL', lease)
  return ended_ms
end

local function finish(keys, run, outcome, ago_ms, attempts, err, traceback, result)
  local more = { attempts = attempts ~= '1' and attempts, traceback = traceback, result = result }
  local job = read(keys, 'count_' .. outcome)
  local status, problem = 'gone', job.corrupt or ''
  if job.run == run then
    local ended_ms = math.max(job.started_ms, now_ms - ago_ms)
    problem = record(keys, job, ended_ms, outcome, err, history_limit, counted(job.more), more)
    if job.holder == run then
      call('DEL', keys.lease)
    end
    status = 'finished'
  elseif not job.corrupt then
    status = amend(keys, job, run, outcome, err, now_ms - ago_ms, more)
  end
  if oldest then
    local trimmed = try('XTRIM', keys.history, 'MINID', oldest)
    if type(trimmed) == 'table' and trimmed.err and problem == '' then
      problem = problem_of(keys.history, trimmed)
    end
  end
  return { status, known(job), problem }
end

local answers, at = { micros, now_ms }, 4
for i = 0, #KEYS / 4 - 1 do
  local k, state, lease, history = KEYS[4 * i + 1], KEYS[4 * i + 2], KEYS[4 * i + 3], KEYS[4 * i + 4]
  local run, outcome, ago_ms, attempts, more = match(ARGV[at], '^(%S+) (%S+) (%S+) (%S+) (%d)$')
  local plain = outcome == 'succeeded' and attempts == '1' and more == '0' and not oldest
    and finish_plainly(k, state, lease, history, run, tonumber(ago_ms))
  if plain then
    answers[i + 3], at = plain, at + 1
  else
    local err, traceback, result = '', '', ''
    if more ~= '0' then
      err, traceback, result = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    end
    answers[i + 3], at = finish({ k = k, state = state, lease = lease, history = history }, run,
      outcome, tonumber(ago_ms), attempts, err, traceback, result), at + 1 + tonumber(more)
  end
end
return answers
