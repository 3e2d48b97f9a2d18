-- A request whose host has no scope belongs to a wildcard host or to nobody: use the
-- scope of its first path segment's bucket, of which there is always one.
function envoy_on_request(handle)
  local info = handle:streamInfo()
  if info:routeName() ~= "" then return end
  handle:metadata() -- finds the route
  if info:routeName() ~= "" then return end
  local headers = handle:headers()
  local segment = string.match(headers:get(":path") or "", "^/([^/?]*)") or ""
  local sum = 0
  for i = 1, math.min(#segment, 64) do
    sum = (sum * 131 + string.byte(segment, i)) % 1048573
  end
  headers:replace("x-durward-shard", "#/" .. (sum % 1024))
  handle:clearRouteCache()
end
