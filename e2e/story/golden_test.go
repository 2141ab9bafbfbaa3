package story

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// TestGoldenSeeds posts the bodies of the three documents that this program was made from to a
// configuration with their organisations, APIs and policies. Every member of a document's sample
// answer is in the answer, with the sample's value if the sample answers that request. The whole
// answer is also compared as text.
func TestGoldenSeeds(t *testing.T) {
	f := func(seed, user, config string, sampleIsAnswer bool, but ...string) {
		t.Run(seed, func(t *testing.T) {
			read := func(name string) (text string, object map[string]any) {
				text = testutil.ReadFile(t, filepath.Join("e2e/story/testdata/golden", seed+"-"+name))
				if err := json.Unmarshal([]byte(text), &object); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return text, object
			}
			request, asked := read("request.json")
			_, sample := read("sample.json")

			sidekey := sidekeytest.Start(t, sidekeytest.Listeners+config)
			s := &script{dir: filepath.Dir(sidekey.DataDir), check: sidekey.CheckAddr, admin: strings.TrimPrefix(sidekey.AdminURL, "http://")}
			status, answer, header := sidekey.Admin("POST", "/api/apis/keys/basic/"+user, request)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, answer)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(answer), &got); err != nil {
				t.Fatal(err)
			}
			but = append(but, "data.basic_auth_data.password", "data.quota_renews", "data.date_created", "data.last_updated")
			if sampleIsAnswer {
				compareSample(t, "", sample, got, true, but)
			} else {
				compareSample(t, "", sample, got, false, but)
				compareSample(t, "data", asked, got["data"], true, but)
			}
			if password := got["data"].(map[string]any)["basic_auth_data"].(map[string]any)["password"]; password != "" {
				t.Errorf("password in the answer: %v", password)
			}

			var text bytes.Buffer
			fmt.Fprintf(&text, "%d\n", status)
			for _, warning := range header["X-Sidekey-Warning"] {
				fmt.Fprintf(&text, "X-Sidekey-Warning: %s\n", warning)
			}
			text.WriteByte('\n')
			if err := json.Indent(&text, []byte(s.words(answer)), "", "  "); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("e2e/story/testdata/golden", seed+"-answer.txt")
			if *updateStories {
				if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := testutil.ReadFile(t, golden); text.String() != want {
				t.Errorf("got\n%s\nwant\n%s", text.String(), want)
			}

			// The user can log in, except that of the third document, who has expired.
			a, err := s.askCheck([]string{"-u", user + ":test123", "envoy", "/"})
			if wantStatus := map[bool]int{true: 200, false: 401}[seed != "002"]; err != nil || a.status != wantStatus {
				t.Errorf("asked: %v %s, want %d", err, a.text, wantStatus)
			}
		})
	}
	// The sample's key id begins with another organisation than its org_id.
	f("000", "test-user", `
admin.org_id = "54b53d3aeba6db5c35000002"
[[apis]]
id = "bc2f8cfb7ab241504d9f3574fe407499"
`, true, "key_id")
	// The sample's key id was censored, and so was the name in the path. The policy is the
	// thread's, with what leaves the session's own limits and rights unchanged.
	f("001", "test@test.com", `
admin.org_id = "570534390b79010001000001"
[[apis]]
id = "151222f37e7447f56df39b0f94b8dc14"
[[apis]]
id = "feda9795301d4f4e5f6992ae3a638dcd"
listen_path = "/portal/"
[[policies]]
id = "57058d630b79010001000009"
name = "Default API Policy"
rate = 1000
per = 1
quota_max = -1
quota_renewal_rate = 31104000
[policies.access_rights.151222f37e7447f56df39b0f94b8dc14]
api_id = "151222f37e7447f56df39b0f94b8dc14"
api_name = "Login API"
versions = ["Default"]
[policies.access_rights.feda9795301d4f4e5f6992ae3a638dcd]
api_id = "feda9795301d4f4e5f6992ae3a638dcd"
api_name = "Portal"
versions = ["Default"]
`, true, "key_id")
	// The sample answers another request, so its members must be there with the values of this
	// request. Its data.key_id is no field of a session; smoothing is null until set.
	f("002", "portal-user", `
admin.org_id = "5e9d9544a1dcd60001d0ed20"
[[apis]]
id = "portal"
[[policies]]
id = "62a0ec9092faf50001395817"
rate = 1000
per = 60
quota_max = -1
quota_renewal_rate = -1
access_rights.portal = { api_id = "portal" }
`, false, "data.key_id", "data.smoothing")
}

// compareSample checks that every member of sample is in got, except the named ones.
func compareSample(t *testing.T, at string, sample, got any, values bool, but []string) {
	t.Helper()
	if slices.Contains(but, at) {
		return
	}
	object, isObject := sample.(map[string]any)
	if !isObject {
		if values && !reflect.DeepEqual(sample, got) {
			t.Errorf("%s: got %v, the sample has %v", at, got, sample)
		}
		return
	}
	members, _ := got.(map[string]any)
	for name, value := range object {
		path := strings.TrimPrefix(at+"."+name, ".")
		member, there := members[name]
		if !there && !slices.Contains(but, path) {
			t.Errorf("%s: is in the sample and not in the answer", path)
			continue
		}
		compareSample(t, path, value, member, values, but)
	}
}
