-- Control: what a person asks of one job.
--
-- KEYS  k, its state, its lease, its history
-- ARGV  1 what; then what that takes
--       trigger: 2 request id   3 '1' when it may wait for the running run, else ''
--       pause: 2 until which ms, '-': until resumed   3 why
--       resume, reset, cancel: nothing
-- Answer  { status, detail, instance of the running run }
-- Status  done: detail is the request that stands (a trigger), the run that will stop (a cancel)
--         held: the job is running, detail is its run    idle: it is not    corrupt: detail quotes
-- Touches  the state; k (a reset); reads the history (a trigger)

local keys = { k = KEYS[1], state = KEYS[2], lease = KEYS[3], history = KEYS[4] }
local what = ARGV[1]
local job = read(keys)
-- A run without a lease is over, though nobody has recorded it yet.
local running = job.run and job.lease_left > 0

-- Whether a run answers the request, or one of the newest has: a trigger may arrive twice.
local function is_answered(request)
  if call('HGET', keys.state, 'request') == request then
    return true
  end
  for _, entry in ipairs(try('XREVRANGE', keys.history, '+', '-', 'COUNT', 100)) do
    for j = 1, #entry[2], 2 do
      if entry[2][j] == 'request' and entry[2][j + 1] == request then
        return true
      end
    end
  end
  return false
end

if job.corrupt and not (what == 'reset' and job.token) then
  return { 'corrupt', job.corrupt, '' }
end
if what == 'trigger' then
  if is_answered(ARGV[2]) then
    return { 'done', ARGV[2], '' }
  end
  if running and ARGV[3] == '' then
    return { 'held', job.run, job.instance }
  end
  if job.trigger == '' then
    job.trigger = ARGV[2]
    call('HSET', keys.state, 'trigger', job.trigger)
  end
  return { 'done', job.trigger, '' }
elseif what == 'pause' then
  call('HSET', keys.state, 'paused', ARGV[2], 'pause_reason', ARGV[3])
elseif what == 'resume' then
  call('HDEL', keys.state, 'paused', 'pause_reason', 'abandoned_in_row', 'abandoned_ms')
elseif what == 'reset' then
  -- last_ms stays: without k it decides nothing, and the run that goes on started then.
  call('DEL', keys.k)
  call('HDEL', keys.state, 'served_ms', 'abandoned_in_row', 'abandoned_ms')
  call('HSET', keys.state, 'first_seen_ms', '-1000000000000000')  -- long ago: due at once
elseif what == 'cancel' then
  if not running then
    return { 'idle', '', '' }
  end
  call('HSET', keys.state, 'cancel', job.run)
  return { 'done', job.run, job.instance }
end
return { 'done', '', '' }
