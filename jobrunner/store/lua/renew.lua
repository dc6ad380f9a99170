-- Renew: the leases of many runs, in one call.
--
-- KEYS  for each run: its state, its lease
-- ARGV  1 lease in ms; then the run ids
-- Answer  for each run 1 (renewed) or 0 (it is not the running run any more: lost)
-- Touches  the lease of each run that is renewed
--
-- A lease that has ended is made anew while nobody has recorded the run as abandoned: the run
-- still owns its job.

local answers = {}
for i = 0, #KEYS / 2 - 1 do
  local run = ARGV[i + 2]
  if try('HGET', KEYS[2 * i + 1], 'run') == run then
    call('SET', KEYS[2 * i + 2], run, 'PX', ARGV[1])
    answers[i + 1] = 1
  else
    answers[i + 1] = 0
  end
end
return answers
