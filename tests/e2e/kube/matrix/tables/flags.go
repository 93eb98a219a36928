// Which flags a kubelet takes, what kind of value each has, and which configuration field it overrides.
// It refuses a way of declaring a flag that it has not met.
package main

import (
	"go/ast"
	"strings"
)

// How a declaring call names the kind of its value.
var methodKinds = map[string]string{
	"BoolVar": "bool", "StringVar": "string", "Int32Var": "int32", "Int64Var": "int64", "Float64Var": "float64",
	"DurationVar": "duration", "StringSliceVar": "list",
}

// How a value wrapped for Var names its kind.
var wrapperKinds = map[string]string{
	"NewMapStringString":                    "map",
	"NewMapStringStringNoSplit":             "map-nosplit",
	"NewMapStringBool":                      "map-bool",
	"NewLangleSeparatedMapStringString":     "map-less",
	"NewColonSeparatedMultimapStringString": "multimap",
	"IPVar":                                 "string",
	"ReservedMemoryVar":                     "reserved-memory",
	"RegisterWithTaintsVar":                 "taints",
	"VerbosityLevelPflag":                   "string",
	"VModuleConfigurationPflag":             "string",
	"bindableNodeLabels":                    "map",
	"InfoBufferSize":                        "string",
	"NoOp":                                  "string",
}

// cadvisor's flags that take no value; the others take one.
var cadvisorBool = map[string]bool{"enable-load-reader": true, "log-cadvisor-usage": true, "storage-driver-secure": true}

func kubeletFlags(source *tree) map[string]string {
	rows := map[string]string{
		"help": "bool\t", "version": "version\t", "log-flush-frequency": "duration\tlogging.flushFrequency",
	}
	config := source.open(configPackage)
	root := config.types["KubeletConfiguration"]
	logs := source.open("k8s.io/component-base/logs/api/v1")
	logRoot := logs.types["LoggingConfiguration"]
	for _, p := range []*pkg{
		source.open("k8s.io/kubernetes/cmd/kubelet/app/options"), source.open("k8s.io/kubernetes/pkg/kubelet/config"), logs,
	} {
		for _, file := range p.files {
			ast.Inspect(file, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				method := typeName(call.Fun)
				switch method {
				case "register", "registerDeprecated", "pflagRegister":
					if name, ok := literal(call.Args[min(2, len(call.Args)-1)]); ok {
						name = strings.ReplaceAll(name, "_", "-")
						rows[name] = map[bool]string{true: "bool\t", false: "string\t"}[cadvisorBool[name]]
					}
					return true
				case "BoolVar", "StringVar", "Int32Var", "Int64Var", "Float64Var", "DurationVar", "StringSliceVar", "Var", "VarP":
				default:
					return true
				}
				if len(call.Args) < 3 || owner(call.Fun) != "fs" {
					return true
				}
				name, ok := literal(call.Args[1])
				if !ok {
					return true
				}
				kind := methodKinds[method]
				if kind == "" {
					kind = wrapped(call.Args[0])
					if kind == "" {
						fail("--%s is declared in a way that is not known here", name)
					}
				}
				field := ""
				chain := selectors(call.Args[0])
				if p == logs {
					field = "logging." + jsonPath(logs, logRoot, chain)
				} else if path := jsonPath(config, root, chain); path != "" && owned(call.Args[0]) {
					field = path
				}
				rows[name] = kind + "\t" + field
				return true
			})
		}
	}
	return rows
}

func owner(fun ast.Expr) string {
	if selector, ok := fun.(*ast.SelectorExpr); ok {
		return typeName(selector.X)
	}
	return ""
}

// wrapped is the kind that a value given to Var has.
func wrapped(expr ast.Expr) string {
	kind := ""
	ast.Inspect(expr, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && kind == "" {
			kind = wrapperKinds[ident.Name]
		}
		return true
	})
	return kind
}

// selectors is the chain of Go field names in `&c.A.B`, without the variable.
func selectors(expr ast.Expr) []string {
	var chain []string
	ast.Inspect(expr, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || chain != nil {
			return true
		}
		var names []string
		var inner ast.Expr = selector
		for {
			step, ok := inner.(*ast.SelectorExpr)
			if !ok {
				break
			}
			names = append([]string{step.Sel.Name}, names...)
			inner = step.X
		}
		if root := typeName(inner); root == "c" || root == "f" || root == "o" {
			chain = names
			return false
		}
		return true
	})
	return chain
}

// owned: whether the flag writes into the configuration (c), not into kubelet's flags (f, o).
func owned(expr ast.Expr) bool {
	found := false
	ast.Inspect(expr, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && ident.Name == "c" {
			found = true
		}
		return true
	})
	return found
}

// jsonPath follows Go field names through the versioned types, where they have the same names.
func jsonPath(p *pkg, in typeIn, chain []string) string {
	if len(chain) == 0 {
		return ""
	}
	for _, field := range in.spec.(*ast.StructType).Fields.List {
		if field.Tag == nil || len(field.Names) != 1 || field.Names[0].Name != chain[0] {
			if len(field.Names) == 0 && typeName(field.Type) != "TypeMeta" {
				embedded, spec := resolve(p, in.file, field.Type)
				if path := jsonPath(embedded, spec, chain); path != "" {
					return path
				}
			}
			continue
		}
		name := strings.Split(strings.Split(field.Tag.Value, `json:"`)[1], `"`)[0]
		name = strings.Split(name, ",")[0]
		if kindOf(p, in.file, field.Type) != "struct" {
			return name
		}
		owner, spec := resolve(p, in.file, field.Type)
		return name + "." + jsonPath(owner, spec, chain[1:])
	}
	return ""
}
