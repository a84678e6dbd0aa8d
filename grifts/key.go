package grifts

import (
	"olympus/internal/signature"
)

func keyTasks() []task {
	return []task{
		{namespace: "key", name: "show", does: "print this deployment's public key", run: showKey},
		{namespace: "key", name: "generate", args: "[NAME]", most: 1, does: "make a signing key and print it; nothing is changed", run: generateKey},
		{namespace: "key", name: "rotate", run: rotateKey,
			does: "change the signing key: announce a new one to all peers and, once they have accepted it, put it in its place"},
	}
}

// publicKey is what others may know of a key.
type publicKey struct {
	Name        string `json:"name"`
	SigningKey  string `json:"signing_key,omitempty"` // the secret one: only where it was just made
	Key         string `json:"key"`
	KeyID       string `json:"key_id"`
	Fingerprint string `json:"fingerprint"`
}

func showKey(c *call) error {
	settings, err := c.Config()
	if err != nil {
		return err
	}
	return c.printKey(settings.SigningKey, false)
}

func generateKey(c *call) error {
	name := c.arg(0)
	if name == "" {
		settings, err := c.Config()
		if settings == nil {
			return err
		}
		name = settings.Name // that there is no key, or one that does not fit, is why this is asked for
	}
	key, _, err := signature.GenerateKey(name)
	if err != nil {
		return err
	}
	return c.printKey(key, true)
}

func (c *call) printKey(signingKey string, secretToo bool) error {
	signer, err := signature.NewSigner(signingKey)
	if err != nil {
		return err
	}
	k := publicKey{Name: signer.Name(), Key: signer.VerifierKey(), KeyID: signer.KeyID(), Fingerprint: signature.Fingerprint(signer.VerifierKey())}
	rows := [][]string{{"name", k.Name}, {"key", k.Key}, {"key id", k.KeyID}, {"fingerprint", k.Fingerprint}}
	if secretToo {
		k.SigningKey = signingKey
		rows = append([][]string{{"signing key (secret)", signingKey}}, rows...)
	}
	return c.table(k, rows)
}
