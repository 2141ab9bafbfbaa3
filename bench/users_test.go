//go:build linux

package main

import (
	"math"
	"slices"
	"testing"

	"sidekey/auth/password"
)

func TestDraw(t *testing.T) {
	const users, count = 1000, 200_000
	for law, share := range map[string]func(i int) float64{
		"uniform": func(int) float64 { return 1.0 / users },
		"zipf":    func(i int) float64 { return 1 / 7.485 / float64(i+1) }, // 7.485 = 1 + 1/2 + … + 1/1000
	} {
		order := draw(law, users, count)
		if len(order) != count || slices.Max(order) >= users {
			t.Fatalf("%s: %d were drawn, up to user %d", law, len(order), slices.Max(order))
		}
		var drawn [users]float64
		for _, i := range order {
			drawn[i]++
		}
		for _, i := range []int{0, 1, 2, 9} {
			want := share(i) * count
			if off := math.Abs(drawn[i] - want); off > 5*math.Sqrt(want)+0.01*want {
				t.Errorf("%s: user %d was drawn %v times, want about %v", law, i, drawn[i], want)
			}
		}
		if !slices.Equal(order, draw(law, users, count)) {
			t.Errorf("%s: the second call returns another order", law)
		}
	}
}

// manyPassword matches the stored hash and is too long for bcrypt to replace it.
func TestManyPassword(t *testing.T) {
	passwords, err := password.NewPasswords(password.Bcrypt(4), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if right, err := passwords.Verify("default", userName(0), manyHash, manyPassword); err != nil || !right {
		t.Errorf("%v, %v", right, err)
	}
	if len(manyPassword) <= passwords.MaxPassword() {
		t.Errorf("the password has %d bytes", len(manyPassword))
	}
}
