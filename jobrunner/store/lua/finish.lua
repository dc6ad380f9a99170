-- Finish: record how many runs ended, release what is still theirs.
--
-- KEYS  for each run: k, its state, its lease, its history
-- ARGV  1 injected clock in ms, or ''   2 history limit; then for each run:
--       run id, outcome, error, ms since it ended
-- Answer  { Redis's microseconds, now in ms, { status, last start, first seen, running run,
--         lease left in ms, problem } ... }, for each run in turn
-- Status  finished; amended (somebody had recorded it as abandoned);
--         gone (recorded before, or superseded: nothing done)
-- Touches  of each run: state, lease, history

local now_ms, micros = clocks(ARGV[1])
local history_limit = ARGV[2]

-- The history's entry of `run`, as id and fields; nil when it was trimmed away.
local function entry_of(history, run)
  local entries = redis.pcall('XREVRANGE', history, '+', '-', 'COUNT', history_limit)
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

-- A finish that comes after somebody recorded `abandoned` puts the truth in its place.
local function amend(keys, run, outcome, err, ended_ms)
  local id, fields = entry_of(keys.history, run)
  if not id or fields.outcome ~= 'abandoned' then
    return 'gone'
  end
  redis.call('XDEL', keys.history, id)
  redis.call('XADD', keys.history, 'MAXLEN', history_limit, '*', 'run', run,
    'token', fields.token, 'instance', fields.instance, 'due_ms', fields.due_ms,
    'started_ms', fields.started_ms, 'finished_ms', text(ended_ms), 'outcome', outcome,
    'error', err)
  redis.pcall('HINCRBY', keys.state, 'count_abandoned', -1)
  redis.pcall('HINCRBY', keys.state, 'count_' .. outcome, 1)
  if (whole(redis.call('HGET', keys.state, 'abandoned_in_row')) or 0) > 0 then
    redis.pcall('HINCRBY', keys.state, 'abandoned_in_row', -1)
  end
  if redis.call('HGET', keys.state, 'token') == fields.token then
    redis.call('HSET', keys.state, 'finished_ms', text(ended_ms), 'outcome', outcome, 'error', err)
  end
  return 'amended'
end

local answers = { micros, now_ms }
for i = 0, #KEYS / 4 - 1 do
  local keys = { k = KEYS[4 * i + 1], state = KEYS[4 * i + 2], lease = KEYS[4 * i + 3],
    history = KEYS[4 * i + 4] }
  local run, outcome, err = ARGV[4 * i + 3], ARGV[4 * i + 4], ARGV[4 * i + 5]
  local job = read(keys)
  local status, problem = 'gone', job.corrupt or ''
  if job.run == run then
    local ended_ms = math.max(job.started_ms, now_ms - tonumber(ARGV[4 * i + 6]))
    problem = record(keys, job, ended_ms, outcome, err, history_limit)
    if redis.pcall('GET', keys.lease) == run then
      redis.call('DEL', keys.lease)
    end
    status = 'finished'
  elseif not job.corrupt then
    status = amend(keys, run, outcome, err, now_ms - tonumber(ARGV[4 * i + 6]))
  end
  local last, first_seen, running, left = known(job)
  answers[i + 3] = { status, last, first_seen, running, left, problem }
end
return answers
