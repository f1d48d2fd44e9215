//go:build tools

// Package tools pins the reference builder; `go install` of it is refused because of its replace and exclude lines.
package tools

import (
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
)
