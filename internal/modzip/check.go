package modzip

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// maxDirectory bounds what is read of a zip's directory, in bytes. archive/zip keeps some hundred
// bytes for each entry, whatever number of entries the zip declares, so that a directory as large as
// the largest zip would take gigabytes. This is room for about 250,000 files.
const maxDirectory = 32 << 20

// Check returns the sums of the zip of m at path, after making sure that the go command would accept
// it: names, prefix, collisions and sizes by the rules of golang.org/x/mod/zip, and the contents of
// every file by its checksum. The zip may have at most limit bytes, the files in it 500 MiB together.
//
// It also refuses what the go command cannot meet in a zip it made itself and others would trip over:
// entries that are links or devices, and entries that share their compressed bytes.
func Check(m module.Version, path string, limit int64) (Sums, error) {
	f, err := os.Open(path)
	if err != nil {
		return Sums{}, fmt.Errorf("check zip of %s: %w", m, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Sums{}, fmt.Errorf("check zip of %s: %w", m, err)
	}
	size := info.Size()
	if size > limit {
		return Sums{}, refuse(m, fmt.Errorf("%d bytes, more than the limit of %d", size, limit))
	}
	// The order matters: each step makes the next one affordable.
	in := &directoryReader{file: io.NewSectionReader(f, 0, size), left: maxDirectory}
	z, err := zip.NewReader(in, size)
	if err != nil {
		return Sums{}, refuse(m, err)
	}
	inflateFast(z)
	in.left = -1
	files, err := modzip.CheckZip(m, path)
	if err != nil {
		return Sums{}, refuse(m, firstOf(files, err))
	}
	if err := checkEntries(z.File, size); err != nil {
		return Sums{}, refuse(m, err)
	}
	sums, err := hashZip(z.File, f, size, m.Path+"@"+m.Version+"/go.mod")
	if err != nil {
		return Sums{}, refuse(m, err)
	}
	return sums, nil
}

// checkEntries looks at what CheckZip does not.
func checkEntries(entries []*zip.File, size int64) error {
	left := uint64(size)
	for _, e := range entries {
		if kind := e.Mode().Type(); kind != 0 && (kind != fs.ModeDir || !strings.HasSuffix(e.Name, "/")) {
			return fmt.Errorf("%q is not a regular file (%v)", e.Name, e.Mode())
		}
		// Entries may point anywhere, also all to the same place: a hundred thousand that inflate
		// the same large stream of empty blocks would keep us busy for days.
		if e.CompressedSize64 > left {
			return errors.New("the compressed sizes of its files exceed its own size")
		}
		left -= e.CompressedSize64
	}
	return nil
}

// firstOf shortens CheckZip's error, which has a line for every bad file, to the first.
func firstOf(files modzip.CheckedFiles, err error) error {
	if files.SizeError != nil || len(files.Invalid) == 0 {
		return err
	}
	first := files.Invalid[0]
	if more := len(files.Invalid) - 1; more > 0 {
		return fmt.Errorf("%.200q: %w (and %d more bad files)", first.Path, first.Err, more)
	}
	return fmt.Errorf("%.200q: %w", first.Path, first.Err)
}

// directoryReader reads a file, and fails after left bytes, if left is not negative.
type directoryReader struct {
	// A section, because it answers offsets outside the file with io.EOF. The file itself would
	// answer with an error that looks like the disk's fault instead of the zip's.
	file *io.SectionReader
	left int64
}

func (r *directoryReader) ReadAt(p []byte, off int64) (int, error) {
	if r.left < 0 {
		return r.file.ReadAt(p, off)
	}
	if int64(len(p)) > r.left {
		return 0, fmt.Errorf("its directory is larger than %d bytes", maxDirectory)
	}
	n, err := r.file.ReadAt(p, off)
	r.left -= int64(n)
	return n, err
}
