-- Holds a request while its slice belongs to nobody, for at most ten seconds; then lets it go where the map says.
local SECONDS, STEP_MS = 10, 20
local map = nil

core.register_init(function()
  map = Map.new(os.getenv("BANYAN_MAP"), Map._str)
end)

core.register_action("banyan_hold", { "http-req" }, function(txn)
  local slice = txn:get_var("txn.slice")
  local since = core.now()
  while true do
    local side = map:lookup(slice) or "unknown"
    txn:set_var("txn.side", side)
    if side ~= "hold" then return end
    local now = core.now()
    if (now.sec - since.sec) + (now.usec - since.usec) / 1000000 >= SECONDS then return end
    core.msleep(STEP_MS)
  end
end)
