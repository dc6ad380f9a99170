-- Give back: undo claims whose runs never started; each job is as due as before.
--
-- KEYS  for each run: k, its state, its lease, its history
-- ARGV  the run ids
-- Answer  for each run 1 (given back) or 0 (not the running run: nothing done)
-- Touches  of a run that is given back: k, state and lease; the history never. Of any other: the
--          state remembers its id, so that a claim which is still on its way is not granted

-- So many ids are remembered: several instances of a deploy may give back at once.
local REMEMBERED = 8

local function remember(state, run)
  local ids, earlier = { run }, redis.pcall('HGET', state, 'given_back')
  if type(earlier) == 'string' then
    for id in string.gmatch(earlier, '%S+') do
      if id ~= run and #ids < REMEMBERED then
        ids[#ids + 1] = id
      end
    end
  end
  redis.pcall('HSET', state, 'given_back', table.concat(ids, ' '))
end

local answers = {}
for i = 0, #KEYS / 4 - 1 do
  local k, state, lease = KEYS[4 * i + 1], KEYS[4 * i + 2], KEYS[4 * i + 3]
  local run = ARGV[i + 1]
  answers[i + 1] = 0
  remember(state, run)
  if redis.pcall('HGET', state, 'run') == run then
    local before = redis.call('HMGET', state, 'before_k', 'before_last_ms', 'before_due_ms',
      'last_ms', 'before_abandoned_run', 'before_abandoned_due_ms', 'before_served_ms',
      'before_trigger')
    -- Only what the claim itself wrote is undone: an operator may have set or deleted k since.
    local claimed_ms = whole(before[4])
    if claimed_ms and redis.pcall('GET', k) == text(math.floor(claimed_ms / 1000)) then
      if (before[1] or '') == '' then
        redis.call('DEL', k)
      else
        redis.call('SET', k, before[1])
      end
    end
    local restored = { last_ms = before[2] or '', due_ms = before[3] or '',
      served_ms = before[7] or '', abandoned_run = before[5] or '',
      abandoned_due_ms = before[6] or '' }
    -- A request that came since is as good as the one that the claim took.
    if redis.call('HEXISTS', state, 'trigger') == 0 then
      restored.trigger = before[8] or ''
    end
    for field, value in pairs(restored) do
      if value == '' then
        redis.call('HDEL', state, field)
      else
        redis.call('HSET', state, field, value)
      end
    end
    forget_run(state)
    redis.pcall('HINCRBY', state, 'runs', -1)
    if redis.pcall('GET', lease) == run then
      redis.call('DEL', lease)
    end
    answers[i + 1] = 1
  end
end
return answers
