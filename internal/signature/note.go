package signature

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// SignNote signs a text as a note (golang.org/x/mod/sumdb/note) with the deployment's key. The text must end in a line break.
func (s *Signer) SignNote(text string) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text}, s.note)
	if err != nil {
		return nil, fmt.Errorf("sign a note of %s: %w", s.name, err)
	}
	return signed, nil
}

// OpenNote returns the text of a note that carries a valid signature by the key vkey. Signatures by other keys, such as those of witnesses,
// are passed over.
func OpenNote(vkey string, signed []byte) (text string, err error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", fmt.Errorf("open a note: key %q: %w", vkey, err)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return "", fmt.Errorf("open a note that %s should have signed: %w", verifier.Name(), err)
	}
	return n.Text, nil
}
