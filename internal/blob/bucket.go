package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"
)

// bucket keeps blobs at a cloud provider.
type bucket struct {
	*blob.Bucket
}

func openBucket(ctx context.Context, u *url.URL) (bucket, error) {
	b, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		// The drivers' errors quote the whole URL. The text is kept, without it.
		text := strings.ReplaceAll(err.Error(), u.String(), u.Scheme+"://"+u.Host)
		return bucket{}, errors.New(oneLine(hideValues(text, u)))
	}
	return bucket{b}, nil
}

// hideValues blanks what may be secret in an error about u: parameters and user.
func hideValues(text string, u *url.URL) string {
	secrets := []string{u.RawQuery}
	for _, values := range u.Query() {
		secrets = append(secrets, values...)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, u.User.String(), password)
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return text
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// put writes unconditionally. Two writers of one key write the same bytes, and a provider shows an
// object whole or not at all, so a create-if-absent would protect nothing, and some servers that
// speak S3 refuse it.
func (b bucket) put(ctx context.Context, key string, r io.Reader, size int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/zip"})
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(r, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("got %d bytes, want %d", n, size)
	}
	if err != nil {
		cancel() // before Close: it is what makes Close drop the upload instead of finishing it
		_ = w.Close()
		return err
	}
	return w.Close()
}

func (b bucket) open(ctx context.Context, key string) (*Blob, error) {
	r, err := b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, missing(err)
	}
	return &Blob{content: r, size: r.Size(), modTime: r.ModTime()}, nil
}

func (b bucket) stat(ctx context.Context, key string) (int64, time.Time, error) {
	attributes, err := b.Attributes(ctx, key)
	if err != nil {
		return 0, time.Time{}, missing(err)
	}
	return attributes.Size, attributes.ModTime, nil
}

func (b bucket) remove(ctx context.Context, key string) error {
	return missing(b.Delete(ctx, key))
}

func (b bucket) list(ctx context.Context, prefix string, each func(key string, size int64, modTime time.Time) error) error {
	objects := b.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(object.Key, object.Size, object.ModTime); err != nil {
			return err
		}
	}
}

func (b bucket) check(ctx context.Context) error {
	ok, err := b.IsAccessible(ctx)
	if err == nil && !ok {
		err = errors.New("no such bucket")
	}
	return err
}

// space of a bucket has no end.
func (b bucket) space(context.Context) (int64, bool, error) { return 0, false, nil }

func (b bucket) close() error { return b.Close() }

func missing(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return ErrNotFound
	}
	return err
}
