package command

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"sidekey/admin/api"
)

// A session that is too large for a request is a bad line like any other. If the listener fails half
// way, the error says how much was written before.
func TestImporter(t *testing.T) {
	var asked []string
	fails := ""
	listener := httptest.NewServer(provingSecret("the-secret", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.URL.RequestURI()+" "+string(body))
		if r.URL.RequestURI() == fails {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"Status":"Error","Message":"The store is not available; nothing was written","Meta":null}`)
			return
		}
		added := "1"
		if r.URL.Query().Get("dry_run") == "1" {
			added = "0"
		}
		io.WriteString(w, `{"valid":1,"added":`+added+`,"changed":0,"refused":[],"warnings":[]}`)
	}))
	defer listener.Close()
	t.Setenv(secretVariable, "the-secret")
	run := func(skip bool) (outcome, error) {
		asked = nil
		c := &client{stderr: io.Discard}
		if err := c.pointAt(listener.URL); err != nil {
			t.Fatal(err)
		}
		defer c.close()
		d := &dump{users: []incoming{
			{Import: api.Import{OrgID: "default", Username: "alice", Hash: sha}, line: 1},
			{Import: api.Import{OrgID: "default", Username: "big", Session: []byte(`{"alias":"` + strings.Repeat("x", 1<<20) + `"}`)}, line: 2},
		}}
		i := importer{client: c, file: "f", skipBad: skip}
		err := i.run(d)
		return i.outcome, err
	}
	const line = ` {"org_id":"default","username":"alice","hash":"` + sha + `"}` + "\n"
	check, write := "/api/import?dry_run=1"+line, "/api/import"+line

	o, err := run(false)
	compare(t, "asked", strings.Join(asked, ""), check)
	if err != nil || len(o.Refused) != 1 || o.Refused[0] != (api.ImportNote{Line: 2, Username: "big", Message: "must be a session of at most 921600 bytes"}) || o.Written {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = run(true)
	compare(t, "asked", strings.Join(asked, ""), check+write)
	if err != nil || !o.Written || o.Added != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	fails = "/api/import"
	_, err = run(true)
	const want = "The store is not available; nothing was written\n0 users were added and 0 changed before that; run the same import again for the rest"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// An endpoint limits only one path, but in Tyk every path that contains it. The import warns of that,
// unless the path itself states what may follow it.
func TestTykEndpointsWarn(t *testing.T) {
	d := parseTyk([]byte(`defaultalice {"org_id":"default","access_rights":{"orders":{"endpoints":[{"path":"/login"},{"path":"/login/"},{"path":"/a/*"},{"path":"/b/?"},{"path":"/c(/.*)?"},{"path":"^/d$"},{"path":".*"}]},"fine":{}}}
defaultbob {"org_id":"default","access_rights":{"orders":{"endpoints":[{"path":"/e/{id}"}]}}}
defaultcarol {"org_id":"default","access_rights":{"orders":{"endpoints":5}}}
`), nil)
	const rest = `: limits only this path, but in Tyk every path that contains it: write `
	want := []api.ImportNote{
		{Line: 1, Username: "alice", Message: `access_rights.orders.endpoints[0].path = "/login"` + rest + `"/login/?" to limit it with and without a slash at its end, or "/login(/.*)?" to also limit all paths below it`},
		{Line: 1, Username: "alice", Message: `access_rights.orders.endpoints[1].path = "/login/"` + rest + `"/login/?" to limit it with and without a slash at its end, or "/login(/.*)?" to also limit all paths below it`},
		{Line: 2, Username: "bob", Message: `access_rights.orders.endpoints[0].path = "/e/{id}"` + rest + `"/e/{id}/?" to limit it with and without a slash at its end, or "/e/{id}(/.*)?" to also limit all paths below it`},
	}
	if !slices.Equal(d.warnings, want) || len(d.bad) > 0 {
		t.Errorf("warnings %+v, want %+v; bad %+v", d.warnings, want, d.bad)
	}
}
