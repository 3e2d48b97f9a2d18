-- A request that has no route by now, such as CONNECT, is not held for its body.
--
-- Envoy asks the route about upgrades before there is one, if a request came without: only
-- what is refused here is refused for sure. Of the headers that Connection names, a
-- backend would forget those that we add.
function envoy_on_request(handle)
  local info, headers = handle:streamInfo(), handle:headers()
  if info:routeName() == "" then
    handle:metadata() -- finds the route
    if info:routeName() == "" then
      handle:respond({ [":status"] = "404" })
      return
    end
  end
  local upgrade = headers:get("upgrade")
  if not upgrade then return end
  local websocket = string.lower(upgrade) == "websocket" and headers:get(":method") == "GET"
  if not websocket or handle:metadata():get("websocket") ~= true then
    handle:respond({ [":status"] = "403" })
    return
  end
  -- A backend would wait for a body, and Envoy with it, for as long as a websocket lasts.
  -- Envoy has taken transfer-encoding away.
  if (headers:get("content-length") or "0") ~= "0" then
    handle:respond({ [":status"] = "400" })
    return
  end
  headers:replace("connection", "upgrade")
end
