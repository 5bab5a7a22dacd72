-- Asks for one path at each tenant's host in turn: wrk ... -- PATH SIZE
-- Each thread asks at another of the ports in BENCH_PORTS.

local threads = {}
local ports = {}

for port in string.gmatch(os.getenv("BENCH_PORTS"), "%d+") do
   table.insert(ports, port)
end

function setup(thread)
   thread:set("offset", #threads)
   thread.addr = wrk.lookup("127.0.0.1", ports[#threads % #ports + 1])[1]
   table.insert(threads, thread)
end

local asked = {}
local at = 0

function init(args)
   local path, size = args[1], tonumber(args[2])
   for number = 1, size do
      local host = string.format("c%05d.localhost", number)
      asked[number] = wrk.format("GET", path, { Host = host })
   end
   -- The threads begin in different places, or they would ask for the same tenant at once.
   at = math.floor(size / 2) * offset
end

function request()
   at = at % #asked + 1
   return asked[at]
end

function done(summary, latency, requests)
   local errors = summary.errors
   print(string.format(
      'JSON {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}',
      summary.requests,
      summary.duration / 1e6,
      latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout
   ))
end
