package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// router finds the handler of a request. net/http does so itself from Go 1.22 on; Debian 12 has 1.19.
type router []route

type route struct {
	method, pattern string
	handler         http.Handler
}

type paramsKey struct{}

func (routes router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, route := range routes {
		params, matches := match(route.pattern, r.URL.EscapedPath())
		if matches && r.Method == route.method {
			route.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), paramsKey{}, params)))
			return
		}
	}
	respond(w, http.StatusNotFound, map[string]string{"error": "not found"})
}

// match takes the parts of a path that stand for `{name}` in the pattern.
func match(pattern, path string) (map[string]string, bool) {
	names, parts := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(names) != len(parts) {
		return nil, false
	}
	params := map[string]string{}
	for i, name := range names {
		part, err := url.PathUnescape(parts[i])
		if err != nil || !utf8.ValidString(part) {
			return nil, false
		}
		if strings.HasPrefix(name, "{") && part != "" {
			params[strings.Trim(name, "{}")] = part
		} else if name != part {
			return nil, false
		}
	}
	return params, true
}

func param(r *http.Request, name string) string {
	params, _ := r.Context().Value(paramsKey{}).(map[string]string)
	return params[name]
}
