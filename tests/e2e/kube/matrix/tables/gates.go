// Which feature gates a kubelet knows, with default, stage, lock and what each one needs to be on.
// It takes every map of gates that kubelet registers and refuses an entry whose form it does not know.
package main

import (
	"go/ast"
	"sort"
	"strconv"
	"strings"
)

// The packages that register gates with the instance that kubelet uses.
var gatePackages = []string{
	"k8s.io/kubernetes/pkg/features",
	"k8s.io/apiserver/pkg/features",
	"k8s.io/component-base/logs/api/v1",
	"k8s.io/component-base/metrics/features",
	"k8s.io/component-base/zpages/features",
	"k8s.io/client-go/features",
}

type gate struct {
	value  bool
	stage  string
	locked bool
	needs  []string
}

func featureGates(source *tree, minor int) map[string]string {
	gates := map[string]*gate{
		"AllAlpha": {stage: "alpha"},
		"AllBeta":  {stage: "beta"},
	}
	needs := map[string][]string{}
	for _, path := range gatePackages {
		p := source.open(path)
		if p == nil {
			continue
		}
		// metrics and zpages gates are known to kubelet only where it registers them.
		if strings.HasPrefix(path, "k8s.io/component-base/") && !registers(source, path) {
			continue
		}
		// client-go's own gates joined kubelet's with 1.30.
		if path == "k8s.io/client-go/features" && !registers(source, path) {
			continue
		}
		for _, file := range p.files {
			ast.Inspect(file, func(node ast.Node) bool {
				literal, ok := node.(*ast.CompositeLit)
				if !ok {
					return true
				}
				mapping, ok := literal.Type.(*ast.MapType)
				if !ok || typeName(mapping.Key) != "Feature" {
					return true
				}
				switch value := mapping.Value.(type) {
				case *ast.ArrayType:
					for _, element := range literal.Elts {
						pair := element.(*ast.KeyValueExpr)
						name := p.text(file, pair.Key)
						for _, need := range pair.Value.(*ast.CompositeLit).Elts {
							needs[name] = append(needs[name], p.text(file, need))
						}
					}
				default:
					if name := typeName(value); name != "FeatureSpec" && name != "VersionedSpecs" {
						return true
					}
					for _, element := range literal.Elts {
						pair := element.(*ast.KeyValueExpr)
						name := p.text(file, pair.Key)
						if spec := specOf(p, pair.Value.(*ast.CompositeLit), minor); spec != nil {
							gates[name] = spec
						}
					}
				}
				return false
			})
		}
	}
	rows := map[string]string{}
	for name, spec := range gates {
		sort.Strings(needs[name])
		rows[name] = strings.Join([]string{
			strconv.FormatBool(spec.value), spec.stage, strconv.FormatBool(spec.locked), strings.Join(needs[name], ","),
		}, "\t")
	}
	return rows
}

// registers: whether kubelet's own packages import this one for its gates.
func registers(source *tree, path string) bool {
	for _, user := range []string{"k8s.io/kubernetes/pkg/features", "k8s.io/kubernetes/cmd/kubelet/app"} {
		for _, file := range source.open(user).files {
			for _, spec := range file.Imports {
				if strings.Trim(spec.Path.Value, `"`) == path {
					return true
				}
			}
		}
	}
	return false
}

// specOf reads one gate: a plain spec, or the last of a list that is not newer than this version.
func specOf(p *pkg, literal *ast.CompositeLit, minor int) *gate {
	if len(literal.Elts) == 0 {
		return nil
	}
	if _, plain := literal.Elts[0].(*ast.KeyValueExpr); plain {
		return plainSpec(p, literal)
	}
	var latest *gate
	for _, element := range literal.Elts {
		spec := element.(*ast.CompositeLit)
		// kubelet promises compatibility with the version before its own.
		if written(spec, "Version") <= minor && written(spec, "MinCompatibilityVersion") < minor {
			latest = plainSpec(p, spec)
		}
	}
	return latest
}

func plainSpec(p *pkg, literal *ast.CompositeLit) *gate {
	spec := &gate{}
	for _, element := range literal.Elts {
		pair := element.(*ast.KeyValueExpr)
		switch key := pair.Key.(*ast.Ident).Name; key {
		case "Default":
			spec.value = truth(p, pair.Value)
		case "LockToDefault":
			spec.locked = truth(p, pair.Value)
		case "PreRelease":
			spec.stage = strings.ToLower(typeName(pair.Value))
		case "Version", "MinCompatibilityVersion":
		default:
			fail("a gate has %s, which is not known here", key)
		}
	}
	return spec
}

// written is the minor version that a spec holds under a key; 0 where it holds none.
func written(literal *ast.CompositeLit, key string) int {
	for _, element := range literal.Elts {
		pair := element.(*ast.KeyValueExpr)
		if pair.Key.(*ast.Ident).Name == key {
			text, ok := literalArgument(pair.Value)
			if !ok {
				fail("a gate's %s has a form that is not known here", key)
			}
			minor, err := strconv.Atoi(strings.TrimPrefix(text, "1."))
			check(err)
			return minor
		}
	}
	return 0
}

func literalArgument(expr ast.Expr) (string, bool) {
	call, ok := expr.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return "", false
	}
	return literal(call.Args[0])
}

func truth(p *pkg, expr ast.Expr) bool {
	name := typeName(expr)
	if named, ok := p.values[name]; ok {
		name = typeName(named.expr)
	}
	if name != "true" && name != "false" {
		fail("a gate's value is neither true nor false but %#v", expr)
	}
	return name == "true"
}

func typeName(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.Ident:
		return expr.Name
	case *ast.SelectorExpr:
		return expr.Sel.Name
	}
	return ""
}
