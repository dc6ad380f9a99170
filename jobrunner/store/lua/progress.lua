-- Progress: how far many runs are, in one call.
--
-- KEYS  for each run: its state
-- ARGV  1 injected clock in ms, or ''; then for each run:
--       run id, the members of a JSON object that tell it, ms since it was told
-- Answer  for each run 1 (written) or 0 (it is not the running run: nothing done)
-- Touches  of a run that is the running one: its state (progress, until the end is recorded)

local now_ms = clocks(ARGV[1])

local answers = {}
for i = 1, #KEYS do
  local run, told, ago_ms = ARGV[3 * i - 1], ARGV[3 * i], tonumber(ARGV[3 * i + 1])
  answers[i] = 0
  if try('HGET', KEYS[i], 'run') == run then
    call('HSET', KEYS[i], 'progress',
      '{' .. told .. ',"at_ms":' .. text(now_ms - ago_ms) .. '}')
    answers[i] = 1
  end
end
return answers
