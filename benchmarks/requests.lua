-- What wrk sends, and what it reports: one line of JSON.
-- wrk … URL -- one KEYS | post PREFIX
local number = 0

function setup(thread)
  thread:set("id", number)
  number = number + 1
end

function init(arguments)
  local kind = arguments[1]
  sent = 0
  if kind == "one" then
    local keys = {}
    for line in io.lines(arguments[2]) do keys[#keys + 1] = "/items/" .. line end
    math.randomseed(os.time() + id)
    request = function() return wrk.format("GET", keys[math.random(#keys)]) end
  elseif kind == "post" then
    local headers = { ["Content-Type"] = "application/json" }
    request = function()
      sent = sent + 1
      local name = arguments[2] .. " " .. id .. " " .. sent
      local body = '{"name": "' .. name .. '", "description": "Green", "quantity": 3}'
      return wrk.format("POST", "/items", headers, body)
    end
  end
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "errors": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
