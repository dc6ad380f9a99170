-- Token: a larger fencing token for a run that found a larger one than its own in its database.
--
-- KEYS  1 the job's state
-- ARGV  1 run id   2 the token that the database holds
-- Answer  the new token, larger than both; 0 when the run is not the running run any more
-- Touches  the state's token
--
-- A new master whose clock is behind, or one that lost its data, hands out tokens that are too
-- small: the newest run must not be refused for that.

local _, micros = clocks('')
local state = call('HMGET', KEYS[1], 'run', 'token')
if state[1] ~= ARGV[1] then
  return 0
end
local token = math.max(whole(state[2]) or 0, whole(ARGV[2]) or 0, micros - 1) + 1
call('HSET', KEYS[1], 'token', text(token))
return token
