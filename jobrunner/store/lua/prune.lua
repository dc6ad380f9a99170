-- Prune: remove the keys of jobs that no code knows any more, unless somebody runs them.
--
-- KEYS  for each job: k, its state, its lease, its history
-- ARGV  none
-- Answer  { '' (its keys are gone), 'held' (a lease stands there), or what is wrong with a key:
--         then none of the job's is touched ... }, for each job in turn
-- Touches  k, state and history: deletes all three, or none; reads the lease

local function prune(keys)
  local job = read(keys)
  if job.corrupt then
    return job.corrupt
  end
  local entries = try('XREVRANGE', keys.history, '+', '-', 'COUNT', 1)
  if is_wrong_type(entries, 'XREVRANGE', keys.history, '+', '-', 'COUNT', 1) then
    return problem_of(keys.history, entries)
  end
  -- Also a lease without its run, of a state that somebody deleted: it ends by itself.
  if call('PTTL', keys.lease) ~= -2 then
    return 'held'
  end
  call('DEL', keys.k, keys.state, keys.history)
  return ''
end

local answers = {}
for i = 0, #KEYS / 4 - 1 do
  local at = 4 * i
  answers[i + 1] = prune({ k = KEYS[at + 1], state = KEYS[at + 2], lease = KEYS[at + 3],
    history = KEYS[at + 4] })
end
return answers
