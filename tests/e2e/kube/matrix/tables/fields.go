// Which fields KubeletConfiguration v1beta1 has, with nested structs, lists ([]) and maps ({}) in the path.
// It knows the types that marshal themselves by name and refuses one that it has not met.
package main

import (
	"go/ast"
	"reflect"
	"strings"
)

const configPackage = "k8s.io/kubelet/config/v1beta1"

// Types whose JSON form is not what their Go form says.
var special = map[string]string{
	"k8s.io/apimachinery/pkg/apis/meta/v1.Duration":        "duration",
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":            "time",
	"k8s.io/apimachinery/pkg/api/resource.Quantity":        "quantity",
	"k8s.io/apimachinery/pkg/api/resource.QuantityValue":   "quantity",
	"k8s.io/component-base/logs/api/v1.TimeOrMetaDuration": "flush",
	"k8s.io/api/core/v1.ResourceList":                      "map:quantity",
	"k8s.io/apimachinery/pkg/apis/meta/v1.TypeMeta":        "typemeta",
}

func configFields(source *tree) map[string]string {
	found := map[string]string{"kind": "string", "apiVersion": "string"}
	config := source.open(configPackage)
	root := config.types["KubeletConfiguration"]
	walkStruct(config, root, "", found)
	defaulted := defaults(source, config, root)
	for path, kind := range found {
		mark := "-"
		if defaulted[path] {
			mark = "default"
		}
		found[path] = kind + "\t" + mark
	}
	return found
}

// defaults are the fields that kubelet fills with something else than zero where a file leaves them out.
func defaults(source *tree, config *pkg, root typeIn) map[string]bool {
	found := map[string]bool{}
	for _, file := range source.open("k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1").files {
		ast.Inspect(file, func(node ast.Node) bool {
			function, ok := node.(*ast.FuncDecl)
			if ok && function.Name.Name != "SetDefaults_KubeletConfiguration" {
				return false
			}
			assignment, ok := node.(*ast.AssignStmt)
			if !ok || len(assignment.Lhs) != 1 {
				return true
			}
			var chain []string
			expr := assignment.Lhs[0]
			for {
				selector, ok := expr.(*ast.SelectorExpr)
				if !ok {
					break
				}
				chain = append([]string{selector.Sel.Name}, chain...)
				expr = selector.X
			}
			if path := jsonPath(config, root, chain); typeName(expr) == "obj" && path != "" && !isZero(assignment.Rhs[0]) {
				found[path] = true
			}
			return true
		})
	}
	if len(found) < 40 {
		fail("only %d defaults found", len(found))
	}
	return found
}

// isZero: whether a default is written as a pointer to false or to nothing.
func isZero(expr ast.Expr) bool {
	zero := false
	ast.Inspect(expr, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok && ident.Name == "false" {
			zero = true
		}
		return true
	})
	return zero
}

func walkStruct(p *pkg, in typeIn, prefix string, found map[string]string) {
	for _, field := range in.spec.(*ast.StructType).Fields.List {
		tag := ""
		if field.Tag != nil {
			tag = reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("json")
		}
		name := strings.Split(tag, ",")[0]
		if name == "-" {
			continue
		}
		if name == "" {
			if kindOf(p, in.file, field.Type) == "typemeta" {
				continue
			}
			owner, spec := resolve(p, in.file, field.Type)
			walkStruct(owner, spec, prefix, found)
			continue
		}
		path := name
		if prefix != "" {
			path = prefix + "." + name
		}
		walkField(p, in.file, field.Type, path, found)
	}
}

func walkField(p *pkg, file *ast.File, expr ast.Expr, path string, found map[string]string) {
	kind := kindOf(p, file, expr)
	found[path] = kind
	switch kind {
	case "struct":
		owner, spec := resolve(p, file, expr)
		walkStruct(owner, spec, path, found)
	case "list:struct":
		owner, spec := resolve(p, file, expr)
		owner, spec = resolve(owner, spec.file, spec.spec.(*ast.ArrayType).Elt)
		walkStruct(owner, spec, path+"[]", found)
	}
}

// kindOf is a field's kind in the table's words.
func kindOf(p *pkg, file *ast.File, expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return kindOf(p, file, expr.X)
	case *ast.Ident:
		switch expr.Name {
		case "string", "bool", "int32", "int64", "uint32", "float64":
			return expr.Name
		}
		if kind, ok := special[p.path+"."+expr.Name]; ok {
			return kind
		}
	case *ast.SelectorExpr:
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if spec.Name != nil && spec.Name.Name == expr.X.(*ast.Ident).Name || spec.Name == nil && strings.HasSuffix(path, "/"+expr.X.(*ast.Ident).Name) {
				if kind, ok := special[path+"."+expr.Sel.Name]; ok {
					return kind
				}
			}
		}
	case *ast.ArrayType:
		return "list:" + kindOf(p, file, expr.Elt)
	case *ast.MapType:
		return "map:" + kindOf(p, file, expr.Value)
	case *ast.StructType:
		return "struct"
	}
	owner, spec := resolve(p, file, expr)
	return kindOf(owner, spec.file, spec.spec)
}

// resolve finds the declaration that a type expression names.
func resolve(p *pkg, file *ast.File, expr ast.Expr) (*pkg, typeIn) {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return resolve(p, file, expr.X)
	case *ast.ArrayType:
		return p, typeIn{file, expr}
	case *ast.Ident:
		if spec, ok := p.types[expr.Name]; ok {
			return p, spec
		}
	case *ast.SelectorExpr:
		if other := p.imported(file, expr.X.(*ast.Ident).Name); other != nil {
			return resolve(other, nil, &ast.Ident{Name: expr.Sel.Name})
		}
	}
	fail("%s: cannot resolve type %#v", p.path, expr)
	return nil, typeIn{}
}
