package peer

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"olympus/internal/protocol"
	"olympus/internal/signature"
)

// maxDescriptionBytes is plenty for a name, a URL and a key.
const maxDescriptionBytes = 64 << 10

// Description is what a deployment says of itself. Nothing vouches for it: an operator compares the key's
// [signature.Fingerprint] over another way before believing it.
type Description struct {
	Name string // deployment name
	URL  string // base URL in normal form, for which requests to it must be signed
	Key  string // note verifier key, whose name is Name
}

// Describe asks the deployment at baseURL who it is. The request is not signed: the two may not know each other yet.
func (c *Client) Describe(ctx context.Context, baseURL string) (Description, error) {
	base, err := ParseURL(baseURL)
	if err != nil {
		return Description{}, err
	}
	call := call{
		method:   http.MethodGet,
		url:      base + "/peer",
		header:   http.Header{"Accept": {"application/json"}},
		unsigned: true,
	}
	resp, err := c.send(ctx, call)
	if err != nil {
		return Description{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Description{}, statusError(call, resp)
	}
	body, err := readAll(resp, maxDescriptionBytes)
	if err != nil {
		return Description{}, fmt.Errorf("%s: %w", call, err)
	}
	description, err := parseDescription(body)
	if err != nil {
		return Description{}, fmt.Errorf("%s: %w", call, err)
	}
	return description, nil
}

func parseDescription(body []byte) (Description, error) {
	var answer struct {
		Name string `json:"name"`
		URL  string `json:"url"`
		Key  string `json:"key"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Description{}, fmt.Errorf("parse the answer: %w", err)
	}
	if err := protocol.ValidateName(answer.Name); err != nil {
		return Description{}, err
	}
	url, err := ParseURL(answer.URL)
	if err != nil {
		return Description{}, err
	}
	keyName, _, _, err := signature.ParseVerifierKey(answer.Key)
	if err != nil {
		return Description{}, err
	}
	if keyName != answer.Name {
		return Description{}, fmt.Errorf("deployment %s has a key of %s", answer.Name, keyName)
	}
	return Description{Name: answer.Name, URL: url, Key: answer.Key}, nil
}
