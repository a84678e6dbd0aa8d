// Package openapi holds the description of every route but those of the module download protocol, in OpenAPI 3.1. openapi.json is written
// by hand, and a test compares it with what a deployment routes and answers.
package openapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed openapi.json
var description []byte

// anyServer is the address that the description as written has for the deployment that it describes.
const anyServer = `"http://127.0.0.1:3000"`

// Describe returns the description of a deployment, as JSON. url is where it is reached.
func Describe(url string) ([]byte, error) {
	server, err := json.Marshal(url)
	if err != nil {
		return nil, fmt.Errorf("describe the routes at %q: %w", url, err)
	}
	return bytes.Replace(description, []byte(anyServer), server, 1), nil
}
