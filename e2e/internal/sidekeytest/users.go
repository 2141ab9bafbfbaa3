package sidekeytest

import (
	"fmt"
	"strings"
)

// Session returns the body that creates a user with these members.
func Session(password string, members ...string) string {
	members = append(members, fmt.Sprintf(`"org_id": "default", "basic_auth_data": {"password": %q}`, password))
	return "{" + strings.Join(members, ", ") + "}"
}

// Grants returns the access rights to these APIs.
func Grants(apis ...string) string {
	var rights []string
	for _, api := range apis {
		rights = append(rights, fmt.Sprintf(`%q: {"api_id": %q, "versions": []}`, api, api))
	}
	return `"access_rights": {` + strings.Join(rights, ", ") + "}"
}

// StoryConfig configures the APIs that the stories of the proxies use.
const StoryConfig = Listeners + `
check.meta_headers = { developer_id = "X-Developer-Id" }
check.hmac_clock_skew = "1h"

[[apis]]
id = "public"
listen_path = "/public"

[[apis]]
id = "orders"
listen_path = "/orders"
realm = "Orders"

[[apis]]
id = "signed"
listen_path = "/signed"
hmac = true

[[apis]]
id = "versioned"
listen_path = "/versioned"
versions = ["v1", "v2"]
default_version = "v1"
`

// Asked returns the check request for GET /orders/1, as the proxies of the dialect in the path send
// it.
func Asked(path, user string) Message {
	dialect := strings.Split(strings.TrimPrefix(path, "/auth/"), "@")[0]
	m := Get(path, "X-Forwarded-For: 192.0.2.1")
	switch dialect {
	case "envoy":
		m = Get(path+"/orders/1", "X-Forwarded-For: 192.0.2.1")
	case "nginx":
		m.Header = append(m.Header, "X-Original-Method: GET", "X-Original-URI: /orders/1")
	case "forward":
		m.Header = append(m.Header, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders/1", "X-Forwarded-Host: localhost")
	}
	if user != "" {
		m.Header = append(m.Header, Basic(user, "pw"))
	}
	return m
}
