-- A request that has no route yet names its host in capitals, or has a first path
-- segment that is nobody's on that host: use the scope of the host alone.
function envoy_on_request(handle)
  local info = handle:streamInfo()
  if info:routeName() ~= "" then return end
  local headers = handle:headers()
  local host = headers:get(":authority") or ""
  local lower = string.lower(host)
  -- Envoy took a port and a dot away; whoever takes another reads another host.
  if string.find(lower, "%.$") or string.find(lower, ":%d+$") then
    handle:respond({ [":status"] = "400" })
    return
  end
  if lower ~= host then
    local segment = string.match(headers:get(":path") or "", "^/[^/?]*") or "/"
    headers:replace("x-durward-shard", "=" .. lower .. segment)
    handle:clearRouteCache()
    handle:metadata() -- finds the route
    if info:routeName() ~= "" then return end
  end
  headers:replace("x-durward-shard", "=" .. lower .. "/")
  handle:clearRouteCache()
end
