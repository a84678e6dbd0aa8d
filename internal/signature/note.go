package signature

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// SignNote signs a text as a note (golang.org/x/mod/sumdb/note) with the deployment's key, and with the one before it if there is one. The
// text must end in a line break.
func (s *Signer) SignNote(text string) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text}, s.notes...)
	if err != nil {
		return nil, fmt.Errorf("sign a note of %s: %w", s.name, err)
	}
	return signed, nil
}

// OpenNote returns the text of a note that carries a valid signature by one of the verifier keys, all of one deployment. Signatures by other
// keys, such as those of witnesses, are passed over.
func OpenNote(signed []byte, vkeys ...string) (text string, err error) {
	name, verifiers := "", make([]note.Verifier, len(vkeys))
	for i, vkey := range vkeys {
		if verifiers[i], err = note.NewVerifier(vkey); err != nil {
			return "", fmt.Errorf("open a note: key %q: %w", vkey, err)
		}
		name = verifiers[i].Name()
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return "", fmt.Errorf("open a note that %s should have signed: %w", name, err)
	}
	return n.Text, nil
}
