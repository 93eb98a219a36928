// Names the real node-problem-detector's main package, so that go.mod and go.sum pin all that its build needs.
// It refuses to be built: the tag is never set.

//go:build tools

package npd

import _ "k8s.io/node-problem-detector/cmd/nodeproblemdetector"
