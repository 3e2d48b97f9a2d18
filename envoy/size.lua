-- The buffer filter has waited for the body, and written its length where the caller did
-- not.
function envoy_on_request(handle)
  local limit = handle:metadata():get("max_request_bytes")
  local length = tonumber(handle:headers():get("content-length") or 0)
  if not limit or not length or length > limit then
    handle:respond({ [":status"] = "413" })
  end
end
