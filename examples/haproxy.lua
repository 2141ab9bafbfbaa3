-- Defines the action "sidekey" of haproxy.cfg, which asks sidekey whether a request may pass.
--
--     http-request lua.sidekey abns@sidekey /auth/forward
--
-- abns@sidekey is the address on which the section "sidekey" of haproxy.cfg listens. HAProxy
-- has no such action of its own; this one needs only HAProxy 2.6 with Lua.
--
-- If sidekey refuses, the action sends the refusal to the client. If the request may pass, the
-- action sets the variable txn.sidekey to "passed", adds the identity headers to the request,
-- and stores the remaining rate and quota in variables. If sidekey does not answer, txn.sidekey
-- is not set. haproxy.cfg must then refuse, and also if this file fails.

-- The timeout in milliseconds. The section "sidekey" must give up before it, because HAProxy's
-- client would then repeat the question, and a second question is a second decision.
local timeout = 60000

-- Headers for the application. sidekey always sends all of them, empty if there is no value,
-- so that none of the client's own passes.
local identity = {
	"x-auth-user", "x-auth-org", "x-auth-alias", "x-auth-tags", "x-auth-policies",
	"x-developer-id", -- add one for each header in check.meta_headers
}

-- Headers for the client; with the application's response, haproxy.cfg takes them from variables.
local left = { "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "ratelimit-policy" }

-- Headers for the client with a refusal.
local refusal = { "content-type", "cache-control", "www-authenticate", "retry-after", table.unpack(left) }

-- Headers about the client's connection or the body, which are not sent to sidekey.
local kept_back = {
	["host"] = true, ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true,
	["expect"] = true, ["te"] = true, ["trailer"] = true, ["upgrade"] = true, ["http2-settings"] = true,
}

-- first returns the first value of a header. HAProxy counts values from 0.
local function first(values) return values and values[0] end

core.register_action("sidekey", { "http-req" }, function(txn, address, path)
	local question = {}
	for name, values in pairs(txn.http:req_get_headers()) do
		if not kept_back[name] then
			question[name] = {}
			for i = 0, #values do table.insert(question[name], values[i]) end
		end
	end

	local answer = core.httpclient():get{
		dst = address, url = "http://sidekey" .. path, headers = question, timeout = timeout,
	}
	if answer == nil or answer.headers == nil then return end

	if answer.status == 200 then
		for _, name in ipairs(identity) do
			txn.http:req_set_header(name, first(answer.headers[name]) or "")
		end
		for _, name in ipairs(left) do
			local value = first(answer.headers[name])
			if value then txn:set_var("txn." .. name:gsub("-", "_"), value) end
		end
		txn:set_var("txn.sidekey", "passed")
		return
	end
	if answer.status < 400 or answer.status > 499 then return end

	local reply = txn:reply{ status = answer.status, body = answer.body }
	for _, name in ipairs(refusal) do
		local value = first(answer.headers[name])
		if value then reply:add_header(name, value) end
	end
	txn:done(reply)
end, 2)
