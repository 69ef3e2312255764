-- Forward auth for HAProxy 2.6 and newer, which has none of its own: the broker is asked about a handshake, and what it
-- says is put into headers for the chat node.
--
--   http-request lua.verify http://127.0.0.1:8080/verify?aud=chat
--   http-request deny deny_status 503 unless { var(txn.admitted) -m bool }
--
-- The second line belongs to the first: HAProxy goes on to the next rule when Lua fails, or ends without a verdict.

-- Milliseconds. HAProxy's client asks up to four times where no answer comes, which X-Verify-Id makes one question for the
-- 5 s in which the broker knows it again.
local patience = 1200

local function refuse(txn, status, headers, body)
  local told = {}
  for _, name in ipairs({ 'content-type', 'cache-control', 'retry-after', 'www-authenticate' }) do
    told[name] = headers[name]
  end
  txn:done(txn:reply({ status = status, headers = told, body = body }))
end

-- `chat, ticket.wst_...` becomes `chat`.
local function hide_ticket(txn, offered)
  local kept = {}
  for line = 0, #offered do
    for protocol in offered[line]:gmatch('[^,%s]+') do
      if not protocol:lower():find('^ticket%.') then kept[#kept + 1] = protocol end
    end
  end
  txn.http:req_del_header('sec-websocket-protocol')
  if kept[1] then txn.http:req_set_header('sec-websocket-protocol', table.concat(kept, ', ')) end
end

local function verify(txn, url)
  local said = txn.http:req_get_headers()
  -- Nothing goes along but this: where the client wanted to go, only HAProxy says.
  local answer = core.httpclient():get({
    url = url,
    timeout = patience,
    headers = {
      ['host'] = said['host'],
      ['origin'] = said['origin'],
      ['sec-websocket-protocol'] = said['sec-websocket-protocol'],
      ['x-forwarded-for'] = { txn.f:src() },
      ['x-original-uri'] = { txn.f:pathq() },
      ['x-verify-id'] = { txn.f:uuid() },
    },
  })
  local status, headers = answer.status, answer.headers
  if status == 401 or status == 403 then return refuse(txn, status, headers, answer.body) end
  -- 429 and 503, if the broker said so: HAProxy's client makes up a 5xx where nobody answers.
  if headers['retry-after'] then return refuse(txn, status, headers, answer.body) end
  if status ~= 200 then return end

  hide_ticket(txn, said['sec-websocket-protocol'] or { [0] = '' })
  for name, values in pairs(headers) do
    if name:find('^x%-auth%-') then
      txn.http:req_set_header(name, values[0])
      -- A header that the buffer has no room for is left out without a word.
      if txn.f:req_fhdr(name) ~= values[0] then
        local body = '{"error":"headers_too_large","error_description":"The request headers are too large."}'
        return refuse(txn, 431, { ['content-type'] = { 'application/json' } }, body)
      end
    end
  end
  txn:set_var('txn.admitted', true)
end

core.register_action('verify', { 'http-req' }, verify, 1)
