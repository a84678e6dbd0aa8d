package signature

import "fmt"

// newKeyText is what the new key of a deployment signs, so that nobody can announce a key that is not his: the names are in the keys. No
// checkpoint begins like this, for no deployment's name has a space in it.
func newKeyText(present, next string) string {
	return "olympus new signing key\n" + present + "\n" + next + "\n"
}

// ProveNewKey returns a note that s, which has the key that comes next, signs: it succeeds a present key, a verifier key of the same
// deployment.
func (s *Signer) ProveNewKey(present string) (proof string, err error) {
	note, err := s.SignNote(newKeyText(present, s.vkey))
	return string(note), err
}

// CheckNewKey makes sure that the holder of a verifier key has signed, by ProveNewKey, that it succeeds the present one.
func CheckNewKey(present, next, proof string) error {
	text, err := OpenNote([]byte(proof), next)
	if err != nil {
		return fmt.Errorf("proof of the new key: %w", err)
	}
	if text != newKeyText(present, next) {
		return fmt.Errorf("proof of the new key: it is for other keys than %s and %s", present, next)
	}
	return nil
}
