package modzip

import (
	"archive/zip"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// inflaters are decompressors to be used again: each has a window of 32 KiB and its tables.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// inflateFast makes a zip reader decompress with a faster decoder than the standard library's: inflating is most of the work of a fill.
func inflateFast(z *zip.Reader) {
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser {
		d := inflaters.Get().(io.ReadCloser)
		_ = d.(flate.Resetter).Reset(r, nil) // without a dictionary it cannot fail
		return &inflater{d}
	})
}

// inflater gives its decompressor back when it is closed.
type inflater struct{ d io.ReadCloser }

func (i *inflater) Read(p []byte) (int, error) {
	if i.d == nil {
		return 0, io.ErrClosedPipe
	}
	return i.d.Read(p)
}

func (i *inflater) Close() error {
	if i.d == nil {
		return nil
	}
	err := i.d.Close()
	inflaters.Put(i.d)
	i.d = nil
	return err
}
