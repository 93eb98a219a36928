// Reading Go packages as syntax trees. It resolves names over imports, and refuses to guess at a name it cannot find.
package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tree is the source of one kubelet version.
type tree struct {
	modules  map[string]string
	packages map[string]*pkg
}

// pkg is one package: its types, string constants, and top-level values.
type pkg struct {
	tree   *tree
	path   string
	types  map[string]typeIn
	consts map[string]string
	values map[string]valueIn
	files  []*ast.File
}

// A node together with the file that it stands in, because imports belong to files.
type typeIn struct {
	file *ast.File
	spec ast.Expr
}
type valueIn struct {
	file *ast.File
	expr ast.Expr
}

func (t *tree) dir(path string) string {
	best := ""
	for module := range t.modules {
		if (path == module || strings.HasPrefix(path, module+"/")) && len(module) > len(best) {
			best = module
		}
	}
	if best == "" {
		return ""
	}
	return filepath.Join(t.modules[best], strings.TrimPrefix(path, best))
}

// open parses the package at an import path; nil where it is in no module that is read here, or does not exist.
func (t *tree) open(path string) *pkg {
	if known, ok := t.packages[path]; ok {
		return known
	}
	dir := t.dir(path)
	entries, err := os.ReadDir(dir)
	if dir == "" || err != nil {
		t.packages[path] = nil
		return nil
	}
	p := &pkg{tree: t, path: path, types: map[string]typeIn{}, consts: map[string]string{}, values: map[string]valueIn{}}
	t.packages[path] = p
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			strings.HasSuffix(name, "_windows.go") || strings.HasSuffix(name, "_other.go") || strings.HasSuffix(name, "_others.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		check(err)
		p.files = append(p.files, file)
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					p.types[spec.Name.Name] = typeIn{file, spec.Type}
				case *ast.ValueSpec:
					for i, value := range spec.Values {
						if text, ok := literal(value); ok {
							p.consts[spec.Names[i].Name] = text
						} else if i < len(spec.Names) {
							p.values[spec.Names[i].Name] = valueIn{file, value}
						}
					}
				}
			}
		}
	}
	return p
}

// imported is the package that a name stands for in a file.
func (p *pkg) imported(file *ast.File, name string) *pkg {
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		check(err)
		local := filepath.Base(path)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == name {
			return p.tree.open(path)
		}
	}
	return nil
}

// text resolves an expression to the string constant that it names.
func (p *pkg) text(file *ast.File, expr ast.Expr) string {
	if value, ok := literal(expr); ok {
		return value
	}
	switch expr := expr.(type) {
	case *ast.Ident:
		if value, ok := p.consts[expr.Name]; ok {
			return value
		}
		if value, ok := p.values[expr.Name]; ok {
			return p.text(value.file, value.expr)
		}
	case *ast.CallExpr: // a conversion such as featuregate.Feature(name)
		return p.text(file, expr.Args[0])
	case *ast.SelectorExpr:
		if other := p.imported(file, expr.X.(*ast.Ident).Name); other != nil {
			return other.text(nil, &ast.Ident{Name: expr.Sel.Name})
		}
	}
	fail("%s: cannot resolve %s", p.path, typeName(expr))
	return ""
}

func literal(expr ast.Expr) (string, bool) {
	if basic, ok := expr.(*ast.BasicLit); ok && basic.Kind == token.STRING {
		value, err := strconv.Unquote(basic.Value)
		return value, err == nil
	}
	return "", false
}
