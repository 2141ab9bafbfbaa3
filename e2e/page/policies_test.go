package page

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sidekey/e2e/internal/sidekeytest"
)

// Policies are created, given to a user, changed, and deleted, which asks first if users have them.
func pagePolicies(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.open("#/policies/new", "New policy")
	b.enter(control("id"), "gold")
	b.enter(control("name"), "Gold")
	b.enter(control("rate"), "100")
	b.enter(control("per"), "60")
	b.enter(control("tags"), "paying")
	b.choose(`[data-path="access_rights"] > .control > select`, "rest")
	b.press("Create")
	b.awaitText("#notice", "Created.")
	b.awaitText("main h1", "Gold")
	b.enter(control("quota_max"), "5000")
	b.choose(control("quota_renewal_rate"), "3600")
	b.press("Save")
	b.awaitText("#notice", "it applies from the next request")
	_, policy, _ := s.Admin("GET", "/api/portal/policies/gold", "")
	for _, want := range []string{`"rate":100`, `"quota_max":5000`, `"quota_renewal_rate":3600`, `"tags":["paying"]`, `"access_rights":{"rest":`} {
		if !strings.Contains(policy, want) {
			t.Errorf("%s is missing in %s", want, policy)
		}
	}
	b.click(control("partitions.rate_limit"))
	b.click(control("partitions.per_api"))
	b.refusals(1)
	b.press("Save")
	b.awaitText(`[data-path="partitions.per_api"] .problem`, "must not be set together with other partitions")

	// A user gets it, and the page shows its effect on the user.
	b.open("#/users/default/user01", "user01")
	b.choose(`[data-path="apply_policies"] select`, "gold")
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	b.awaitText(".limits", "100 of 100 left")
	b.click(".inforce summary")
	b.awaitText(".inforce", "100 per minute")
	b.awaitText(".inforce", "5,000 per hour")
	b.awaitText(".inforce", "paying")
	b.look("inforce")
	wantStored(t, s, "user01", map[string]string{"apply_policies": `["gold"]`, "rate": "2", "tags": `["edge","team-1"]`}) // its own tags are unchanged

	b.open("#/policies", "Policies")
	b.awaitText("main table", "Bronze bronze")
	b.awaitText("main table", "100 per minute")
	b.look("policies")
	b.click(`a[href="#/policies/of/bronze"]`)
	b.awaitText("main .message", "is defined in the configuration file")
	if disabled := eval[bool](b, `document.querySelector(".savebar").hidden && document.querySelector(".editor input").matches(":disabled")`); !disabled {
		t.Error("a policy of the configuration file can be edited")
	}
	b.look("policy")

	b.open("#/policies/of/gold", "Gold")
	b.press("Delete")
	b.awaitText("dialog", "Delete the policy gold?")
	b.refusals(1)
	b.click("dialog .danger")
	b.awaitText("dialog", `1 users have policy "gold" and would be refused without it. Delete it anyway?`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.await(`!document.querySelector("dialog")`)
	b.open("#/users/default/user01", "user01")
	b.click(`[aria-label="Remove gold"]`)
	b.press("Save")
	b.awaitText("#notice", "Saved.")
	wantStored(t, s, "user01", map[string]string{"apply_policies": `[]`, "apply_policy_id": `""`})
	b.open("#/policies/of/gold", "Gold")
	b.press("Delete")
	b.click("dialog .danger")
	b.awaitText("#notice", "Deleted: gold")
	if status, _, _ := s.Admin("GET", "/api/portal/policies/gold", ""); status != 404 {
		t.Errorf("gold after its deletion: %d", status)
	}
}

func pageAPIs(t *testing.T, b *browser, s *sidekeytest.Sidekey) {
	b.open("#/apis", "APIs")
	b.awaitText("main table", "Orders orders in default")
	b.awaitText("main table", "v1, v2")
	b.look("apis")
}
