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
  local ids, earlier = { run }, try('HGET', state, 'given_back')
  if type(earlier) == 'string' then
    for id in string.gmatch(earlier, '%S+') do
      if id ~= run and #ids < REMEMBERED then
        ids[#ids + 1] = id
      end
    end
  end
  try('HSET', state, 'given_back', table.concat(ids, ' '))
end

local answers = {}
for i = 0, #KEYS / 4 - 1 do
  local k, state, lease = KEYS[4 * i + 1], KEYS[4 * i + 2], KEYS[4 * i + 3]
  local run = ARGV[i + 1]
  answers[i + 1] = 0
  remember(state, run)
  if try('HGET', state, 'run') == run then
    local stored = call('HMGET', state, 'before', 'last_ms', 'request', 'cancel', 'trigger')
    local before_k, last_ms, due_ms, served_ms, marked_run, marked_due_ms, request =
      before_parts(stored[1])
    -- Only what the claim itself wrote is undone: an operator may have set or deleted k since.
    local claimed_ms = whole(stored[2])
    if claimed_ms and try('GET', k) == text(math.floor(claimed_ms / 1000)) then
      if (before_k or '') == '' then
        call('DEL', k)
      else
        call('SET', k, before_k)
      end
    end
    local restored = { last_ms = last_ms or '', due_ms = due_ms or '', served_ms = served_ms or '',
      abandoned_run = marked_run or '', abandoned_due_ms = marked_due_ms or '' }
    -- A request that came since is as good as the one that the claim took.
    if not stored[5] then
      restored.trigger = request or ''
    end
    for field, value in pairs(restored) do
      if value == '' then
        call('HDEL', state, field)
      else
        call('HSET', state, field, value)
      end
    end
    call('HDEL', state, unpack(of_the_run({ request = stored[3], cancel = stored[4] or '' })))
    try('HINCRBY', state, 'runs', -1)
    if try('GET', lease) == run then
      call('DEL', lease)
    end
    answers[i + 1] = 1
  end
end
return answers
