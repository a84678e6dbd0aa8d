package actions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"

	"github.com/gobuffalo/buffalo"

	"olympus/public"
)

// asset is a file that pages load besides themselves.
type asset struct {
	content     []byte
	contentType string
	hash        string // of the content, part of its address
}

// loadAssets reads the embedded files, by name.
func loadAssets() (map[string]*asset, error) {
	entries, err := fs.ReadDir(public.FS, ".")
	if err != nil {
		return nil, fmt.Errorf("list the files of the pages: %w", err)
	}
	assets := make(map[string]*asset, len(entries))
	for _, entry := range entries {
		content, err := fs.ReadFile(public.FS, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read the files of the pages: %w", err)
		}
		sum := sha256.Sum256(content)
		assets[entry.Name()] = &asset{content, mime.TypeByExtension(path.Ext(entry.Name())), hex.EncodeToString(sum[:6])}
	}
	return assets, nil
}

// assetLink is the address of a file, which changes with its content.
func (p *pages) assetLink(name string) string {
	return p.link("assets", name) + "?v=" + p.assets[name].hash
}

// showAsset answers a file. Under the address that names its content it may be kept for ever.
func (p *pages) showAsset(c buffalo.Context) error {
	name := c.Param("file")
	file := p.assets[name]
	if file == nil {
		return notFound("%s: there is no such file", name)
	}
	h := c.Response().Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Etag", `"`+file.hash+`"`)
	h.Set("Cache-Control", "no-cache")
	if c.Request().URL.Query().Get("v") == file.hash {
		h.Set("Cache-Control", forever)
	}
	http.ServeContent(c.Response(), c.Request(), name, time.Time{}, bytes.NewReader(file.content))
	return nil
}
