package main

import (
	"runtime/debug"
	"testing"
)

func TestBillOfMaterials(t *testing.T) {
	got, err := billOfMaterials(&debug.BuildInfo{
		GoVersion: "go1.26.0",
		Main:      debug.Module{Path: "sidekey", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "go.etcd.io/bbolt", Version: "v1.5.0", Sum: "h1:AQID"},
			{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/new", Version: "v2.0.0"}},
		},
	}, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "bomFormat": "CycloneDX",
  "specVersion": "1.5",
  "version": 1,
  "metadata": {
    "component": {
      "bom-ref": "pkg:golang/sidekey@v1.2.3",
      "type": "application",
      "name": "sidekey",
      "version": "v1.2.3",
      "purl": "pkg:golang/sidekey@v1.2.3"
    }
  },
  "components": [
    {
      "bom-ref": "pkg:golang/std@1.26.0",
      "type": "library",
      "name": "std",
      "version": "1.26.0",
      "purl": "pkg:golang/std@1.26.0"
    },
    {
      "bom-ref": "pkg:golang/go.etcd.io/bbolt@v1.5.0",
      "type": "library",
      "name": "go.etcd.io/bbolt",
      "version": "v1.5.0",
      "purl": "pkg:golang/go.etcd.io/bbolt@v1.5.0",
      "hashes": [
        {
          "alg": "SHA-256",
          "content": "010203"
        }
      ]
    },
    {
      "bom-ref": "pkg:golang/example.com/new@v2.0.0",
      "type": "library",
      "name": "example.com/new",
      "version": "v2.0.0",
      "purl": "pkg:golang/example.com/new@v2.0.0"
    }
  ],
  "dependencies": [
    {
      "ref": "pkg:golang/sidekey@v1.2.3",
      "dependsOn": [
        "pkg:golang/std@1.26.0",
        "pkg:golang/go.etcd.io/bbolt@v1.5.0",
        "pkg:golang/example.com/new@v2.0.0"
      ]
    }
  ]
}
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An empty version, or one that the linker would split into two arguments, is refused before the
// output folder is deleted.
func TestVersion(t *testing.T) {
	for _, version := range []string{"", "v1 -s", `v1"`} {
		if err := run(version, t.TempDir(), false); err == nil {
			t.Errorf("%q is accepted as a version", version)
		}
	}
}
